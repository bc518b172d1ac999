"""Operations, bytes and roofline cycles of whole models by type of operator: what `roofline` and `operations` draw."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import pandas as pd

from ssmopt.bounds.demand import compulsory_bytes
from ssmopt.bounds.untiled import dram_bytes_per_cycle
from ssmopt.experiments.figures.base import FigureOptions
from ssmopt.experiments.figures.style import OKABE_ITO, Series
from ssmopt.hardware import Hardware
from ssmopt.tiling import PROJECTIONS, Tiling
from ssmopt.workload.counts import Counts, graph_counts, graph_roofline_cycles
from ssmopt.workload.graph import STATE_UPDATE, problem_graph
from ssmopt.workload.operators import OperatorGraph, operator_cycles_floor
from ssmopt.workload.transformer import OPT_2_7B, Transformer, transformer_graph

LENGTHS = tuple(2**power for power in range(6, 15))
"""Tokens: 64 to 16,384."""

QUICK_LENGTHS = (64, 1024, 16384)

PREFILL, DECODE = "prefill", "decode"
UNFUSED, FUSED = "unfused", "fused"

STATE, ATTENTION, PROJECTION = "state update", "attention", "projections"

TYPES: Mapping[str, Series] = {
    PROJECTION: Series(PROJECTION, OKABE_ITO["blue"], "s"),
    STATE: Series(STATE, OKABE_ITO["vermilion"], "o"),
    ATTENTION: Series(ATTENTION, OKABE_ITO["purple"], "D"),
    "softmax": Series("softmax", OKABE_ITO["black"], "P"),
    "convolution": Series("convolution", OKABE_ITO["sky"], "^"),
    "elementwise": Series("elementwise", OKABE_ITO["green"], "v"),
    "normalisation": Series("normalisation", OKABE_ITO["grey"], "X"),
}
"""Types of operators, in the order in which they are drawn."""

_WHOLE = Tiling(tokens=2**31)
"""One tile per operator, apart from the recurrence, whose state passes from token to token."""


@dataclass(frozen=True)
class _Case:
    """One block of a model at one length, in one phase."""

    model: str
    layers: int
    phase: str
    seq_len: int
    graph: OperatorGraph
    update: OperatorGraph | None


def count_types(options: FigureOptions, transformer: Transformer = OPT_2_7B) -> pd.DataFrame:
    """Counts of a state space model and of a transformer, by length, phase and type of operator.

    Parameters
    ----------
    options
        Model, machine and whether to be quick.
    transformer
        What it is compared with.

    Returns
    -------
    DataFrame
        One row per model, phase, length and type of operator, over all layers of the model. ``operations`` counts a
        multiply-accumulate as two; ``memory_bytes`` is what the operators read and write when each of them loads its
        operands from DRAM and stores its results (``fusion`` is ``unfused``). The state update has a second row,
        ``fused``, with only what must cross its edge. ``intensity`` is operations per byte; ``roofline_cycles`` what
        the machine cannot undercut, operator after operator, by work or by bytes.
    """
    hardware = options.load_hardware()
    cases = list(_cases(options, transformer))
    rows: list[dict[str, object]] = []
    for case in options.each(cases, lambda case: f"{case.model}, {case.phase}, {case.seq_len} tokens"):
        rows += _rows(case, hardware)
    return pd.DataFrame(rows)


def peak_operations_per_cycle(hardware: Hardware) -> int:
    """Operations per cycle with every processing element multiplying and accumulating, which counts as two."""
    return 2 * sum(core.count * core.processing_elements for core in hardware.cores if "gemm" in core.runs)


def operator_type(name: str) -> str:
    """The type of an operator of any of the graphs, by its name."""
    if name in STATE_UPDATE:
        return STATE
    if name in ("attention_scores", "attention_values"):
        return ATTENTION
    if name in PROJECTIONS or name.endswith("_projection"):
        return PROJECTION
    if name == "softmax":
        return name
    if name.startswith("conv"):
        return "convolution"
    return "normalisation" if "norm" in name else "elementwise"


def _cases(options: FigureOptions, transformer: Transformer) -> Iterator[_Case]:
    model = options.load_model()
    for length in options.lengths(LENGTHS, QUICK_LENGTHS):
        for phase, tokens in ((PREFILL, length), (DECODE, 1)):
            problem = options.problem(tokens)
            update = options.problem(tokens, scope="state-update")
            graphs = problem_graph(problem), problem_graph(update)
            yield _Case(model.name, model.layers, phase, length, *graphs)
            other = transformer_graph(transformer, tokens, length, problem.dtype.activations)
            yield _Case(transformer.name, transformer.layers, phase, length, other, None)


def _rows(case: _Case, hardware: Hardware) -> list[dict[str, object]]:
    counts = graph_counts(case.graph, _WHOLE)
    cycles = graph_roofline_cycles(case.graph, hardware, _WHOLE)
    found = []
    for kind in TYPES:
        names = [name for name in counts if operator_type(name) == kind]
        if not names:
            continue
        operations = sum(_operations(counts[name]) for name in names)
        weights = sum(counts[name].weight_bytes for name in names)
        n_bytes = weights + sum(counts[name].activation_bytes for name in names)
        floor = sum(cycles[name] for name in names)
        found.append(_row(case, hardware, kind, UNFUSED, operations, weights, n_bytes, floor))
        if kind == STATE and case.update is not None:
            # The update reads what no operator wrote, and writes what somebody reads; all else stays on chip.
            n_bytes = sum(compulsory_bytes(case.update))
            floor = max(_work_cycles(case.update, hardware), math.ceil(n_bytes / dram_bytes_per_cycle(hardware)))
            found.append(_row(case, hardware, kind, FUSED, operations, weights, n_bytes, floor))
    return found


def _row(
    case: _Case, hardware: Hardware, kind: str, fusion: str, operations: int, weights: int, n_bytes: int, cycles: int
) -> dict[str, object]:
    return {
        "model": case.model,
        "phase": case.phase,
        "seq_len": case.seq_len,
        "operator_type": kind,
        "fusion": fusion,
        "layers": case.layers,
        "operations": case.layers * operations,
        "memory_bytes": case.layers * n_bytes,
        "weight_bytes": case.layers * weights,
        "intensity": operations / n_bytes,
        "roofline_cycles": case.layers * cycles,
        "roofline_ms": case.layers * cycles / (hardware.clock_ghz * 1e6),
    }


def _operations(counts: Counts) -> int:
    return 2 * counts.macs + counts.operations


def _work_cycles(graph: OperatorGraph, hardware: Hardware) -> int:
    """Cycles of the operators' work on the cores that can do it, one operator after another."""
    total = Fraction(0)
    for operator in graph.operators:
        rates = [
            core.count / operator_cycles_floor(operator, core)
            for core in hardware.cores
            if operator.kernel in core.runs
        ]
        total += 1 / sum(rates, Fraction(0))
    return math.ceil(total)


def phases(frame: pd.DataFrame) -> list[tuple[str, str]]:
    """The panels of a table: each model in each phase, in the order of the table."""
    pairs = frame[["model", "phase"]].drop_duplicates()
    return [(str(model), str(phase)) for model, phase in sorted(pairs.itertuples(index=False), key=_phase_order)]


def _phase_order(pair: tuple[str, str]) -> bool:
    return pair[1] != PREFILL


def title_of(model: str, phase: str) -> str:
    """What a panel is called."""
    return f"{model}, prefill" if phase == PREFILL else f"{model}, decode of one token"
