"""The command line: the smallest memory, solvers of the user, schedules to start from, and bounds."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import QUICK, TINY, Run, refused

from ssmopt import solvers


class TestCapacity:
    def test_the_number_is_enough_and_one_byte_less_is_not(self, run: Run) -> None:
        found = json.loads(run("capacity", *TINY, "--json").out)
        least = found["capacity_bytes"]
        assert found["exact"]
        assert least == found["bound_bytes"] == found["peak_memory_bytes"] == sum(found["tile_bytes"].values())
        solve = ("solve", *TINY, "--time-limit", "2", "--no-plot", "--quiet", "--sram")
        assert run(*solve, str(least)).code == 0
        refused(run(*solve, str(least - 1)), f"tile '{found['tile']}'", f"the smallest capacity is {least:,} bytes")

    def test_the_witness_can_be_written_and_checked(self, run: Run) -> None:
        name = "tiny-state-L4-scan"
        outcome = run("capacity", name, "-o", "witness.json", "--export", "tiles.json")
        assert outcome.code == 0
        assert "for these tiles" in outcome.out
        least = json.loads(run("capacity", name, "--json").out)["capacity_bytes"]
        assert run("validate", "tiles.json", "witness.json").code == 0
        assert run("validate", name, "witness.json", "--sram", str(least)).code == 0
        again = json.loads(run("capacity", "tiles.json", "--json").out)
        assert again["capacity_bytes"] == least
        assert not again["any_tiling"]


class TestPlugin:
    def test_a_solver_of_the_user_is_listed_run_and_compared(self, run: Run) -> None:
        Path("mine.py").write_text(
            "import ssmopt\n@ssmopt.register_solver('mine', summary='in order', source='me')\n"
            "def mine(instance):\n    if instance.n_tiles < 3:\n        raise ValueError('too few')\n"
            "    return instance.topological_order\n"
        )
        try:
            plugin = ("--plugin", "mine.py")
            listed = json.loads(run("list", "solvers", *plugin, "--json").out)["solvers"]
            assert {"name": "mine", "summary": "in order", "source": "me"} in listed
            result = json.loads(run("solve", *TINY, *plugin, "--solver", "mine", "--json").out)
            assert (result["solver"], result["valid"]) == ("mine", True)
            rows = json.loads(run("compare", *TINY, *plugin, "--solver", "mine", "--json").out)["rows"]
            assert [row["solver"] for row in rows] == ["mine"]
            outcome = run("solve", "tiny-state-L4-scan", *plugin, "--solver", "min", "--json", "--quiet")
            refused(outcome, "did you mean 'mine'?")
            refused(run("solve", *TINY, "--plugin", "his.py", "--json"), "his.py: no such file")
        finally:
            for known in (solvers._HEURISTICS, solvers._SOLVERS):
                known.pop("mine", None)


class TestStart:
    def test_a_schedule_file_is_where_the_search_begins(self, run: Run) -> None:
        assert run("solve", *TINY, "--solver", "heft", "-o", "known.json", "--no-plot", "--quiet").code == 0
        known = json.loads(Path("known.json").read_text())
        found = json.loads(run("solve", *TINY, "--start", "known.json", "--time-limit", "2", "--json").out)
        assert found["valid"]
        assert found["makespan"] <= known["makespan"]
        assert json.loads(run("solve", *TINY, *QUICK, "--start", "known.json", "--json").out)["note"]
        other = ("--model", "mamba-tiny", "--hardware", "tiny", "--seq-len", "5", "--quiet", "--json")
        refused(run("solve", *other, "--start", "known.json"), "known.json", "belongs to another instance")
        refused(run("solve", *TINY, "--start", "none.json", "--quiet"), "none.json")


class TestBounds:
    def test_for_people_and_without_a_search_for_a_tiling(self, run: Run) -> None:
        outcome = run("bounds", "mamba1-2.7b-n64-marca-L64", "--sram", "1MiB")
        assert outcome.code == 0
        for part in ("681,288", "1,048,576 bytes of SRAM force", "671,800", "work of pe", "under any tiling"):
            assert part in outcome.out
        assert "instance bounds" not in outcome.out

    def test_as_json_they_are_those_that_show_prints(self, run: Run) -> None:
        for name in ("tiny-state-L2-scan", "tiny-state-L1"):
            found = json.loads(run("bounds", name, "--json").out)
            shown = json.loads(run("show", name, "--json").out)
            assert {key: shown[key] for key in found} == found
            assert found["instance_bounds"][0]["cycles"] == max(b["cycles"] for b in found["instance_bounds"])
        assert json.loads(run("bounds", *TINY, "--json").out)["instance_bounds"] is None

    def test_of_a_tile_instance(self, run: Run) -> None:
        run("show", *TINY, "--export", "tiles.json")
        found = json.loads(run("bounds", "tiles.json", "--json").out)
        assert found["lower_bounds"] == found["instance_bounds"]
        outcome = run("bounds", "tiles.json")
        assert "instance bounds" in outcome.out
        assert "under any tiling" not in outcome.out

    def test_bad_input(self, run: Run) -> None:
        refused(run("bounds", "mamba-130m-marca-L65"), "did you mean 'mamba-130m-marca-L64'")
        refused(run("bounds", *TINY, "--sram", "1 furlong"), "--sram", "furlong")


class TestImportHardware:
    def test_a_machine_is_written_and_told_about(self, run: Run) -> None:
        example = str(Path(__file__).parents[1] / "examples" / "stream" / "quad-core.yaml")
        outcome = run("import-hardware", example, "--clock", "0.8")
        assert outcome.code == 0
        for part in ("wrote", "quad-core.yaml", "4 x matrix 32x32", "assumed: with no vector core", "not used"):
            assert part in outcome.out
        assert "clock_ghz: 0.8" in Path("quad-core.yaml").read_text()
        told = json.loads(run("import-hardware", example, "-o", "q.yaml", "--share-memory", "--json").out)
        assert (told["wrote"], told["memories"]) == ("q.yaml", "sram 2 MiB")
        assert told["notes"]
        show = ("show", "--model", "mamba-tiny", "--hardware", "q.yaml", "--seq-len", "2")
        assert run(*show).code == 0

    def test_bad_input_writes_nothing(self, run: Run) -> None:
        refused(run("import-hardware", "none.yaml"), "none.yaml: no such file")
        Path("bad.yaml").write_text("name: bad\ncores: [a.yaml]\n")
        refused(run("import-hardware", "bad.yaml"), "bad.yaml:2: cores[0]: no file for this core")
        assert [file.name for file in Path().iterdir()] == ["bad.yaml"]
