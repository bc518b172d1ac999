"""Keeps ``instances/best_known.csv``, the best known schedule of each problem.

    python benchmarks/best_known.py SCHEDULE...                   offer schedule files
    python benchmarks/best_known.py --run NAME... --time-limit 60  solve instances, and offer what is found

An instance is a name from ``ssmopt list instances``, or such a name with ``-sram-SIZE`` behind it for another capacity,
which is how ``ssmopt solve NAME --sram SIZE`` names it. Every schedule is validated and its bound computed anew; a row
changes only if the makespan or the bound is strictly better.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ssmopt
from ssmopt.commands.target import Target, load_target
from ssmopt.errors import InputError, SsmoptError
from ssmopt.experiments.best_known import Table, offer, read_table, write_table
from ssmopt.files.json_reader import read_document
from ssmopt.library import list_instances
from ssmopt.start import read_start

TABLE = Path(__file__).parent.parent / "instances" / "best_known.csv"


def target_of(name: str) -> Target:
    """The instance of the library that a name means, with another capacity if it says one."""
    stem, mark, sram = name.rpartition("-sram-")
    return load_target(stem, sram=sram) if mark and name not in list_instances() else load_target(name)


def offered_file(table: Table, path: Path) -> tuple[Table, str]:
    """The table with the schedule of a file taken into account."""
    said = read_document(path, "ssmopt-schedule", 1).get("instance")
    name = said.get("name") if isinstance(said, dict) else None
    if not isinstance(name, str):
        raise InputError("expected the name of an instance", file=str(path), key="instance.name")
    start = read_start(target_of(name).what, None, path)
    return offer(table, start.instance, start.schedule, ssmopt.__version__)


def solved(table: Table, name: str, time_limit: float) -> tuple[Table, str]:
    """The table with what the solver finds for an instance taken into account."""
    target = target_of(name)
    result = ssmopt.solve(target.what, tiling=target.tiling, time_limit=time_limit)
    if result.schedule is None:
        return table, "no schedule found"
    return offer(table, result.instance, result.schedule, ssmopt.__version__)


def main() -> int:
    """Offer what the arguments name; 1 if something could not be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("schedules", nargs="*", type=Path, metavar="SCHEDULE")
    parser.add_argument("--run", nargs="+", default=[], metavar="NAME", help="instances to solve")
    parser.add_argument("--time-limit", type=float, default=60.0, help="wall seconds per instance")
    parser.add_argument("--table", type=Path, default=TABLE, help="the table to keep")
    options = parser.parse_args()
    failed = 0
    table: Table = read_table(options.table)
    for job in [*options.schedules, *options.run]:
        try:
            table, said = offered_file(table, job) if isinstance(job, Path) else solved(table, job, options.time_limit)
        except SsmoptError as error:
            failed, said = 1, f"refused: {error}"
        print(f"{job}: {said}", flush=True)
        write_table(options.table, table)
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
