"""Energy, counted by hand."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from handmade import make_instance
from small_problems import core_group, hardware

import ssmopt
from ssmopt.energy import energy_of, folded_sram_bytes_accessed, sram_bytes_accessed
from ssmopt.errors import InputError
from ssmopt.folding.expand import expand
from ssmopt.folding.plan import PeriodicVariant, periodic_schedule
from ssmopt.hardware import OPERATIONS
from ssmopt.heuristics.fuse_block import BlockVariant
from ssmopt.heuristics.places import BlockOrder
from ssmopt.model import Model
from ssmopt.problem import Problem
from ssmopt.silicon import EnergyCosts
from ssmopt.tiling import ProjectionTiling, Tiling
from ssmopt.workload.counts import operations

COSTS = EnergyCosts({**dict.fromkeys(OPERATIONS, 0.5), "mac": 2.0, "exp": 7.25}, 0.25)
MACHINE = dataclasses.replace(hardware(core_group()), energy=COSTS, dram_pj_per_bit=1.5)
L, D, E, N, R, W = 5, 6, 8, 3, 2, 4
MODEL = Model("small", "mamba", 4, D, E, N, W, dt_rank=R)


def test_accesses_of_tiles_and_transfers() -> None:
    # Two tiles read w and add to s, a third reads s. All is loaded and stored once: 10 + 20 bytes of SRAM.
    instance = make_instance(
        {"a": (1, "w", "", "s"), "b": (1, "w", "", "s"), "c": (1, "s", "y", "")},
        {"w": (10, "weight"), "s": (3, "intermediate"), "y": (20, "output")},
        {"sram": 100},
        {"pe": "sram"},
        {"dma": (1, 1, "dram sram")},
    )
    schedule = ssmopt.decode(instance, np.arange(3))
    assert schedule.dram_bytes(instance.tensor_bytes) == 30
    # a: w, and s written; b: w, and s read and written; c: s read, y written.
    assert sram_bytes_accessed(instance, schedule) == (10 + 3) + (10 + 3 + 3) + (3 + 20) + 30


def test_operations_of_a_block_by_the_table() -> None:
    problem = Problem("p", MODEL, MACHINE, L, layers=3)
    once = {
        "mac": L * (D * 2 * E + E * W + E * (R + 2 * N) + R * E + E * N + E * D),
        "exp": L * E * N,
        "softplus": L * E,
        "silu": 2 * L * E,
    }
    counted = operations(problem, Tiling(tokens=2))
    for name, count in once.items():
        assert counted[name] == 3 * count
    # mul_dA, mul_dB, mul_dBx, mul_hA; skip_D, gate.
    assert counted["multiply"] + counted["add"] + counted.get("rsqrt", 0) == 3 * L * (
        5 * E * N + E + 2 * E + E + D + 4 * D + 2
    )


def test_pieces_of_a_sum_do_not_change_what_is_multiplied() -> None:
    problem = Problem("p", MODEL, MACHINE, L)
    cut = Tiling(projections={"in_proj": ProjectionTiling(2, 3), "out_proj": ProjectionTiling(1, 4)})
    assert operations(problem, cut)["mac"] == operations(problem, Tiling())["mac"]


def test_energy_of_a_result_by_hand() -> None:
    problem = Problem("p", MODEL, MACHINE, L)
    result = ssmopt.solve(problem, tiling=Tiling(tokens=2), solver="fuse-block")
    assert result.schedule is not None
    fields = result.as_dict()
    counts = operations(problem, Tiling(tokens=2))
    halves = sum(count for name, count in counts.items() if name not in ("mac", "exp"))
    compute = Fraction(4 * counts["mac"] + halves, 2) + Fraction(29, 4) * counts["exp"]
    sram = Fraction(sram_bytes_accessed(result.instance, result.schedule), 4)
    dram = 12 * int(fields["dram_bytes"])  # type: ignore[call-overload]
    assert fields["energy_compute_uj"] == float(compute / 10**6)
    assert fields["energy_sram_uj"] == float(sram / 10**6)
    assert fields["energy_dram_uj"] == float(Fraction(dram, 10**6))
    assert fields["energy_uj"] == float((compute + sram + dram) / 10**6)
    assert fields["area_mm2"] is None


def test_what_is_not_known_is_null() -> None:
    problem = Problem("p", MODEL, hardware(core_group()), L)
    assert set(energy_of(problem, Tiling(), 1, 1).as_dict().values()) == {None}
    known = dataclasses.replace(problem, hardware=dataclasses.replace(problem.hardware, dram_pj_per_bit=2.0))
    fields = energy_of(known, Tiling(), 1000, 10**6).as_dict()
    assert fields == {
        "energy_uj": None, "energy_compute_uj": None, "energy_sram_uj": None, "energy_dram_uj": 16.0,
    }  # fmt: skip
    assert energy_of(None, None, 1, 1).total_uj is None
    assert energy_of(problem, Tiling(), None, None).total_uj is None


def test_a_schedule_in_closed_form_takes_what_all_its_rows_take() -> None:
    problem = Problem("p", Model("p", "mamba", 1, 6, 8, 4, 4, 2), hardware(core_group(), capacity=1600), 67)
    tiling = Tiling(tokens=4, state_tokens=2, scan=True, channel_splits=2)
    folded = periodic_schedule(problem, tiling, PeriodicVariant(BlockVariant(BlockOrder(), 2, 2)))
    assert folded is not None
    assert folded.copies > 0
    assert folded_sram_bytes_accessed(folded) == sram_bytes_accessed(*expand(folded))


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        (lambda: EnergyCosts({**COSTS.op_pj, "mac": -1.0}, 1.0), "energy.op_pj.mac: expected a positive number"),
        (lambda: EnergyCosts(COSTS.op_pj, float("inf")), "energy.sram_pj_per_byte: expected a positive number"),
        (lambda: machine_with({"mac": 1.0}), "needs an energy for 'multiply'"),
        (lambda: machine_with({**COSTS.op_pj, "sqrt": 1.0}), "unknown operation 'sqrt'; did you mean 'rsqrt'"),
    ],
)
def test_impossible_energies(costs: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        costs()  # type: ignore[operator]


def machine_with(op_pj: dict[str, float]) -> ssmopt.Hardware:
    return dataclasses.replace(MACHINE, energy=EnergyCosts(op_pj, 1.0))
