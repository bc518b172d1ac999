"""Schedule files with every row: ordinary ones as they are, periodic ones written out."""

from __future__ import annotations

import os

from ssmopt.build import tile_problem
from ssmopt.errors import InputError
from ssmopt.files.folded import folded_from_document
from ssmopt.files.json_reader import read_document
from ssmopt.files.schedule import FORMAT, VERSION, read_schedule, schedule_from_document
from ssmopt.files.text import PathLike
from ssmopt.files.tiling import tiling_from_document
from ssmopt.folding.expand import expand
from ssmopt.instance import Instance
from ssmopt.problem import Problem
from ssmopt.schedule import Schedule
from ssmopt.tiling import Tiling

MOST_TILES = 1_000_000
"""Periodic schedules of more tiles are not written out: they are made so that nobody has to."""


def read_rows(path: PathLike, target: Problem | Instance, tiling: Tiling | None) -> tuple[Instance, Schedule]:
    """The tile instance that a schedule file belongs to, and the schedule with a row for every tile.

    Parameters
    ----------
    target
        What the schedule is for.
    tiling
        How to cut a problem, if the file does not say; None is its default tiling.

    Raises
    ------
    InputError
        The file cannot be read, belongs to another instance, or is periodic with more than `MOST_TILES` tiles.
    """
    if isinstance(target, Instance):
        return target, read_schedule(path, target)
    document = read_document(path, FORMAT, VERSION)
    try:
        if "periodic" in document:
            folded = folded_from_document(document, target)
            if folded.n_tiles > MOST_TILES:
                raise InputError(
                    f"this periodic schedule stands for {folded.n_tiles:,} tiles; up to {MOST_TILES:,} are written out "
                    "('ssmopt validate' and 'ssmopt show' work without)"
                )
            return expand(folded)
        instance = tile_problem(target, tiling_from_document(document["tiling"]) if "tiling" in document else tiling)
        return instance, schedule_from_document(document, instance)
    except InputError as error:
        raise error.at(file=os.fspath(path)) from None
