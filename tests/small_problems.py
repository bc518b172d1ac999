"""Small random problems and tilings, for tests of everything between a problem and a schedule."""

from __future__ import annotations

from hypothesis import strategies as st

from ssmopt.hardware import KERNELS, OPERATIONS, Channel, CoreGroup, Hardware, Memory
from ssmopt.model import Model
from ssmopt.problem import FORMS, INITIAL_STATES, SCOPES, Dtype, Problem
from ssmopt.solvers import HEURISTICS
from ssmopt.tiling import LOOP_ORDERS, ProjectionTiling, Tiling

OF_ONE_MEMORY = tuple(name for name, heuristic in HEURISTICS.items() if not heuristic.several_memories)
"""Heuristics for machines whose cores share a memory."""

ONE_EACH = dict.fromkeys(OPERATIONS, 1)


def hardware(
    *groups: CoreGroup, capacity: int = 10**9, channels: tuple[Channel, ...] = (Channel("dma", 16, ("dram", "sram")),)
) -> Hardware:
    """Core groups around one memory, by default so large that everything fits."""
    return Hardware("small", 1.0, (Memory("sram", capacity),), groups, channels)


def core_group(
    name: str = "pe",
    rows: int = 2,
    columns: int = 2,
    count: int = 1,
    runs: tuple[str, ...] = KERNELS,
    overhead: int = 0,
    op_cycles: dict[str, int] | None = None,
) -> CoreGroup:
    """A group of cores, by default one small array that runs everything."""
    return CoreGroup(name, "sram", rows, columns, count, runs, overhead, op_cycles or ONE_EACH)


def private_hardware(cores: int, capacity: int = 10**9, *, per_memory: int = 1, joined: bool = True) -> Hardware:
    """Cores, so many to a memory, with an interconnect between the memories unless they are not to be joined."""
    channels = [
        Channel("dma", 16, ("dram", "sram")),
        *([Channel("noc", 8, ("sram",), 2)] if joined and cores > per_memory else []),
    ]
    group = core_group(count=cores, overhead=2)
    return Hardware("private", 1.0, (Memory("sram", capacity, cores // per_memory),), (group,), tuple(channels))


@st.composite
def models(draw: st.DrawFn, largest: int = 8) -> Model:
    """Every dimension from 1 on, each on its own."""
    width, inner, state, rank = (draw(st.integers(1, largest)) for _ in range(4))
    return Model("small", "mamba", 1, width, inner, state, draw(st.integers(1, min(5, largest))), rank)


@st.composite
def mamba2_models(draw: st.DrawFn, largest: int = 8) -> Model:
    """Every number of heads, of channels in each, and of groups that divides the heads."""
    width, state, channels = (draw(st.integers(1, largest)) for _ in range(3))
    groups, heads_each = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    return Model(
        "small",
        "mamba2",
        1,
        width,
        groups * heads_each * min(channels, 4),
        min(state, 4),
        draw(st.integers(1, min(5, largest))),
        head_dim=min(channels, 4),
        n_groups=groups,
        chunk_size=draw(st.integers(1, largest + 1)),
    )


@st.composite
def machines(draw: st.DrawFn) -> Hardware:
    """One to three groups of cores that share the kernels out in any way; channels slow, or too fast to matter."""
    size = st.sampled_from((1, 1, 2, 4, 64))

    def group(name: str, runs: tuple[str, ...]) -> CoreGroup:
        cycles = {operation: draw(st.sampled_from((1, 1, 2, 4))) for operation in OPERATIONS}
        count, overhead = draw(st.sampled_from((1, 1, 2, 4))), draw(st.sampled_from((0, 0, 2)))
        return core_group(name, draw(size), draw(size), count, runs, overhead, cycles)

    names = ("a", "b", "c")[: draw(st.integers(1, 3))]
    runs: dict[str, list[str]] = {name: [] for name in names}
    for kernel in KERNELS:
        for name in draw(st.sets(st.sampled_from(names), min_size=1, max_size=2)):
            runs[name].append(kernel)
    groups = [group(name, tuple(kernels)) for name, kernels in runs.items() if kernels]
    channels = tuple(
        Channel(name, draw(st.sampled_from((1, 4, 10**6, 10**6))), ("dram", "sram"), draw(st.sampled_from((1, 2, 100))))
        for name in ("dma", "dmb")[: draw(st.sampled_from((1, 1, 1, 2)))]
    )
    return hardware(*groups, channels=channels)


@st.composite
def problems(
    draw: st.DrawFn,
    largest: int = 8,
    longest: int = 8,
    on: st.SearchStrategy[Hardware] | None = None,
    family: str = "mamba",
    batches: tuple[int, ...] = (1,),
) -> Problem:
    """A small model on a small machine."""
    n_bytes = st.sampled_from((1, 2, 4))
    return Problem(
        "small",
        draw(models(largest) if family == "mamba" else mamba2_models(largest)),
        draw(on if on is not None else st.just(hardware(core_group()))),
        draw(st.integers(1, longest)),
        scope=draw(st.sampled_from(SCOPES)),
        initial_state=draw(st.sampled_from(INITIAL_STATES)),
        dtype=Dtype(draw(n_bytes), draw(n_bytes), draw(n_bytes)),
        form="recurrent" if family == "mamba" else draw(st.sampled_from(FORMS)),
        batch=draw(st.sampled_from(batches)) if len(batches) > 1 else batches[0],
    )


@st.composite
def tilings(draw: st.DrawFn, problem: Problem) -> Tiling:
    """Any tiling that suits the problem: ragged, coarse or down to single elements."""
    model, length = problem.model, problem.seq_len

    def projection(columns: int, reduction: int) -> ProjectionTiling:
        return ProjectionTiling(draw(st.integers(1, columns)), draw(st.integers(1, reduction)))

    projections = {"in_proj": projection(2 * model.d_inner, model.d_model)}
    if model.family == "mamba":
        projections["x_proj"] = projection(model.dt_rank + 2 * model.d_state, model.d_inner)
        projections["dt_proj"] = projection(model.d_inner, model.dt_rank)
    projections["out_proj"] = projection(model.d_model, model.d_inner)
    tokens = st.integers(1, length + 1)
    return Tiling(
        tokens=draw(tokens),
        state_tokens=draw(tokens),
        scan=draw(st.booleans()),
        channel_splits=draw(st.integers(1, model.n_heads or model.d_inner)),
        state_splits=draw(st.integers(1, model.d_state)),
        projections={name: projections[name] for name in projections if draw(st.booleans())},
        loop_order=draw(st.sampled_from(LOOP_ORDERS)),
        norm_tokens=draw(st.none() | tokens),
    )


@st.composite
def tiled_problems(
    draw: st.DrawFn,
    largest: int = 8,
    longest: int = 8,
    on: st.SearchStrategy[Hardware] | None = None,
    family: str = "mamba",
    batches: tuple[int, ...] = (1,),
) -> tuple[Problem, Tiling]:
    """A small problem with a tiling of it."""
    problem = draw(problems(largest, longest, on, family, batches))
    return problem, draw(tilings(problem))
