"""The command line: what it prints where, which files it writes, and its exit codes."""

from __future__ import annotations

import csv
import dataclasses
import importlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import QUICK, TINY, TINY_NAME, Run, files, refused

import ssmopt
from ssmopt.result import Result

SOLVE_MODULE = importlib.import_module("ssmopt.solve")  # the package has a function of the same name
RESULT_FIELDS = (
    "instance", "solver", "status", "makespan", "lower_bound", "bound_reason", "gap", "instance_bound", "instance_gap",
    "tiling", "latency_ms", "model_latency_ms", "ms_per_token", "tiles", "transfers", "dram_bytes",
    "peak_memory_bytes", "area_mm2", "energy_uj", "energy_compute_uj", "energy_sram_uj", "energy_dram_uj",
    "wall_seconds", "valid",
)  # fmt: skip


class TestHelp:
    @pytest.mark.parametrize(
        "command", ["solve", "compare", "validate", "run", "list", "show", "bounds", "capacity", "import-model"]
    )
    def test_every_command_shows_examples(self, run: Run, command: str) -> None:
        outcome = run(command, "--help")
        assert outcome.code == 0
        assert f"$ ssmopt {command}" in outcome.out
        assert "[cyan]" not in outcome.out

    def test_version(self, run: Run) -> None:
        outcome = run("--version")
        assert outcome.code == 0
        assert outcome.out.startswith("ssmopt ")

    def test_unknown_commands_and_options_are_bad_input(self, run: Run) -> None:
        assert run("sovle").code == 2
        assert run("solve", *TINY, "--frobnicate").code == 2
        assert run().code in (0, 2)  # shows the help; click changed its mind about the code


class TestNamingAnInstance:
    def test_misspelt_names_get_a_suggestion(self, run: Run) -> None:
        refused(run("show", "mamba-130m-marca-L65"), "did you mean 'mamba-130m-marca-L64'")
        refused(run("show", "--model", "mamba-130n", "--hardware", "marca", "--seq-len", "4"), "'mamba-130m'")
        refused(run("show", "--model", "mamba-130m", "--hardware", "marcs", "--seq-len", "4"), "'marca'")

    def test_two_ways_at_once_or_none_or_half(self, run: Run) -> None:
        refused(run("solve", "mamba-130m-marca-L64", "--seq-len", "8"), "not both", "--seq-len")
        refused(run("solve"), "which instance?")
        refused(run("solve", "--model", "mamba-tiny"), "--hardware and --seq-len")

    def test_missing_files(self, run: Run) -> None:
        refused(run("show", "nowhere.yaml"), "nowhere.yaml", "no such file")
        refused(run("show", "nowhere.json"), "nowhere.json", "no such file")
        Path("bad.json").write_text("{")
        refused(run("show", "bad.json"), "bad.json")

    def test_numbers_out_of_range(self, run: Run) -> None:
        assert run("solve", *TINY[:-1], "0").code == 2
        assert run("solve", *TINY, "--time-limit", "0").code == 2
        assert run("solve", *TINY, "--time-limit", "nan").code == 2
        assert run("solve", *TINY, "--workers", "0").code == 2
        assert run("solve", *TINY, "--seed", "-1").code == 2

    def test_sram_is_a_size_and_makes_another_instance(self, run: Run) -> None:
        refused(run("show", *TINY, "--sram", "1 furlong"), "--sram", "furlong")
        refused(run("show", *TINY, "--sram", "-1"), "--sram")
        shown = json.loads(run("show", *TINY, "--sram", "3KiB", "--json").out)
        assert shown["memories"] == {"sram": 3072}
        assert shown["instance"] == f"{TINY_NAME}-sram-3KiB"

    def test_sram_too_small_for_any_schedule(self, run: Run) -> None:
        outcome = run("solve", *TINY, "--sram", "8")
        assert outcome.code in (1, 2)
        assert "Traceback" not in outcome.err

    def test_sram_does_not_go_with_a_tile_instance(self, run: Run) -> None:
        run("show", *TINY, "--export", "tiles.json")
        refused(run("show", "tiles.json", "--sram", "1MiB"), "--sram")


class TestList:
    def test_everything(self, run: Run) -> None:
        outcome = run("list")
        assert outcome.code == 0
        for name in ("mamba-2.8b", "array-vector", "mamba1-2.7b-n64-marca-L1024", "layer-by-layer"):
            assert name in outcome.out

    @pytest.mark.parametrize("kind", ["models", "hardware", "instances", "solvers"])
    def test_one_kind_as_json(self, run: Run, kind: str) -> None:
        found = json.loads(run("list", kind, "--json").out)
        assert list(found) == [kind]
        assert all(entry["name"] for entry in found[kind])

    def test_unknown_kind(self, run: Run) -> None:
        refused(run("list", "model"), "did you mean 'models'")


class TestShow:
    def test_for_people(self, run: Run) -> None:
        outcome = run("show", "mamba-130m-marca-L64")
        assert outcome.code == 0
        for part in ("24 layers", "24 MiB", "in_proj", "out_proj", "compulsory traffic", "instance bounds"):
            assert part in outcome.out

    def test_as_json_with_export(self, run: Run) -> None:
        shown = json.loads(run("show", *TINY, "--json", "--export", "tiles.json").out)
        exported = json.loads(Path("tiles.json").read_text())
        assert shown["tiles"] == len(exported["tiles"]) == sum(entry["tiles"] for entry in shown["operators"])
        assert shown["model"]["name"] == "mamba-tiny"
        in_proj = next(entry for entry in shown["operators"] if entry["operator"] == "in_proj")
        assert in_proj["weight_bytes"] == 8 * 32 * 4
        assert shown["lower_bounds"][0]["cycles"] == max(bound["cycles"] for bound in shown["lower_bounds"])

    def test_an_exported_instance_can_be_shown(self, run: Run) -> None:
        shown = json.loads(run("show", *TINY, "--json", "--export", "tiles.json").out)
        again = json.loads(run("show", "tiles.json", "--json").out)
        # Which operations tiles do is known only where they come from a model.
        only_of_models = ("macs", "operations", "operations_per_byte", "roofline_cycles")
        for entry in shown["operators"]:
            assert all(entry[key] is not None for key in only_of_models)
            entry.update(dict.fromkeys(only_of_models))
        assert again["operators"] == shown["operators"]
        assert again["lower_bounds"] == again["instance_bounds"]
        assert "model" not in again
        assert run("show", "tiles.json").code == 0

    def test_unwritable_export(self, run: Run) -> None:
        refused(run("show", *TINY, "--export", "no/such/folder.json"), "cannot be written")


class TestSolve:
    def test_writes_schedule_and_picture_and_prints_a_table(self, run: Run) -> None:
        outcome = run("solve", *TINY, *QUICK, "--time-limit", "20")
        assert outcome.code == 0
        assert files() == {f"{TINY_NAME}.schedule.json", f"{TINY_NAME}.schedule.png"}
        for part in ("makespan", "lower bound", "gap", "DRAM traffic", "peak SRAM", "wrote", "valid"):
            assert part in outcome.out
        assert "solving" in outcome.err
        found = json.loads(Path(f"{TINY_NAME}.schedule.json").read_text())["makespan"]
        assert f"makespan {found:,}" in outcome.err.splitlines()[-1]

    def test_json_prints_one_object_and_writes_nothing(self, run: Run) -> None:
        outcome = run("solve", *TINY, *QUICK, "--json", "--quiet")
        assert outcome.code == 0
        assert outcome.err == ""
        fields = json.loads(outcome.out)
        assert set(RESULT_FIELDS) <= set(fields)
        assert fields["instance"] == TINY_NAME
        assert fields["valid"] is True
        assert fields["makespan"] >= fields["lower_bound"] > 0
        assert not files()

    def test_json_writes_what_is_asked_for(self, run: Run) -> None:
        outcome = run("solve", *TINY, *QUICK, "--json", "-o", "s.json", "--plot", "p.svg", "--export", "t.json")
        assert outcome.code == 0
        assert files() == {"s.json", "p.svg", "t.json"}
        assert json.loads(Path("s.json").read_text())["makespan"] == json.loads(outcome.out)["makespan"]

    def test_the_default_solver_is_no_worse(self, run: Run) -> None:
        # On a given tiling: the search for one depends on the time that is left.
        quick = json.loads(run("solve", "tiny-state-L4-scan", *QUICK, "--json", "--quiet").out)
        auto = json.loads(run("solve", "tiny-state-L4-scan", "--json", "--quiet").out)
        assert auto["status"] == "OPTIMAL"
        assert auto["makespan"] < quick["makespan"]

    def test_no_plot(self, run: Run) -> None:
        assert run("solve", *TINY, *QUICK, "--no-plot").code == 0
        assert files() == {f"{TINY_NAME}.schedule.json"}
        refused(run("solve", *TINY, "--plot", "a.png", "--no-plot"), "not both")

    def test_a_tile_instance_can_be_solved(self, run: Run) -> None:
        run("show", *TINY, "--export", "tiles.json")
        fields = json.loads(run("solve", "tiles.json", "--time-limit", "3", "--json").out)
        assert fields["valid"]
        assert fields["latency_ms"] is None
        assert fields["lower_bound"] == fields["instance_bound"]

    def test_files_are_checked_before_solving(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(SOLVE_MODULE, "solve", None)
        refused(run("solve", *TINY, "-o", "no/such/folder.json"), "cannot be written")
        refused(run("solve", *TINY, "--plot", "no/such/folder.png"), "cannot be written")
        refused(run("solve", *TINY, "--plot", "picture.gif"), "unknown picture format")
        refused(run("solve", *TINY, "--solver", "fuse-blok"), "did you mean 'fuse-block'")

    def test_without_a_schedule_the_code_is_1(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        patch_result(monkeypatch, schedule=None, status="UNKNOWN")
        outcome = run("solve", *TINY)
        assert outcome.code == 1
        assert "no schedule" in outcome.out
        assert not files()
        assert json.loads(run("solve", *TINY, "--json").out)["makespan"] is None

    @pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
    def test_after_a_signal_the_best_schedule_is_written(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, signum: signal.Signals
    ) -> None:
        patch_result(monkeypatch, interrupted=int(signum))
        assert run("solve", *TINY).code == 128 + signum
        assert len(files()) == 2


def patch_result(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """Change what the solver returns."""
    original = SOLVE_MODULE.solve

    def changed(*args: object, **options: object) -> Result:
        result: Result = original(*args, **{**options, "solver": "fuse-block"})  # type: ignore[arg-type]
        return dataclasses.replace(result, **changes)

    monkeypatch.setattr(SOLVE_MODULE, "solve", changed)


class TestValidate:
    def test_a_valid_schedule(self, run: Run) -> None:
        run("solve", *TINY, *QUICK, "--json", "-o", "s.json", "--export", "t.json")
        outcome = run("validate", "t.json", "s.json")
        assert outcome.code == 0
        assert outcome.out.startswith("valid: makespan ")
        found = json.loads(run("validate", "t.json", "s.json", "--json").out)
        assert found["valid"] is True
        assert found["violations"] == []

    def test_a_broken_schedule(self, run: Run) -> None:
        run("solve", *TINY, *QUICK, "--json", "-o", "s.json", "--export", "t.json")
        document = json.loads(Path("s.json").read_text())
        document["tiles"][0]["end"] += 1
        document["makespan"] += 7
        Path("s.json").write_text(json.dumps(document))
        outcome = run("validate", "t.json", "s.json")
        assert outcome.code == 1
        assert "V1" in outcome.out
        assert "V9" in outcome.out
        broken = run("validate", "t.json", "s.json", "--json")
        assert broken.code == 1
        rules = [violation["rule"] for violation in json.loads(broken.out)["violations"]]
        assert {"V1", "V9"} <= set(rules)

    def test_a_schedule_of_something_else(self, run: Run) -> None:
        run("solve", *TINY, *QUICK, "--json", "-o", "s.json")
        refused(run("validate", "mamba-130m-marca-L1", "s.json"), "another instance")
        refused(run("validate", "mamba-130m-marca-L1", "none.json"), "no such file")


class TestCompare:
    def test_table_and_files(self, run: Run) -> None:
        outcome = run("compare", *TINY, "--time-limit", "4", "--csv", "rows.csv", "--plot", "bars.png")
        assert outcome.code == 0
        assert files() == {"rows.csv", "bars.png"}
        for part in ("layer-by-layer", "speed-up", "gap", "lower bound"):
            assert part in outcome.out
        rows = list(csv.DictReader(io.StringIO(Path("rows.csv").read_text())))
        makespans = [int(row["makespan"]) for row in rows if row["makespan"]]
        assert makespans == sorted(makespans, reverse=True)
        assert set(RESULT_FIELDS) | {"speedup"} <= set(rows[0])

    def test_json_of_chosen_solvers(self, run: Run) -> None:
        outcome = run(
            "compare", *TINY, "--solver", "layer-by-layer", "--solver", "fuse-block", "--json", "--quiet"
        )  # fmt: skip
        found = json.loads(outcome.out)
        assert outcome.err == ""
        assert [row["solver"] for row in found["rows"]] == ["layer-by-layer", "fuse-block"]
        assert found["rows"][0]["speedup"] == 1
        assert found["instance"] == TINY_NAME
        assert found["bound_reason"]

    def test_unknown_solver(self, run: Run) -> None:
        refused(run("compare", *TINY, "--solver", "layer-by-player"), "did you mean 'layer-by-layer'")
        refused(run("compare", *TINY, "--plot", "a.bmp"), "unknown picture format")


class TestProcess:
    """What only a process of its own can show."""

    environment = {**os.environ, "PYTHONPATH": str(Path(ssmopt.__file__).parents[1])}  # noqa: RUF012

    def command(self, *args: str) -> list[str]:
        return [sys.executable, "-c", "from ssmopt.cli import main; main()", *args]

    @pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_signals_keep_the_best_schedule(self, tmp_path: Path, signum: signal.Signals, code: int) -> None:
        name = "mamba-130m-array-vector-L64"  # far from proved within seconds
        process = subprocess.Popen(
            self.command("solve", name, "--time-limit", "16", "--no-plot"),
            cwd=tmp_path, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stderr is not None
        for line in process.stderr:
            if "makespan" in line:
                break
        process.send_signal(signum)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code, err
        assert "Traceback" not in err
        assert "makespan" in out
        document = json.loads((tmp_path / f"{name}.schedule.json").read_text())
        assert document["tiles"]

    def test_a_reader_that_stops_early_is_no_error(self, tmp_path: Path) -> None:
        read, write = os.pipe()
        os.close(read)
        process = subprocess.run(
            self.command("list", "instances"),
            cwd=tmp_path,
            env=self.environment,
            stdout=write,
            stderr=subprocess.PIPE,
            check=False,
        )
        os.close(write)
        assert process.returncode == 0
        assert process.stderr == b""

    def test_output_without_unicode(self, tmp_path: Path) -> None:
        environment = {**self.environment, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
        process = subprocess.run(
            self.command("list", "models"), cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        assert process.returncode == 0
        assert b"mamba-130m" in process.stdout
        assert process.stdout.isascii()
