"""What a figure is: a table of numbers, and a picture drawn from nothing but that table."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from ssmopt.errors import InputError
from ssmopt.files.atomic import check_writable, write_bytes_atomically, write_text_atomically
from ssmopt.hardware import Hardware
from ssmopt.library import load_hardware, load_model
from ssmopt.model import Model
from ssmopt.problem import Problem

SUFFIXES = (".png", ".svg", ".csv")
"""Files that a figure is saved as."""

_DPI = 150

Point = TypeVar("Point")


@dataclass(frozen=True)
class FigureProgress:
    """How far a figure is.

    Attributes
    ----------
    done, total
        Points of the figure that are there, and that there will be.
    what
        What is being computed now, in a few words; empty at the end.
    elapsed_seconds
        Wall time since the figure was begun.
    """

    done: int
    total: int
    what: str
    elapsed_seconds: float


FigureListener = Callable[[FigureProgress], None]
"""Called whenever a figure gets on."""


class FigureInterrupted(KeyboardInterrupt):
    """A signal ended a figure; its finished points are kept where there is a store.

    Attributes
    ----------
    number
        Number of the signal.
    done, total
        Points that are finished, and all.
    kept
        Whether there is a store, from which the same call goes on.
    """

    def __init__(self, number: int, done: int, total: int, *, kept: bool = False):
        goes_on = "; the same command goes on from there" if kept else ""
        super().__init__(f"interrupted with {done:,} of {total:,} points finished{goes_on}")
        self.number, self.done, self.total = number, done, total


@dataclass(frozen=True)
class FigureOptions:
    """How a figure is made; every figure takes them all, and says if one means nothing to it.

    Attributes
    ----------
    quick
        Fewer points, and less time for each: a look in seconds instead of the picture for a paper.
    model, hardware
        What runs on what: names in the library, paths of YAML files, or objects.
    seq_lens
        Tokens instead of the figure's own.
    srams
        Bytes of SRAM instead of the figure's own, where it varies them.
    seconds
        Wall seconds that a solver may take for each point; None is the figure's own choice.
    workers
        Points that are solved at once, each by one thread; None takes every core of this machine.
    store
        SQLite file that keeps finished points, so that an interrupted figure goes on where it stopped; None keeps
        nothing.
    on_progress
        Called whenever a point is done.
    """

    quick: bool = False
    model: str | Model = "mamba1-2.7b-n64"
    hardware: str | Hardware = "marca"
    seq_lens: Sequence[int] | None = None
    srams: Sequence[int] | None = None
    seconds: float | None = None
    workers: int | None = None
    store: str | os.PathLike[str] | None = None
    on_progress: FigureListener | None = None
    _started: float = field(default_factory=time.monotonic, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seconds is not None and not self.seconds > 0:
            raise InputError(f"the seconds per point must be positive, not {self.seconds}")
        if self.workers is not None and self.workers <= 0:
            raise InputError(f"the number of workers must be positive, not {self.workers}")
        for name, values in (("tokens", self.seq_lens), ("bytes of SRAM", self.srams)):
            if values is not None and not (values and all(value > 0 for value in values)):
                raise InputError(f"expected positive numbers of {name}, not {list(values)}")

    @property
    def n_workers(self) -> int:
        """Points solved at once."""
        return self.workers or os.cpu_count() or 1

    def lengths(self, full: Sequence[int], quick: Sequence[int]) -> tuple[int, ...]:
        """The tokens that were asked for, or else a figure's own for its full or its quick form, ascending."""
        return tuple(sorted(set(self.seq_lens or (quick if self.quick else full))))

    def load_model(self) -> Model:
        """The model, read from the library where it is only named."""
        return self.model if isinstance(self.model, Model) else load_model(self.model)

    def load_hardware(self, sram_bytes: int | None = None) -> Hardware:
        """The accelerator, read from the library where it is only named, with another SRAM if one is given."""
        hardware = self.hardware if isinstance(self.hardware, Hardware) else load_hardware(self.hardware)
        return hardware if sram_bytes is None else hardware.override("sram", sram_bytes)

    def problem(self, seq_len: int, sram_bytes: int | None = None, scope: str = "block") -> Problem:
        """One block of the model on the accelerator."""
        model, hardware = self.load_model(), self.load_hardware(sram_bytes)
        return Problem(f"{model.name}-{hardware.name}-L{seq_len}", model, hardware, seq_len, scope=scope)

    def report(self, done: int, total: int, what: str = "") -> None:
        """Tell whoever listens how far the figure is."""
        if self.on_progress is not None:
            self.on_progress(FigureProgress(done, total, what, time.monotonic() - self._started))

    def each(self, points: Iterable[Point], describe: Callable[[Point], str] = str) -> Iterator[Point]:
        """The points one after another, with a report before each and one at the end."""
        every = list(points)
        for done, point in enumerate(every):
            self.report(done, len(every), describe(point))
            yield point
        self.report(len(every), len(every))


@dataclass(frozen=True)
class FigureKind:
    """A kind of figure.

    Attributes
    ----------
    name
        What the command line calls it, and the stem of its files.
    summary
        What it shows, in one line.
    data
        The numbers: one row per point, a unit in the name of every column that has one. Equal options give equal
        rows, as far as solvers under a time limit can.
    draw
        The picture of such a table, read from CSV or fresh; it computes nothing that could not be checked by eye.
    """

    name: str
    summary: str
    data: Callable[[FigureOptions], pd.DataFrame]
    draw: Callable[[pd.DataFrame], Figure]

    def make(self, options: FigureOptions | None = None) -> FigureResult:
        """Compute the numbers, and draw them."""
        frame = self.data(options or FigureOptions())
        return FigureResult(self.name, frame, self.draw(frame))


@dataclass(frozen=True)
class FigureResult:
    """A finished figure; the last expression of a notebook cell shows it.

    Attributes
    ----------
    name
        Name of its kind.
    frame
        The numbers, one row per point.
    figure
        The picture.
    """

    name: str
    frame: pd.DataFrame
    figure: Figure

    def save(self, directory: str | os.PathLike[str] = ".") -> list[Path]:
        """Write picture (PNG and SVG) and numbers (CSV) to a folder, which is made if there is none.

        Equal numbers give equal SVG and CSV files.

        Raises
        ------
        InputError
            The folder or a file cannot be written.
        """
        paths = figure_paths(self.name, directory)
        for path in paths:
            if path.suffix == ".csv":
                write_text_atomically(path, self.frame.to_csv(index=False, lineterminator="\n"))
            else:
                write_bytes_atomically(path, self._picture(path.suffix.lstrip(".")))
        return paths

    def records(self) -> list[dict[str, object]]:
        """The rows as JSON knows them: what is missing is None."""
        return [dict(row) for row in json.loads(self.frame.to_json(orient="records", double_precision=15))]

    def _picture(self, kind: str) -> bytes:
        """The picture as PNG, or as SVG with text as text and without a date."""
        buffer = io.BytesIO()
        with matplotlib.rc_context({"svg.hashsalt": self.name, "svg.fonttype": "none"}):
            metadata = {"Date": None} if kind == "svg" else None
            self.figure.savefig(buffer, format=kind, dpi=_DPI, metadata=metadata)
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        return self._picture("png")


def figure_paths(name: str, directory: str | os.PathLike[str]) -> list[Path]:
    """The files that a figure is saved as; its folder exists and they can be written, or `InputError` says why not."""
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"cannot be made a folder: {reason}", file=os.fspath(directory)) from None
    paths = [folder / f"{name}{suffix}" for suffix in SUFFIXES]
    for path in paths:
        check_writable(path)
    return paths
