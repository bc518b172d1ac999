"""``ssmopt sweep``: every combination of some parameters' values, in parallel, stored as it goes."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from ssmopt.commands.options import JsonOption, PluginOption, QuietOption
from ssmopt.commands.output import columns, heading, say, say_json
from ssmopt.errors import InputError
from ssmopt.export.units import megabytes, percent, size, whole

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from ssmopt.experiments.sweep import SweepResult, SweepSpec
    from ssmopt.experiments.sweep.plugin import Plugin

STORE = Path("results.sqlite")


class Where(enum.StrEnum):
    """Where points run."""

    processes = "processes"
    dask = "dask"


def sweep(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The sweep, in YAML: axes and fixed.", show_default=False)
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store", "-o", metavar="FILE", help="SQLite file that results are added to.", show_default=str(STORE)
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the points, and run none.")] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            "--workers", "-j", metavar="N", min=1, max=1024, help="Points at a time.", show_default="one per core"
        ),
    ] = None,
    executor: Annotated[
        Where, typer.Option("--executor", help="Where points run: processes of this machine, or a Dask cluster.")
    ] = Where.processes,
    address: Annotated[
        str | None,
        typer.Option(
            "--address", metavar="URL", help="Scheduler of the Dask cluster, such as tcp://10.0.0.1:8786.",
            show_default="a cluster on this machine",
        ),
    ] = None,
    plugin: PluginOption = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run points again that failed before.")] = False,
    independent: Annotated[
        bool,
        typer.Option("--independent", help="Do not take schedules from points with less memory."),
    ] = False,
    show: Annotated[
        Path | None,
        typer.Option("--show", metavar="STORE", help="Show what a file of results holds; run nothing.",
                     show_default=False),
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Also write the rows as CSV.", show_default=False)
    ] = None,
    parquet: Annotated[
        Path | None,
        typer.Option("--parquet", metavar="FILE", help="Also write the rows as Parquet.", show_default=False),
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:  # fmt: skip
    """Solve every combination of some parameters' values.

    Each finished point is stored at once: after Ctrl-C, or worse, the same command goes on where it was.
    A point that fails is stored with its reason, and the others go on.
    With more memory a point never does worse: it takes the schedule of a point with less where that is better.
    Exits with 0 if every point has a schedule.

    [bold]A sweep[/bold]

    axes:
      sram: [1MiB, 2MiB, 4MiB]
      solver: \\[fuse-block, pipelined]
    fixed:
      model: mamba-130m
      hardware: marca
      seq_len: 64
      work_limit: 2

    [bold]Examples[/bold]

    [cyan]$ ssmopt sweep memory.yaml --dry-run[/cyan]

    [cyan]$ ssmopt sweep memory.yaml --store memory.sqlite --csv memory.csv[/cyan]

    [cyan]$ ssmopt sweep memory.yaml --store memory.sqlite --retry-failed[/cyan]

    [cyan]$ ssmopt sweep memory.yaml --executor dask --address tcp://10.0.0.1:8786[/cyan]

    [cyan]$ ssmopt sweep --show memory.sqlite --json[/cyan]
    """
    if (file is None) == (show is None):
        raise InputError("which sweep? give either FILE or --show STORE" + ("" if file is None else ", not both"))
    if show is not None and (dry_run or store is not None or address is not None or retry_failed or plugin):
        raise InputError("--show only shows: it goes with --csv, --parquet and --json", key="--show")
    if address is not None and executor is not Where.dask:
        raise InputError("only a Dask cluster has an address; add --executor dask", key="--address")
    if address is not None and workers is not None:
        raise InputError("a cluster at an address has its own number of workers", key="--workers")

    from ssmopt.experiments.sweep import read_results, read_sweep, run_sweep
    from ssmopt.experiments.sweep.frame import check_parquet
    from ssmopt.experiments.sweep.plugin import load_all
    from ssmopt.files.atomic import check_writable

    if csv_file is not None:
        check_writable(csv_file)
    if parquet is not None:
        check_parquet(parquet)
    if file is not None:
        plugins = load_all(plugin or ())
        spec = read_sweep(file)
        if dry_run:
            _list_points(spec, plugins, store or STORE, as_json)
            return
        with _executor(executor, address, workers) as given:
            result = run_sweep(
                spec, store=store or STORE, executor=given, workers=workers, progress=not quiet,
                retry_failed=retry_failed, monotone=not independent, plugins=plugins,
            )  # fmt: skip
    else:
        assert show is not None
        result = read_results(show)

    written = []
    if csv_file is not None:
        result.to_csv(csv_file)
        written.append(csv_file)
    if parquet is not None:
        result.to_parquet(parquet)
        written.append(parquet)
    if as_json:
        say_json(result.as_dict())
    else:
        say(heading(_summary(result)), *([_table(result)] if result.rows else []))
        if file is not None:
            written.insert(0, store or STORE)
        for path in written:
            say(f"wrote {path}")
    if result.interrupted:
        raise typer.Exit(128 + result.interrupted)
    raise typer.Exit(0 if result.rows and all(row["valid"] for row in result.rows) else 1)


@contextmanager
def _executor(where: Where, address: str | None, workers: int | None) -> Iterator[Executor | None]:
    """The executor that the options ask for; None for processes of our own."""
    if where is Where.processes:
        yield None
        return
    from ssmopt.experiments.sweep import dask_executor

    with dask_executor(address, workers) as executor:
        yield executor


def _list_points(spec: SweepSpec, plugins: Mapping[str, Plugin], store: Path, as_json: bool) -> None:
    """What a run would do, and which points are finished already."""
    from ssmopt.experiments.sweep import points_of
    from ssmopt.experiments.sweep.store import Store

    points = points_of(spec, plugins)
    known = {}
    if store.exists():
        with Store(store, create=False) as results:
            known = results.results(point.key for point in points)
    states = ["failed" if p.key in known and known[p.key].failed else "done" if p.key in known else "" for p in points]
    if as_json:
        rows: list[dict[str, Any]] = [
            {**point.axes, "name": point.problem.name, "key": point.key, "state": state or "to do"}
            for point, state in zip(points, states, strict=True)
        ]
        say_json({"axes": list(spec.axes), "points": rows})
        return
    table = columns("#>", *(_header(axis) for axis in spec.axes), "instance", "state")
    for number, (point, state) in enumerate(zip(points, states, strict=True), 1):
        values = (_value(axis, point.axes[axis]) for axis in spec.axes)
        table.add_row(whole(number), *values, point.problem.name, state or "to do")
    fixed = ", ".join(f"{name} {_value(name, setting.label)}" for name, setting in spec.fixed.items())
    say(heading(f"{len(points):,} points" + (f"; {fixed}" if fixed else "")), table)


def _summary(result: SweepResult) -> str:
    parts = [f"{len(result.rows):,} points"]
    if result.failed:
        parts.append(f"{len(result.failed):,} failed (--retry-failed runs them again)")
    if result.pending:
        parts.append(f"{result.pending:,} not run yet (the same command goes on with them)")
    return ", ".join(parts)


def _table(result: SweepResult) -> Table:
    from ssmopt.experiments.sweep.frame import axis_column

    axes = [axis for axis in result.axes if axis != "solver"]
    table = columns(
        *(_header(axis) for axis in axes), "solver", "status", "makespan>", "lower bound>", "gap>", "DRAM traffic>",
        "peak SRAM>", "time>", "note",
    )  # fmt: skip
    for row in result.rows:
        taken = "" if row["taken_from"] is None else f"schedule of {row['taken_from']}"
        seconds = row["wall_seconds"]
        table.add_row(
            *(_value(axis, row.get(axis_column(axis))) for axis in axes),
            row["solver"],
            row["status"],
            whole(row["makespan"]),
            whole(row["lower_bound"]),
            percent(row["gap"]),
            megabytes(row["dram_bytes"]),
            size(row["peak_memory_bytes"]),
            "-" if seconds is None else f"{seconds:.1f} s",
            row["error"] or taken,
        )
    return table


def _header(axis: str) -> str:
    """A column's title; numbers stand to the right."""
    return (
        axis if axis in ("model", "hardware", "instance", "solver", "scope", "form", "tiling", "dtype") else f"{axis}>"
    )


def _value(axis: str, value: object) -> str:
    if value is None:
        return "-"
    if axis == "sram" or axis.endswith(".capacity"):
        return size(value if isinstance(value, int) else None)
    return str(value)
