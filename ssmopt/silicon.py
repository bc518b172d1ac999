"""What silicon costs: an area model that trades SRAM for processing elements, and energies of single events."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from ssmopt.errors import InputError, nearest


@dataclass(frozen=True)
class AreaModel:
    """What fits on a reference area, so that any other area and any split of it follow.

    Attributes
    ----------
    reference_mm2
        Area in mm2 that counts as the area fraction 1.
    sram_bytes
        Bytes of SRAM that this area would hold with nothing else on it.
    processing_elements
        Processing elements that it would hold with nothing else on it.
    bandwidth
        Bytes per cycle to DRAM of the reference area. Bandwidth grows with the edge of the chip, that is, with the
        square root of its area.
    """

    reference_mm2: float
    sram_bytes: int
    processing_elements: int
    bandwidth: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.reference_mm2) and self.reference_mm2 > 0):
            raise InputError(f"expected a positive number, not {self.reference_mm2}", key="area_model.reference_mm2")
        for name in ("sram_bytes", "processing_elements", "bandwidth"):
            if getattr(self, name) <= 0:
                key = "sram" if name == "sram_bytes" else name
                raise InputError(
                    f"expected a positive whole number, not {getattr(self, name)}", key=f"area_model.{key}"
                )

    def area_mm2(self, sram_bytes: int, processing_elements: int) -> Fraction:
        """Area in mm2 of so many bytes of SRAM and so many processing elements."""
        share = Fraction(sram_bytes, self.sram_bytes) + Fraction(processing_elements, self.processing_elements)
        return exact(self.reference_mm2) * share

    def fraction_of(self, area_mm2: float | Fraction) -> Fraction:
        """The area fraction of an area in mm2."""
        return exact(area_mm2) / exact(self.reference_mm2)

    def sram_for(self, fraction: Fraction, memory_share: Fraction) -> int:
        """Bytes of SRAM of a chip of this area fraction and memory share; rounded down."""
        return math.floor(memory_share * fraction * self.sram_bytes)

    def processing_elements_for(self, fraction: Fraction, memory_share: Fraction) -> int:
        """Processing elements of such a chip.

        Rounded up, as the published figures are: so the area may be exceeded by less than one processing element.
        """
        return math.ceil(fraction * (1 - memory_share) * self.processing_elements)

    def bandwidth_for(self, fraction: Fraction) -> int:
        """Bytes per cycle to DRAM of a chip of this area fraction: the square root exactly, then rounded down."""
        return math.isqrt(math.floor(fraction * self.bandwidth**2))


@dataclass(frozen=True)
class EnergyCosts:
    """Energy in pJ of single events on the chip; what leaves it is the hardware's ``dram_pj_per_bit``.

    Attributes
    ----------
    op_pj
        One elementary operation each, by the names of `ssmopt.hardware.OPERATIONS`.
    sram_pj_per_byte
        One byte read from or written to SRAM.
    """

    op_pj: Mapping[str, float]
    sram_pj_per_byte: float

    def __post_init__(self) -> None:
        for key, value in (
            *((f"op_pj.{n}", v) for n, v in self.op_pj.items()),
            ("sram_pj_per_byte", self.sram_pj_per_byte),
        ):
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"expected a positive number, not {value:g}", key=f"energy.{key}")

    def check_operations(self, known: tuple[str, ...]) -> None:
        """Raise `InputError` unless exactly the known operations have an energy."""
        for name in self.op_pj:
            if name not in known:
                raise InputError(f"unknown operation {name!r}{nearest(name, known)}", key="energy.op_pj")
        for name in known:
            if name not in self.op_pj:
                raise InputError(f"needs an energy for {name!r}", key="energy.op_pj")


def exact(number: float | Fraction) -> Fraction:
    """The decimal number that a float was written as: 0.8 is 4/5 and not its neighbour in binary."""
    return number if isinstance(number, Fraction) else Fraction(str(number))
