"""Figure ``area``: which share of a chip should be SRAM, by heuristics and by the optimum."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ssmopt.area import model_of
from ssmopt.autotile.candidates import Candidate
from ssmopt.experiments.attribution import FUSED
from ssmopt.experiments.figures.base import FigureInterrupted, FigureKind, FigureOptions
from ssmopt.experiments.figures.style import (
    BASELINE_SERIES,
    BOUND_SERIES,
    OKABE_ITO,
    OPTIMUM_SERIES,
    Series,
    cycle_axis,
    legend_of,
    new_figure,
    note,
    tidy,
    title,
)
from ssmopt.experiments.sweep.executors import worker_processes
from ssmopt.exploration.baselines import baseline_results
from ssmopt.exploration.contender import Contender
from ssmopt.exploration.result import Part
from ssmopt.exploration.space import DEFAULT_SHARES, Machine, machine_of, machines
from ssmopt.hardware import Hardware
from ssmopt.model import Model
from ssmopt.result import Result
from ssmopt.silicon import exact
from ssmopt.stopping import Stop

FRACTIONS = (Fraction(1, 8), Fraction(1, 2), Fraction(1), Fraction(5, 4))
QUICK_FRACTIONS = (Fraction(1, 2), Fraction(1))
SHARES = DEFAULT_SHARES
QUICK_SHARES = tuple(Fraction(percent, 100) for percent in (20, 50, 80))
LENGTHS, QUICK_LENGTHS = (1, 64, 1024), (1, 16)
BASELINES = tuple(BASELINE_SERIES)
OPTIMUM, BOUND = "optimum", "bound"

_SECONDS, _QUICK_SECONDS = 4.5, 1.0
_SECONDS_PER_UNIT = 4.0
_NEIGHBOURS = 2
_ROUNDS = 3
_SECONDS_BETWEEN_LOOKS = 1.0

_SERIES = {
    **BASELINE_SERIES,
    OPTIMUM: OPTIMUM_SERIES,
    BOUND: BOUND_SERIES,
}
_REFERENCE = Series("the accelerator as it is", OKABE_ITO["black"], "*", "", size=12)


@dataclass(frozen=True)
class _Curve:
    """All memory shares of one area and one prompt: they are searched together, each beginning where others ended.

    Where the accelerator as it is has this area, it is one of the points, whatever its share.
    """

    model: Model
    hardware: Hardware
    fraction: Fraction
    shares: tuple[Fraction, ...]
    seq_len: int
    work: float


def data(options: FigureOptions) -> pd.DataFrame:
    """Makespans in cycles of one layer by area fraction, tokens and memory share.

    The array of a point is, of the shapes that fit (`ssmopt.exploration.space.array_shapes`), the one of the smallest
    lower bound, of equal ones the most nearly square. Rows of the accelerator as it is say so (``as_it_is``). Every
    schedule has been validated. Where a heuristic fits no tile or would have more than 100,000 tiles, its row has no
    makespan.
    """
    hardware = options.load_hardware()
    machine_of(hardware)  # Says what is missing before anything is computed that would be in vain.
    seconds = options.seconds or (_QUICK_SECONDS if options.quick else _SECONDS)
    curves = [
        _Curve(
            options.load_model(),
            hardware,
            fraction,
            QUICK_SHARES if options.quick else SHARES,
            length,
            seconds / _SECONDS_PER_UNIT,
        )
        for length in sorted(options.lengths(LENGTHS, QUICK_LENGTHS), reverse=True)  # The longest begin first.
        for fraction in (QUICK_FRACTIONS if options.quick else FRACTIONS)
    ]
    frame = pd.DataFrame([row for rows in _all_rows(curves, options) for row in rows])
    frame.insert(0, "problem", f"{options.load_model().name} on {hardware.name}")
    return frame.sort_values(["seq_len", "area_fraction", "memory_share"], kind="stable").reset_index(drop=True)


def _all_rows(curves: list[_Curve], options: FigureOptions) -> Iterable[list[dict[str, object]]]:
    points = sum(len(curve.shares) for curve in curves)
    options.report(0, points, "begins")
    done = 0
    workers = min(options.n_workers, len(curves))
    with Stop() as stop:
        if workers <= 1:
            for curve in curves:
                yield _rows(curve, stop)
                if stop.signal:
                    break
                done += len(curve.shares)
                options.report(done, points, f"area fraction {float(curve.fraction):g}, {curve.seq_len:,} tokens")
        else:
            with worker_processes(workers) as executor:
                waiting = {executor.submit(_rows_elsewhere, curve): curve for curve in curves}
                while waiting and not stop.signal:
                    for future in wait(waiting, timeout=_SECONDS_BETWEEN_LOOKS, return_when=FIRST_COMPLETED).done:
                        yield future.result()
                        done += len(waiting.pop(future).shares)
                    options.report(done, points, f"{len(waiting)} curves to go" if waiting else "")
        if stop.signal:
            raise FigureInterrupted(stop.signal, done, points)


def _rows_elsewhere(curve: _Curve) -> list[dict[str, object]]:
    """The rows of a curve, in a process of its own."""
    with Stop() as stop:
        return _rows(curve, stop)


def _rows(curve: _Curve, stop: Stop) -> list[dict[str, object]]:
    """A row per share and scheme; after a signal fewer, which nobody will see."""
    contenders = _contenders(curve, stop)
    for turn in range(_ROUNDS):
        # Each first finds something of its own: the work may be enough for no more than one candidate of a long
        # prompt, and what suits another memory may be poor in this one.
        others = contenders if turn else []
        for contender in sorted(contenders, key=lambda c: c.bound):
            if stop.signal:
                return []
            contender.search(curve.work / _ROUNDS, partial(_seeds, contender, others), take=turn == _ROUNDS - 1)
    found = []
    for contender in contenders:
        if stop.signal:
            return []
        results = baseline_results(contender.problems[0], BASELINES, contender.bounds[0], stop)
        # The search has little time per point; where it is beaten, the baseline is the best that is known.
        known = [contender.results.get(curve.seq_len), *results.values()]
        scheduled = [result for result in known if result is not None and result.makespan is not None]
        results[OPTIMUM] = min(scheduled, key=lambda result: result.makespan or 0, default=None)
        rows = [_row(contender, curve.seq_len, scheme, result) for scheme, result in results.items()]
        rows.append({**_row(contender, curve.seq_len, BOUND, None), "makespan": contender.bound, "gap": 0.0})
        as_it_is = _as_it_is(contender.machine, machine_of(curve.hardware))
        found += [{**row, "as_it_is": as_it_is} for row in rows]
    return found


def _contenders(curve: _Curve, stop: Stop) -> list[Contender]:
    """The machine of each share, and the accelerator as it is unless that is one of them, by memory share."""
    part, own = Part(curve.seq_len, 1), machine_of(curve.hardware)
    area = curve.fraction * exact(model_of(curve.hardware).reference_mm2)
    contenders = []
    for share in curve.shares:
        shapes = [Contender(m, curve.model, (part,), stop) for m in machines(curve.hardware, [area], [share])]
        contenders.append(min(shapes, key=lambda contender: contender.bound))
    if own.fraction == curve.fraction and not any(_as_it_is(c.machine, own) for c in contenders):
        contenders.append(Contender(own, curve.model, (part,), stop))
    return sorted(contenders, key=lambda contender: contender.machine.memory_share)


def _as_it_is(machine: Machine, own: Machine) -> bool:
    """Whether a machine is the accelerator whose area is split."""
    return (machine.sram_bytes, machine.bandwidth, *machine.shape) == (own.sram_bytes, own.bandwidth, *own.shape)


def _seeds(contender: Contender, others: list[Contender], length: int) -> list[Candidate]:
    """The tilings of the memory shares on either side."""
    share = contender.machine.memory_share
    near = sorted((c for c in others if c is not contender), key=lambda c: abs(c.machine.memory_share - share))
    return [c for c in (other.candidate(length) for other in near) if c is not None][:_NEIGHBOURS]


def _row(contender: Contender, seq_len: int, scheme: str, result: Result | None) -> dict[str, object]:
    machine: Machine = contender.machine
    rows, columns = machine.shape
    fields = {} if result is None else result.as_dict()
    return {
        "seq_len": seq_len,
        "area_fraction": float(machine.fraction),
        "area_mm2": float(machine.area_mm2),
        "memory_share": float(machine.memory_share),
        "scheme": scheme,
        "sram_bytes": machine.sram_bytes,
        "rows": rows,
        "columns": columns,
        "bandwidth": machine.bandwidth,
        "makespan": fields.get("makespan"),
        "lower_bound": contender.bound,
        "gap": None if result is None or result.makespan is None else result.makespan / contender.bound - 1,
        "energy_uj": fields.get("energy_uj"),
        "dram_bytes": fields.get("dram_bytes"),
        "tiling": fields.get("tiling"),
        "valid": fields.get("valid"),
    }


def draw(frame: pd.DataFrame) -> Figure:
    """A row of panels per number of tokens, a panel per area: cycles over the memory share."""
    lengths, fractions = sorted(frame["seq_len"].unique()), sorted(frame["area_fraction"].unique())
    figure = new_figure(2.9 * len(fractions) + 1.8, 2.6 * len(lengths) + 1.2)
    grid = figure.subplots(len(lengths), len(fractions), squeeze=False, sharex=True, sharey="row")
    for row, length in enumerate(lengths):
        for column, fraction in enumerate(fractions):
            axes = grid[row, column]
            mine = frame[(frame["seq_len"] == length) & (frame["area_fraction"] == fraction)]
            _draw_panel(axes, mine)
            if row == 0:
                axes.set_title(f"{mine['area_mm2'].max():.3g} mm2 ({fraction:g} of the area)", fontsize=9)
            if row == len(lengths) - 1:
                axes.set_xlabel("SRAM (% of the area)")
        grid[row, 0].set_ylabel(f"cycles, {length:,} token{'s' if length > 1 else ''}")
    legend_of(figure, [*_SERIES.values(), *([_REFERENCE] if frame["as_it_is"].any() else [])])
    title(figure, f"Latency over the share of SRAM: {frame['problem'].iloc[0]}")
    gaps = frame[frame["scheme"] == OPTIMUM]["gap"].dropna().astype(float)
    proved = f" The optimum is proved to within {gaps.min():.2%} to {gaps.max():.0%}." if len(gaps) else ""
    note(
        figure,
        "One layer. The array of a point is the one of the smallest lower bound among those that fit; heuristics "
        f"run on the best of up to three coarse tilings. Every schedule passed the independent validator.{proved}",
    )
    return figure


def _draw_panel(axes: Axes, mine: pd.DataFrame) -> None:
    for scheme, series in _SERIES.items():
        # Of two machines with the same share, the line goes through the one of the smallest bound, which comes first.
        points = mine[mine["scheme"] == scheme].drop_duplicates("memory_share").dropna(subset="makespan")
        axes.plot(100 * points["memory_share"], points["makespan"].astype(float), **series.line_style())
    own = mine[mine["as_it_is"] & mine["scheme"].isin([FUSED, OPTIMUM])].dropna(subset="makespan")
    if len(own):
        axes.plot(100 * own["memory_share"], own["makespan"].astype(float), **_REFERENCE.line_style(), zorder=5)
    tidy(axes)
    cycle_axis(axes)


AREA = FigureKind(
    "area",
    "latency over the share of a chip's area that is SRAM, for several areas, of two heuristics and the optimum",
    data,
    draw,
)
