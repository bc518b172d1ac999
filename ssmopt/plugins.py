"""Users' own files of Python, run for the solvers that they register."""

from __future__ import annotations

import importlib.util
import os
import sys
import traceback
from pathlib import Path

from ssmopt.errors import InputError
from ssmopt.files.text import PathLike
from ssmopt.solvers import registered_solvers


def load_plugin(path: PathLike) -> tuple[str, ...]:
    """Run a Python file that registers solvers; the names of those that it registers.

    Raises
    ------
    InputError
        The file cannot be read, fails, or registers nothing.
    """
    file = os.fspath(path)
    if not os.path.isfile(file):
        raise InputError("no such file", file=file)
    module_name = f"ssmopt_plugin_{Path(file).stem}"
    spec = importlib.util.spec_from_file_location(module_name, file)
    if spec is None or spec.loader is None:
        raise InputError("expected a Python file, whose name ends in .py", file=file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    before = registered_solvers()
    try:
        spec.loader.exec_module(module)
    except InputError as error:
        raise error.at(file=file, line=_line(error, file)) from None
    except SyntaxError as error:
        raise InputError(f"is no Python: {error.msg}", file=file, line=error.lineno) from None
    except Exception as error:
        raise InputError(f"{type(error).__name__}: {error}", file=file, line=_line(error, file)) from error
    after = registered_solvers()
    names = tuple(name for name, heuristic in after.items() if before.get(name) is not heuristic)
    if not names:
        raise InputError("registers no solver: decorate a function with @ssmopt.register_solver(name)", file=file)
    return names


def _line(error: BaseException, file: str) -> int | None:
    """The line of the file at which an exception passed."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return lines[-1] if lines else None
