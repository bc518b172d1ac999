"""The command line: explanations, reports and traces of schedules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import QUICK, TINY, TINY_NAME, Run, files, refused
from export.trace_rules import Trace

SOLVE = ("solve", *TINY, *QUICK, "--quiet", "--no-plot", "--time-limit", "5")
SCHEDULE = f"{TINY_NAME}.schedule.json"


class TestWhichSchedule:
    @pytest.mark.parametrize(
        "options", [(), ("--sram", "4KiB"), ("--layers", "2"), ("--layers", "2", "--sram", "4KiB")]
    )
    def test_the_file_alone_says_which_instance(self, run: Run, options: tuple[str, ...]) -> None:
        assert run(*SOLVE, *options, "-o", "a.json").code == 0
        told = json.loads(run("explain", "a.json", "--json", "--no-gains").out)
        assert told["instance"] == json.loads(Path("a.json").read_text())["instance"]["name"]
        assert told["makespan"] == json.loads(Path("a.json").read_text())["makespan"]

    def test_the_instance_may_be_given(self, run: Run) -> None:
        assert run(*SOLVE, "--export", "tiles.json").code == 0
        expected = json.loads(run("explain", SCHEDULE, "--no-gains", "--json").out)
        for named in (("tiles.json", SCHEDULE), (SCHEDULE, *TINY)):
            assert json.loads(run("explain", *named, "--no-gains", "--json").out) == expected

    def test_an_unknown_instance_is_asked_for(self, run: Run) -> None:
        run(*SOLVE, "--export", "tiles.json")
        text = Path(SCHEDULE).read_text().replace(f'"name": "{TINY_NAME}"', '"name": "mine"')
        text = text.replace(f'"name":"{TINY_NAME}"', '"name":"mine"')
        Path("mine.json").write_text(text)
        for command in ("explain", "report", "trace"):
            refused(run(command, "mine.json"), "'mine'", "not in the library", "--model")
        # The name is only a name: the hash ties a schedule to its tiles.
        assert run("explain", "tiles.json", "mine.json", "--no-gains").code == 0

    def test_bad_input(self, run: Run) -> None:
        run(*SOLVE)
        refused(run("explain", "no.json"), "no.json: no such file")
        refused(run("explain", "a", "b", "c"), "an instance and a schedule")
        refused(run("explain", "mamba-130m-marca-L1", SCHEDULE), "another instance")
        refused(run("trace", SCHEDULE, "-o", "trace.txt"), "*.json")
        refused(run("trace", SCHEDULE, "-o", "no/trace.json"), "no folder")
        refused(run("report", SCHEDULE, "-o", "no/report.html"), "no folder")
        refused(run(*SOLVE, "--trace", "trace.txt"), "*.json")
        assert files() == {SCHEDULE}

    def test_a_schedule_that_breaks_a_rule_is_not_shown(self, run: Run) -> None:
        run(*SOLVE)
        document = json.loads(Path(SCHEDULE).read_text())
        document["tiles"][0]["start"] += 1
        Path("broken.json").write_text(json.dumps(document))
        for command in ("explain", "report", "trace"):
            outcome = run(command, "broken.json")
            assert outcome.code == 1
            assert "not feasible" in outcome.err
        assert files() == {SCHEDULE, "broken.json"}


class TestExplain:
    def test_the_tables_say_what_json_says(self, run: Run) -> None:
        run(*SOLVE)
        told = json.loads(run("explain", SCHEDULE, "--json", "--quiet").out)
        assert sum(told["chain_cycles"].values()) + told["chain_wait"] == told["makespan"]
        assert next(gain["change"] for gain in told["gains"]) == "as it is"
        assert {idle["resource"] for idle in told["idle"]} >= set(told["chain_cycles"])
        outcome = run("explain", SCHEDULE, "--stretches", "1")
        assert outcome.code == 0
        for part in ("critical chain", f"{told['makespan']:,} cycles", "gain at most", "nothing left", "SRAM x2"):
            assert part in outcome.out
        assert f"the longest 1 of {len(told['chain'])}" in outcome.out


class TestFiles:
    def test_report_and_trace(self, run: Run) -> None:
        run(*SOLVE)
        outcome = run("report", SCHEDULE, "-o", "a.html", "--time-limit", "1")
        assert outcome.code == 0
        assert "baselines" in outcome.err  # a progress line
        page = Path("a.html").read_text(encoding="utf-8")
        assert "layer-by-layer" in page
        assert "SRAM x2" in page
        assert run("report", SCHEDULE, "--no-baselines", "--no-gains").code == 0
        short = Path(f"{TINY_NAME}.report.html").read_text(encoding="utf-8")
        assert "layer-by-layer" not in short
        assert "SRAM x2" not in short
        assert run("trace", SCHEDULE).code == 0
        assert Trace(Path(f"{TINY_NAME}.trace.json.gz")).document["otherData"]["instance"] == TINY_NAME

    def test_solve_writes_both(self, run: Run) -> None:
        outcome = run(*SOLVE, "--report", "a.html", "--trace", "a.json")
        assert outcome.code == 0
        assert files() == {SCHEDULE, "a.html", "a.json"}
        assert "a.html" in outcome.out
        assert Trace(Path("a.json")).slices

    def test_tiles_of_a_file(self, run: Run) -> None:
        run(*SOLVE, "--export", "tiles.json")
        assert run("report", "tiles.json", SCHEDULE, "-o", "a.html", "--quiet").code == 0
        assert "heft" in Path("a.html").read_text(encoding="utf-8")

    def test_periodic_schedules_show_the_rounds_that_they_repeat(self, run: Run) -> None:
        solve = ("solve", *TINY[:4], "--seq-len", "900", "--solver", "periodic", "--quiet", "--no-plot")
        assert run(*solve, "--time-limit", "1", "-o", "long.json", "--report", "a.html", "--trace", "a.json").code == 0
        outcome = run("explain", "long.json", "--no-gains")
        assert outcome.code == 0
        assert "of 900 tokens" in outcome.out
        assert run("report", "long.json", "-o", "b.html", "--no-gains").code == 0
        for page in ("a.html", "b.html"):
            assert "of 900 tokens" in Path(page).read_text(encoding="utf-8")
        assert Trace(Path("a.json")).slices


@pytest.mark.parametrize("command", ["explain", "report", "trace"])
def test_every_command_shows_examples(run: Run, command: str) -> None:
    outcome = run(command, "--help")
    assert outcome.code == 0
    assert f"$ ssmopt {command}" in outcome.out
