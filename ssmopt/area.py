"""Area of an accelerator, and accelerators of a given area."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from ssmopt.errors import InputError
from ssmopt.hardware import CoreGroup, Hardware
from ssmopt.silicon import AreaModel


def area_mm2(hardware: Hardware) -> Fraction | None:
    """Area in mm2 of all memories and processing elements by the hardware's area model, or else as stated.

    None where neither is known.
    """
    if hardware.area_model is None:
        return None if hardware.area_mm2 is None else Fraction(str(hardware.area_mm2))
    sram = sum(memory.capacity for memory in hardware.memories)
    return hardware.area_model.area_mm2(sram, n_processing_elements(hardware))


def n_processing_elements(hardware: Hardware) -> int:
    """Processing elements of all cores together."""
    return sum(core.count * core.processing_elements for core in hardware.cores)


def model_of(hardware: Hardware) -> AreaModel:
    """The hardware's area model.

    Raises
    ------
    InputError
        It has none.
    """
    if hardware.area_model is None:
        raise InputError(f"hardware {hardware.name!r} has no area_model, so that no other split of its area is known")
    return hardware.area_model


def resized(
    hardware: Hardware,
    fraction: Fraction,
    memory_share: Fraction,
    rows: int,
    columns: int,
    bandwidth: int | None = None,
) -> Hardware:
    """The hardware with another area, share of SRAM in it, and shape of its cores' arrays.

    Parameters
    ----------
    hardware
        An accelerator with an area model, one memory and one group of cores; all else is kept.
    fraction, memory_share
        Area relative to the area model's, and which part of it is SRAM.
    rows, columns
        Processing elements of each core's array.
    bandwidth
        Bytes per cycle of every channel to DRAM; None takes what the area model says.

    Raises
    ------
    InputError
        The hardware has no area model or other parts, the share leaves no SRAM or no processing element, or the
        arrays have more processing elements than fit.
    """
    model, core = model_of(hardware), one_core_group(hardware)
    if not fraction > 0:
        raise InputError(f"expected a positive area, not {float(fraction):g} of the area model's")
    if not 0 < memory_share < 1:
        raise InputError(f"expected a memory share between 0 and 1, not {float(memory_share):g}")
    room = model.processing_elements_for(fraction, memory_share)
    if rows * columns * core.count > room:
        raise InputError(
            f"{core.count} x {rows} x {columns} processing elements are more than the {room:,} that fit beside "
            f"{float(100 * memory_share):g} % SRAM"
        )
    sram = model.sram_for(fraction, memory_share)
    if sram == 0:
        raise InputError("there is no room for a byte of SRAM")
    sized = hardware.override("sram", sram).override("array", [rows, columns])
    sized = sized.override("bandwidth", model.bandwidth_for(fraction) if bandwidth is None else bandwidth)
    name = f"{hardware.name}-{_short(fraction * Fraction(str(model.reference_mm2)))}mm2-{_short(100 * memory_share)}pct"
    return dataclasses.replace(sized, name=f"{name}-{rows}x{columns}")


def one_core_group(hardware: Hardware) -> CoreGroup:
    """The only group of cores of a hardware with one memory.

    Raises
    ------
    InputError
        There are several of either.
    """
    if len(hardware.memories) != 1 or len(hardware.cores) != 1:
        raise InputError(
            f"hardware {hardware.name!r} has several memories or kinds of cores: how an area is split among them is "
            "not known"
        )
    return hardware.cores[0]


def _short(number: Fraction) -> str:
    return f"{float(number):g}"
