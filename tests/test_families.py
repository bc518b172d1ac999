"""Mamba-2 in both forms, and several sequences: everything that solves one sequence of Mamba-1 solves them, too."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from small_problems import OF_ONE_MEMORY, core_group, hardware

import ssmopt
from ssmopt.bounds import best, bounds_of, lower_bounds
from ssmopt.errors import InputError
from ssmopt.hardware import Channel
from ssmopt.heuristics.base import schedules_of
from ssmopt.heuristics.fuse_block import block_order
from ssmopt.heuristics.places import BlockOrder
from ssmopt.instance import INTERMEDIATE, KINDS, WEIGHT, Instance
from ssmopt.problem import FORMS, Problem
from ssmopt.solvers import HEURISTICS
from ssmopt.tiling import Tiling
from ssmopt.validate import validate
from ssmopt.workload.tiles import build_tiles


def tiny(
    model: str = "mamba2-tiny", length: int = 6, sram: int = 8192, machine: str = "tiny", **changes: object
) -> Problem:
    on = ssmopt.load_hardware(machine).override("sram", sram)
    return Problem("tiny", ssmopt.load_model(model), on, length, **changes)  # type: ignore[arg-type]


CASES = {
    "recurrent": tiny(),
    "chunked": tiny(form="chunked"),
    "chunked, one token": tiny(form="chunked", length=1, initial_state="zero"),
    "state update": tiny(scope="state-update", form="chunked", length=9),
    "recurrent, little room": tiny(sram=1536),
    "chunked, little room": tiny(sram=1536, form="chunked"),
    "two sequences": tiny(batch=2, length=3),
    "two sequences, chunked": tiny(batch=2, length=5, form="chunked"),
    "three sequences of Mamba-1": tiny("mamba-tiny", batch=3, length=3),
    "sequences of one token": tiny("mamba-tiny", batch=4, length=1),
    "two kinds of core": tiny(machine="array-vector", form="chunked"),
}


@pytest.mark.parametrize("name", OF_ONE_MEMORY)
@pytest.mark.parametrize("case", CASES)
def test_every_heuristic_gives_a_valid_schedule(case: str, name: str) -> None:
    problem = CASES[case]
    if not HEURISTICS[name].applies_to(problem):
        with pytest.raises(InputError, match="is not defined for the chunked form"):
            ssmopt.solve(problem, tiling=Tiling(tokens=3), solver=name)
        return
    result = ssmopt.solve(problem, tiling=Tiling(tokens=3, channel_splits=2, state_splits=2), solver=name)
    assert result.schedule is not None
    assert validate(result.instance, result.schedule) == []
    assert result.lower_bound <= result.instance_bound <= result.schedule.makespan


@pytest.mark.parametrize("case", CASES)
def test_the_default_solver_chooses_a_tiling(case: str) -> None:
    unlike = case == "two kinds of core"
    result = ssmopt.solve(CASES[case], work_limit=0.4 if unlike else 0.1)
    assert result.schedule is not None
    assert validate(result.instance, result.schedule) == []
    assert result.lower_bound <= result.schedule.makespan
    assert result.gap is not None
    assert result.gap < (3 if unlike else 0.9)  # overheads count on blocks this small


def test_what_has_no_form_is_solved_in_every_form() -> None:
    inapplicable = {name for name in OF_ONE_MEMORY if not HEURISTICS[name].applies_to(CASES["chunked"])}
    assert inapplicable == {"A", "B", "A-B", "AS", "BS", "AS-B", "A-BS"}
    assert all(HEURISTICS[name].applies_to(CASES["recurrent"]) for name in OF_ONE_MEMORY)


@pytest.mark.parametrize("form", FORMS)
def test_compare_shows_both_forms_each_against_its_own_bound(form: str) -> None:
    problem = dataclasses.replace(CASES["recurrent"], form=form, name="p-chunked" if form == "chunked" else "p")
    other = FORMS[1 - FORMS.index(form)]
    comparison = ssmopt.compare(problem, time_limit=3, workers=2)
    bounds = {f: best(lower_bounds(dataclasses.replace(problem, form=f))) for f in FORMS}
    assert comparison.bound == bounds[form]
    labels = [row.label for row in comparison.rows]
    assert len(labels) == len(set(labels))
    assert {f"fuse-block ({other})", f"cpsat ({other})", "fuse-block", "cpsat", "layer-by-layer"} <= set(labels)
    for row in comparison.rows:
        shown = row.other_form or form
        assert row.result.bound == bounds[shown]
        assert row.result.instance.problem is not None
        assert row.result.instance.problem.form == shown
        assert row.result.note.startswith(f"{other} form, whose lower bound is" if row.other_form else row.result.note)
        assert row.result.instance.name == (f"p-{other}" if row.other_form else problem.name)
    solvers = ssmopt.compare(problem, solvers=["A", "heft"], time_limit=1) if form == "recurrent" else None
    if solvers is not None:
        assert {row.label for row in solvers.rows} == {"A", "heft", "heft (chunked)"}


class TestSeveralSequences:
    """Weights are loaded once for all sequences; nothing else is shared."""

    one = tiny("mamba-tiny", length=3, sram=1 << 20)

    def instance(self, batch: int, tiling: Tiling) -> Instance:
        return build_tiles(dataclasses.replace(self.one, batch=batch), tiling)

    def test_tiles_and_bytes(self) -> None:
        for tiling in (Tiling(), Tiling(tokens=2, channel_splits=4, scan=True, state_tokens=2)):
            single, several = (self.instance(batch, tiling) for batch in (1, 3))
            assert several.n_tiles == 3 * single.n_tiles
            for kind in range(len(KINDS)):
                n_bytes = [int(i.tensor_bytes[i.tensor_kind == kind].sum()) for i in (single, several)]
                assert n_bytes[1] == n_bytes[0] * (1 if kind == WEIGHT else 3), KINDS[kind]

    def test_no_tile_needs_another_sequence(self) -> None:
        instance = self.instance(3, Tiling(tokens=2, channel_splits=2))
        assert instance.meta is not None
        sequence = instance.meta.low[:, instance.meta.dims.index("S")]
        source, target = instance.edges
        assert (sequence[source] == sequence[target]).all()
        made = instance.tensor_kind == INTERMEDIATE
        for tensor in np.flatnonzero(made).tolist():
            assert len({int(sequence[t]) for t in instance.readers[tensor].tolist()}) <= 1

    def test_the_traffic_bound_counts_weights_once(self) -> None:
        bounds = [lower_bounds(dataclasses.replace(self.one, batch=batch))[0].cycles for batch in (1, 2, 3)]
        assert 0 < bounds[2] - bounds[1] <= bounds[1] - bounds[0] + 1
        assert bounds[2] < 2 * bounds[0]

    def test_a_piece_of_a_weight_serves_all_sequences(self) -> None:
        """With room for activations but not for all weights, depth-first orders still load each weight once."""
        problem = dataclasses.replace(
            Problem("p", ssmopt.load_model("mamba-130m"), ssmopt.load_hardware("marca"), 4), batch=4
        )
        result = ssmopt.solve(problem, time_limit=10)
        assert result.gap is not None
        assert result.gap < 0.001

    def test_ids_say_the_sequence_first(self) -> None:
        ids = self.instance(2, Tiling()).tile_ids.all
        assert {"in_proj.0.0.0", "in_proj.1.0.1", "mul_hA.1.2.0"} <= set(ids)
        assert "out_proj.1.0" in ids
        assert self.instance(1, Tiling()).tile_ids.all[:2] == ["rms_norm.0", "in_proj.0.0"]

    def test_named_by_the_number_of_sequences(self) -> None:
        instance = ssmopt.build_instance("mamba2-tiny", "tiny", 3, tiling=Tiling(), form="chunked", batch=2)
        assert instance.name == "mamba2-tiny-tiny-L3-chunked-B2"


@pytest.mark.parametrize("form", FORMS)
def test_a_block_goes_depth_first(form: str) -> None:
    """B, C and step sizes, then piece after piece up to the sum of squares, then piece after piece of the product."""
    machine = hardware(core_group(), channels=(Channel("dma", 4, ("dram", "sram")),))
    problem = Problem("p", ssmopt.load_model("mamba2-tiny"), machine, 4, form=form)
    instance = build_tiles(problem, Tiling(tokens=4, state_tokens=4, scan=True, channel_splits=2))
    names = [instance.tile_ids[t] for t in block_order(instance).tolist()]
    assert names[0] == "rms_norm.0"
    at = {name: position for position, name in enumerate(names)}
    pieces = ("conv1d.0.{}", "silu_xBC.0.{}", "mul_dtx.0.{}", "skip_D.0.{}", "gate.0.{}", "norm_square.0.{}")
    assert at["silu_xBC.0.2"] < min(at[name.format(0)] for name in pieces)
    first, second = ([at[name.format(piece)] for name in pieces] for piece in (0, 1))
    assert first == sorted(first)
    assert max(first) < min(second)
    assert max(second) < at["norm_scale.0.0"] < at["out_proj.0.0"] < at["norm_scale.0.1"] < at["out_proj.0.1"]
    late = [instance.tile_ids[t] for t in block_order(instance, BlockOrder(out="late")).tolist()]
    assert late.index("norm_scale.0.1") < late.index("out_proj.0.0")
    early = [instance.tile_ids[t] for t in block_order(instance, BlockOrder(gate="early")).tolist()]
    assert max(early.index(name) for name in early if name.startswith("in_proj")) < early.index("mul_dtx.0.0")


def test_squares_of_tokens_are_used_up_row_by_row_where_cores_differ() -> None:
    """Two rows of a chunk: the first one's squares are gone before the second one's are made."""
    problem = Problem("p", ssmopt.load_model("mamba2-tiny"), ssmopt.load_hardware("array-vector"), 4, form="chunked")
    instance = build_tiles(problem, Tiling(tokens=2))
    names = [instance.tile_ids[t] for t in block_order(instance).tolist()]
    rows = [name for name in names if name.split(".")[0] in ("decay_mask", "chunk_CB", "mul_mask", "chunk_diag")]
    stems = ("decay_mask.{}.0", "chunk_CB.{}", "mul_mask.{}.0", "chunk_diag.{}.0")
    assert rows == [stem.format(row) for row in (0, 1) for stem in stems]
    assert names.index("chunk_state.0.0") < names.index("decay_mask.0.0")
    assert names.index("chunk_diag.1.0") < names.index("pass_state.0.0") < names.index("add_off.0.0")


@pytest.mark.parametrize("form", FORMS)
def test_no_schedule_beats_the_bounds_of_a_published_model(form: str) -> None:
    """The smallest model at 600 tokens: two full chunks and one of 88."""
    problem = Problem("p", ssmopt.load_model("mamba2-130m"), ssmopt.load_hardware("marca"), 600, form=form)
    instance = build_tiles(problem, Tiling(tokens=256, state_tokens=64, scan=True, channel_splits=4))
    bound, tile_bound = bounds_of(instance)
    makespans = []
    for schedule in schedules_of(HEURISTICS["pipelined"], instance):
        assert validate(instance, schedule) == []
        assert bound.cycles <= tile_bound.cycles <= schedule.makespan
        makespans.append(schedule.makespan)
    assert min(makespans) <= 1.1 * bound.cycles
