"""The area model: published numbers, rounding, round trips, and files."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problems import core_group, hardware

import ssmopt
from ssmopt.area import area_mm2, n_processing_elements, resized
from ssmopt.errors import InputError
from ssmopt.files.config import read_hardware
from ssmopt.hardware import Hardware
from ssmopt.silicon import AreaModel

MARCA = ssmopt.load_hardware("marca")


def test_the_reference_accelerator_is_the_published_split_of_its_area() -> None:
    model = MARCA.area_model
    assert model is not None
    share = Fraction(4, 5)
    assert model.sram_for(Fraction(1), share) == 24 << 20 == MARCA.memories[0].capacity
    assert model.processing_elements_for(Fraction(1), share) == 8192 == n_processing_elements(MARCA)
    assert model.bandwidth_for(Fraction(1)) == 256 == MARCA.channels[0].bandwidth
    assert area_mm2(MARCA) == 222
    assert area_mm2(ssmopt.load_hardware("marca-32core")) == 222
    same = resized(MARCA, Fraction(1), share, 64, 128)
    assert dataclasses.replace(same, name="marca", area_mm2=222.0) == MARCA


@pytest.mark.parametrize(
    ("fraction", "share", "expected"),
    [
        ("1", "0.2", (6 << 20, 32768, 256)),
        ("1/8", "0.8", (3 << 20, 1024, 90)),  # 256 / sqrt(8) = 90.5
        ("1.25", "0.05", (1966080, 48640, 286)),
        ("0.5", "0.33", (5190451, 13722, 181)),  # 5190451.2 bytes, 13721.6 processing elements
    ],
)
def test_other_splits_by_hand(fraction: str, share: str, expected: tuple[int, int, int]) -> None:
    model, a, m = MARCA.area_model, Fraction(fraction), Fraction(share)
    assert model is not None
    assert (model.sram_for(a, m), model.processing_elements_for(a, m), model.bandwidth_for(a)) == expected


@settings(deadline=None)
@given(
    st.fractions(Fraction(1, 1000), 4, max_denominator=1000),
    st.fractions(Fraction(1, 1000), Fraction(999, 1000), max_denominator=1000),
)
def test_a_machine_has_the_area_that_it_was_made_for(fraction: Fraction, share: Fraction) -> None:
    model = MARCA.area_model
    assert model is not None
    elements = model.processing_elements_for(fraction, share)
    machine = resized(MARCA, fraction, share, 1, elements)
    area = area_mm2(machine)
    assert area is not None
    one_byte, one_element = model.area_mm2(1, 0), model.area_mm2(0, 1)
    assert fraction * 222 - one_byte < area < fraction * 222 + one_element
    rate = machine.channels[0].bandwidth
    assert rate**2 <= fraction * 256**2 < (rate + 1) ** 2


def test_an_area_that_is_only_stated_is_that_of_the_hardware_as_stated() -> None:
    stated = dataclasses.replace(hardware(core_group()), area_mm2=1.5)
    assert area_mm2(stated) == Fraction(3, 2)
    assert area_mm2(stated.override("bandwidth", 1)) == Fraction(3, 2)
    for field, value in (("sram", 7), ("array", [1, 1]), ("cores.pe.count", 2)):
        assert area_mm2(stated.override(field, value)) is None
    assert area_mm2(MARCA.override("sram", 12 << 20)) == Fraction(222) * Fraction(6, 10)


@pytest.mark.parametrize(
    ("machine", "fraction", "share", "shape", "message"),
    [
        (MARCA, 0, "1/2", (1, 1), "expected a positive area"),
        (MARCA, 1, "1", (1, 1), "expected a memory share between 0 and 1, not 1"),
        (MARCA, 1, "4/5", (64, 129), "more than the 8,192 that fit beside 80 % SRAM"),
        (MARCA, "1/1000000000", "1/2", (1, 1), "no room for a byte of SRAM"),
        (hardware(core_group()), 1, "1/2", (1, 1), "has no area_model"),
        (ssmopt.load_hardware("array-vector"), 1, "1/2", (1, 1), "has no area_model"),
    ],
)
def test_impossible_machines(
    machine: Hardware, fraction: str, share: str, shape: tuple[int, int], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        resized(machine, Fraction(fraction), Fraction(share), *shape)


def test_several_kinds_of_cores_have_no_known_split() -> None:
    both = dataclasses.replace(ssmopt.load_hardware("array-vector"), area_model=AreaModel(1, 1, 1, 1))
    with pytest.raises(InputError, match="several memories or kinds of cores"):
        resized(both, Fraction(1), Fraction(1, 2), 1, 1)


SILICON = """\
area_model:
  reference_mm2: 222
  sram: 30MiB
  processing_elements: 40960
  bandwidth: 256
energy:
  op_pj: {mac: 3, multiply: 2, add: 1, exp: 9, sigmoid: 9, silu: 9, softplus: 9, rsqrt: 9}
  sram_pj_per_byte: 1.25
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sram: 30MiB", "sram: 0", "3: area_model.sram: expected a positive number of bytes, not 0"),
        ("reference_mm2: 222", "reference_mm2: -1", "2: area_model.reference_mm2: expected a positive number, not -1"),
        ("bandwidth: 256", "bandwith: 1", "5: area_model.bandwith: unknown key; did you mean 'bandwidth'?"),
        ("  bandwidth: 256\n", "", "2: area_model.bandwidth: this key is missing"),
        ("40960", "0", "4: area_model.processing_elements: expected a positive whole number, not 0"),
        ("mac: 3", "mac: -3", "7: energy.op_pj.mac: expected a positive number, not -3"),
        ("mac: 3", "max: 3", "7: energy.op_pj.max: unknown key; did you mean 'mac'?"),
        (", rsqrt: 9", "", "7: energy.op_pj.rsqrt: this key is missing"),
        ("1.25", "0", "8: energy.sram_pj_per_byte: expected a positive number, not 0"),
        ("  sram_pj_per_byte: 1.25\n", "", "7: energy.sram_pj_per_byte: this key is missing"),
    ],
)
def test_bad_numbers_in_hardware_files(tmp_path: Path, old: str, new: str, message: str) -> None:
    tiny = Path(ssmopt.library._folder("hardware"), "tiny.yaml").read_text()
    file = tmp_path / "toy.yaml"
    file.write_text(SILICON + tiny)
    read_hardware(file)
    assert old in SILICON
    file.write_text(SILICON.replace(old, new, 1) + tiny)
    with pytest.raises(InputError) as caught:
        read_hardware(file)
    assert str(caught.value).startswith(f"{file}:{message}")
