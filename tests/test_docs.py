"""What docs/files.md shows can be read as it stands; what the guides tell to run runs."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import ssmopt
from ssmopt import library
from ssmopt.cli import app

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "files.md").read_text(encoding="utf-8")
YAML, JSON = (re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL) for kind in ("yaml", "json"))


def test_the_yaml_files(tmp_path: Path) -> None:
    model, hardware, private, instance, tiling = YAML
    for name, text in (("model", model), ("hardware", hardware), ("instance", instance)):
        (tmp_path / f"{name}.yaml").write_text(text)
    assert library.load_model(tmp_path / "model.yaml") == library.load_model("mamba-130m")
    assert len(library.load_hardware(tmp_path / "hardware.yaml").cores) == 2
    head = "".join(line for line in hardware.splitlines(keepends=True) if line.startswith(("clock_ghz", "op_cycles")))
    (tmp_path / "private.yaml").write_text(head + private)
    ours, known = library.load_hardware(tmp_path / "private.yaml"), library.load_hardware("marca-32core-private")
    assert (ours.memories, ours.cores, ours.channels) == (known.memories, known.cores, known.channels)
    problem, none = library.load_problem(tmp_path / "instance.yaml")
    assert none is None
    assert problem.hardware.memories[0].capacity == 6 << 20

    tiled = re.sub(r"^tiling: auto.*$", tiling, instance, flags=re.MULTILINE)
    (tmp_path / "tiled.yaml").write_text(tiled)
    _, cuts = library.load_problem(tmp_path / "tiled.yaml")
    assert cuts is not None
    assert (cuts.scan, cuts.channel_splits, cuts.projections["in_proj"].columns) == (True, 4, 32)


def test_the_tile_instance_and_its_optimum(tmp_path: Path) -> None:
    tiles, schedule, _ = JSON
    (tmp_path / "tiles.json").write_text(tiles)
    result = ssmopt.solve(ssmopt.load_instance(tmp_path / "tiles.json"))
    (stated,) = re.findall(r"the optimum is (\d+) cycles", PAGE)
    assert result.status == "OPTIMAL"
    assert result.makespan == int(stated)

    document = json.loads(schedule)
    assert result.schedule is not None
    assert document["makespan"] == result.makespan
    schema = json.loads((ROOT / "ssmopt" / "schemas" / "schedule.schema.json").read_text())
    document["instance"]["sha256"] = "0" * 64
    for rows in ("tiles", "transfers", "residencies"):
        document[rows] = [row for row in document[rows] if row != "..."]
    jsonschema.validate(document, schema)


def test_the_periodic_schedule_has_the_keys_of_the_schema() -> None:
    document = json.loads(JSON[2])
    schema = json.loads((ROOT / "ssmopt" / "schemas" / "periodic-schedule.schema.json").read_text())
    assert set(document) == set(schema["required"])
    inside, expected = document["periodic"], schema["properties"]["periodic"]
    assert set(inside) == set(expected["required"])
    assert inside["seq_len"] == inside["short_seq_len"] + (inside["repeats"] - 1) * inside["round_tokens"]
    document["instance"]["sha256"] = "0" * 64
    del document["tiling"]["..."]
    for part in ("prologue", "body", "epilogue"):
        assert set(inside[part]) == set(expected["properties"][part]["required"])
        inside[part] = {key: [] for key in inside[part]}
    jsonschema.validate(document, schema)


GUIDES = ("tutorial", "your-own-model", "your-own-hardware", "import-hardware")
"""Pages whose commands and scripts run as they stand, one after another, with the files that they show."""

SLOW = {"compare": 2, "solve": 2}
"""Seconds that commands may take here, whatever the page gives them."""


@pytest.mark.parametrize("guide", GUIDES)
def test_everything_on_a_guide_runs(guide: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / f"{guide}.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    ran = 0
    for kind, text in re.findall(r"```(yaml|sh|python)\n(.*?)```", page, re.DOTALL):
        if kind == "yaml":
            _save(text, page)
        elif kind == "python":
            exec(compile(text, f"{guide}.md", "exec"), {"__name__": "page"})
        else:
            for line in text.splitlines():
                words = shlex.split(line, comments=True)
                assert words[0] == "ssmopt"
                limit = ["--time-limit", str(SLOW[words[1]])] if words[1] in SLOW else []
                with pytest.raises(SystemExit) as stopped:
                    app([*words[1:], *limit], prog_name="ssmopt")
                assert not stopped.value.code, line
                ran += 1
    assert ran > 1


def _save(text: str, page: str) -> None:
    """Save a YAML block under the name that the page uses for it next."""
    (file,) = re.findall(r"\b[\w-]+\.yaml\b", page[page.index(text) :].replace(text, "", 1).split("```yaml")[0])[:1]
    Path(file).write_text(text)


def test_the_solver_of_the_example_runs(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "your-own-solver.md").read_text(encoding="utf-8")
    (solver,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (commands,) = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert len(solver.splitlines()) <= 25
    (tmp_path / "my_solver.py").write_text(solver)
    for command in commands.splitlines():
        words = command.split()
        assert words[0] == "ssmopt"
        limit = [] if words[1] == "list" else ["--time-limit", "3"]
        done = subprocess.run(
            [sys.executable, "-m", "ssmopt.cli", *words[1:], *limit],
            cwd=tmp_path, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "least-new" in done.stdout
