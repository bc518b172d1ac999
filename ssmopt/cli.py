"""The command line: wires the commands together and turns errors into one line and an exit code.

Exit codes: 0 for a schedule, 1 for none or an invalid one, 2 for bad input, 128 plus the signal's number after a
signal.
"""

from __future__ import annotations

import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import ssmopt
from ssmopt.commands.allocate import allocate
from ssmopt.commands.bounds import bounds
from ssmopt.commands.capacity import capacity
from ssmopt.commands.compare import compare
from ssmopt.commands.explain import explain
from ssmopt.commands.explore import explore
from ssmopt.commands.figure import figure
from ssmopt.commands.import_hardware import import_hardware
from ssmopt.commands.import_job_shop import import_job_shop
from ssmopt.commands.import_model import import_model
from ssmopt.commands.listing import list_names
from ssmopt.commands.output import complain, say
from ssmopt.commands.report import report
from ssmopt.commands.run import run
from ssmopt.commands.show import show
from ssmopt.commands.solve import solve
from ssmopt.commands.sweep import sweep
from ssmopt.commands.trace import trace
from ssmopt.commands.validate import validate
from ssmopt.errors import InputError, SsmoptError

BAD_INPUT = 2
NO_SCHEDULE = 1

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What the command line library raises for a wrong option or value; it is not public under one name everywhere."""


class _Commands(TyperGroup):
    """Commands whose expected errors become one line on stderr."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except SsmoptError as error:
            complain(f"error: {error}")
            raise typer.Exit(BAD_INPUT if isinstance(error, InputError) else NO_SCHEDULE) from None
        except _UsageError as error:
            told = getattr(error, "format_message", error.__str__)().rstrip(".")
            context = getattr(error, "ctx", None) or ctx
            complain(f"error: {told}; see '{context.command_path} --help'")
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt:
            # Only outside the search, which handles the signal itself and keeps what it has found.
            complain("interrupted")
            raise typer.Exit(130) from None


app = typer.Typer(
    name="ssmopt",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("solve")(solve)
app.command("compare")(compare)
app.command("sweep")(sweep)
app.command("validate")(validate)
app.command("explain")(explain)
app.command("trace")(trace)
app.command("report")(report)
app.command("allocate")(allocate)
app.command("run")(run)
app.command("list")(list_names)
app.command("show")(show)
app.command("bounds")(bounds)
app.command("capacity")(capacity)
app.command("figure")(figure)
app.command("explore")(explore)
app.command("import-model")(import_model)
app.command("import-hardware")(import_hardware)
app.command("import-job-shop")(import_job_shop)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"ssmopt {ssmopt.__version__}")
        raise typer.Exit()


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Schedules the prefill of state space models on tiled accelerators, and proves how good the schedule is.

    [bold]Examples[/bold]

    [cyan]$ ssmopt list instances[/cyan]

    [cyan]$ ssmopt solve mamba-130m-marca-L64[/cyan]

    [cyan]$ ssmopt compare mamba-130m-marca-L64[/cyan]
    """


def main() -> None:
    """Entry point of the ``ssmopt`` command."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding lacks is no reason to fail after a long run.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    try:
        app()
    finally:
        # Everything is written; a signal during the interpreter's own end must not change the exit code.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    main()
