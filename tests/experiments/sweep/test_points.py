"""What identifies a point: everything that its result depends on."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

import ssmopt
from ssmopt.experiments.sweep import make_sweep, points_of
from ssmopt.experiments.sweep import points as points_module
from ssmopt.experiments.sweep.points import Point

from .small import FIXED


def point(**changes: Any) -> Point:
    (only,) = points_of(make_sweep({"seed": [changes.pop("seed", 0)]}, {**FIXED, **changes}))
    return only


CHANGES: list[dict[str, Any]] = [
    {"seed": 1},
    {"solver": "fuse-block"},
    {"time_limit": 5},
    {"work_limit": 5},
    {"solver_workers": 2},
    {"tiling": {"tokens": 2, "channel_splits": 2}},
    {"tiling": None},
    {"seq_len": 5},
    {"batch": 2},
    {"layers": 2},
    {"initial_state": "zero"},
    {"dtype": {"weights": 2}},
    {"sram": 4096},
    {"bandwidth": 8},
    {"array": [2, 4]},
    {"tile_overhead_cycles": 1},
    {"clock_ghz": 2},
    {"channels.dma.lanes": 2},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_whatever_changes_the_result_changes_the_key(change: dict[str, Any]) -> None:
    assert point(**change).key != point().key
    assert point(**change).key == point(**change).key


def test_what_silicon_costs_changes_the_key() -> None:
    marca = ssmopt.load_hardware("marca")
    assert marca.energy is not None
    keys = {
        point(hardware=machine).key
        for machine in (
            marca,
            dataclasses.replace(marca, dram_pj_per_bit=3.5),
            dataclasses.replace(marca, area_mm2=200.0),
            dataclasses.replace(marca, area_model=None),
            dataclasses.replace(marca, energy=None),
            dataclasses.replace(marca, energy=dataclasses.replace(marca.energy, sram_pj_per_byte=0.25)),
        )
    }
    assert len(keys) == 6


def test_the_version_of_the_code_is_part_of_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = point().key
    monkeypatch.setattr(points_module, "code_version", lambda: "another")
    assert point().key != before


def test_the_version_of_the_code_names_the_package_and_the_solver() -> None:
    version = points_module.code_version()
    assert version.startswith(ssmopt.__version__ + "+")
    assert "ortools" in version


def test_points_of_a_family_differ_in_capacities_alone() -> None:
    same = {point(sram=size).family for size in (2048, 4096, 1 << 20)}
    assert same == {point().family}
    for change in CHANGES:
        if "sram" not in change and "clock_ghz" not in change:
            assert point(**change).family != point().family, change
