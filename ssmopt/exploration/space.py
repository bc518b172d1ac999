"""The machines that an exploration chooses from: every area, share of SRAM, array shape and bandwidth asked for."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ssmopt.area import area_mm2, model_of, n_processing_elements, one_core_group, resized
from ssmopt.errors import InputError
from ssmopt.hardware import Hardware

DEFAULT_SHARES = tuple(Fraction(percent, 100) for percent in range(5, 100, 5))
"""Memory shares that are looked at unless others are asked for."""

LEAST_ROWS = 8
"""Arrays with fewer rows than this are looked at only where there is no other."""


@dataclass(frozen=True, eq=False)
class Machine:
    """One accelerator of the space.

    Attributes
    ----------
    hardware
        The accelerator.
    fraction, memory_share
        The area that it was made for, relative to the area model's, and which part of it is SRAM.
    """

    hardware: Hardware
    fraction: Fraction
    memory_share: Fraction

    @property
    def area_mm2(self) -> Fraction:
        """Area of what is on it; less than it was made for where its arrays leave a rest."""
        area = area_mm2(self.hardware)
        assert area is not None
        return area

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the array of each core."""
        return self.hardware.cores[0].rows, self.hardware.cores[0].columns

    @property
    def sram_bytes(self) -> int:
        """Capacity in bytes."""
        return self.hardware.memories[0].capacity

    @property
    def processing_elements(self) -> int:
        """Processing elements of all cores."""
        return n_processing_elements(self.hardware)

    @property
    def bandwidth(self) -> int:
        """Bytes per cycle to DRAM."""
        return next(channel.bandwidth for channel in self.hardware.channels if "dram" in channel.connects)


def machine_of(hardware: Hardware) -> Machine:
    """A hardware as it is, with its area fraction and memory share by its own area model."""
    model, core = model_of(hardware), one_core_group(hardware)
    sram = model.area_mm2(hardware.memories[0].capacity, 0)
    area = sram + model.area_mm2(0, core.count * core.processing_elements)
    return Machine(hardware, model.fraction_of(area), sram / area)


def machines(
    base: Hardware,
    areas_mm2: Sequence[Fraction],
    shares: Sequence[Fraction],
    rows: Sequence[int] | None = None,
    bandwidths: Sequence[int] | None = None,
) -> list[Machine]:
    """All machines of a space, by area, then memory share, bandwidth and shape.

    Parameters
    ----------
    base
        What is the same for all: clock, operations, overheads, number of cores and of lanes.
    areas_mm2, shares
        Areas in mm2, and shares of SRAM.
    rows
        Rows of the arrays, whose columns are then as many as fit; None takes those of `array_shapes`.
    bandwidths
        Bytes per cycle to DRAM; None takes what the area model says for each area.

    Raises
    ------
    InputError
        The hardware has no area model or several kinds of parts, or a number is impossible.
    """
    model, core = model_of(base), one_core_group(base)
    found = []
    for area in areas_mm2:
        fraction = model.fraction_of(area)
        for share in shares:
            if not 0 < share < 1:
                raise InputError(f"expected a memory share between 0 and 1, not {float(share):g}", key="shares")
            each = model.processing_elements_for(fraction, share) // core.count
            shapes = array_shapes(each) if rows is None else _with_rows(rows, each)
            for bandwidth in bandwidths or (model.bandwidth_for(fraction),):
                for shape in shapes:
                    found.append(Machine(resized(base, fraction, share, *shape, bandwidth), fraction, share))
    if not found:
        raise InputError("no array of that many rows fits any of the areas", key="rows")
    return found


def array_shapes(processing_elements: int) -> list[tuple[int, int]]:
    """Shapes worth a look for at most so many processing elements, the most nearly square first.

    Rows are powers of two with as many columns as then fit, and the divisor pair that is most nearly square if its
    sides differ by less than a factor of four. A shape and its transpose take the same cycles for everything, so that
    columns are never fewer than rows.
    """
    side = math.isqrt(max(processing_elements, 0))
    powers = [1 << e for e in range(side.bit_length()) if 1 << e <= side]
    wide = [p for p in powers if p >= LEAST_ROWS] or powers[-1:]
    divisor = next((d for d in range(side, 0, -1) if processing_elements % d == 0), 0)
    if divisor and processing_elements < 4 * divisor * divisor:
        wide.append(divisor)
    shapes = {(rows, processing_elements // rows) for rows in wide}
    return sorted(shapes, key=lambda shape: (shape[1] - shape[0], shape))


def _with_rows(rows: Iterable[int], processing_elements: int) -> list[tuple[int, int]]:
    for count in rows:
        if count <= 0:
            raise InputError(f"expected a positive number of rows, not {count}", key="rows")
    return [(count, processing_elements // count) for count in dict.fromkeys(rows) if count <= processing_elements]
