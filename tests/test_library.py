from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ssmopt import library
from ssmopt.errors import InputError

REAL_MODELS = ("mamba-130m", "mamba-370m", "mamba-790m", "mamba-1.4b", "mamba-2.8b", "mamba1-2.7b-n64")
MAMBA2_MODELS = ("mamba2-130m", "mamba2-370m", "mamba2-780m", "mamba2-1.3b", "mamba2-2.7b")


def test_names() -> None:
    assert {*REAL_MODELS, *MAMBA2_MODELS, "mamba-tiny", "mamba2-tiny"} <= set(library.list_models())
    assert {"array-vector", "marca", "marca-32core", "tiny"} <= set(library.list_hardware())
    expected = {
        f"{model}-{hardware}-L{tokens}"
        for model in REAL_MODELS
        for hardware in ("marca", "marca-32core", "array-vector")
        for tokens in (1, 16, 64, 1024)
    }
    expected |= {
        f"{model}-{hardware}-L{tokens}{suffix}"
        for model in MAMBA2_MODELS
        for hardware in ("marca", "marca-32core", "array-vector")
        for tokens in (1, 64, 1024)
        for suffix in ("", "-chunked")
    }
    assert expected <= set(library.list_instances())
    for names in (library.list_models(), library.list_hardware(), library.list_instances()):
        assert names == sorted(names)


@pytest.mark.parametrize("name", library.list_models())
def test_every_model_loads_under_its_name(name: str) -> None:
    assert library.load_model(name).name == name


@pytest.mark.parametrize("name", library.list_hardware())
def test_every_hardware_loads_under_its_name(name: str) -> None:
    assert library.load_hardware(name).name == name


@pytest.mark.parametrize("name", library.list_instances())
def test_every_instance_is_what_its_name_says(name: str) -> None:
    problem, tiling = library.load_problem(name)
    assert problem.name == name
    if problem.model.name in (*REAL_MODELS, *MAMBA2_MODELS):
        suffix = "-chunked" if problem.form == "chunked" else ""
        assert name == f"{problem.model.name}-{problem.hardware.name}-L{problem.seq_len}{suffix}"
        assert tiling is None


@pytest.mark.parametrize(
    ("name", "layers", "d_model", "d_state", "dt_rank"),
    [
        ("mamba-130m", 24, 768, 16, 48),
        ("mamba-370m", 48, 1024, 16, 64),
        ("mamba-790m", 48, 1536, 16, 96),
        ("mamba-1.4b", 48, 2048, 16, 128),
        ("mamba-2.8b", 64, 2560, 16, 160),
        ("mamba1-2.7b-n64", 64, 2560, 64, 160),
        ("mamba-tiny", 2, 8, 4, 1),
    ],
)
def test_model_facts(name: str, layers: int, d_model: int, d_state: int, dt_rank: int) -> None:
    model = library.load_model(name)
    assert (model.layers, model.d_model, model.d_state, model.dt_rank) == (layers, d_model, d_state, dt_rank)
    assert (model.d_inner, model.d_conv) == (2 * d_model, 4)


@pytest.mark.parametrize(
    ("name", "layers", "d_model", "n_heads"),
    [
        ("mamba2-130m", 24, 768, 24),
        ("mamba2-370m", 48, 1024, 32),
        ("mamba2-780m", 48, 1536, 48),
        ("mamba2-1.3b", 48, 2048, 64),
        ("mamba2-2.7b", 64, 2560, 80),
    ],
)
def test_mamba2_facts(name: str, layers: int, d_model: int, n_heads: int) -> None:
    model = library.load_model(name)
    assert (model.layers, model.d_model, model.d_inner, model.n_heads) == (layers, d_model, 2 * d_model, n_heads)
    assert (model.d_state, model.d_conv, model.head_dim, model.n_groups, model.chunk_size) == (128, 4, 64, 1, 256)


def test_hardware_facts() -> None:
    marca, many, vector = (library.load_hardware(n) for n in ("marca", "marca-32core", "array-vector"))
    for hardware in (marca, many):
        assert [memory.capacity for memory in hardware.memories] == [24 << 20]
        assert [channel.bandwidth for channel in hardware.channels] == [256]
        assert sum(core.count * core.processing_elements for core in hardware.cores) == 8192
        assert (hardware.area_mm2, hardware.dram_pj_per_bit, hardware.clock_ghz) == (222, 7, 1)
    assert [core.count for core in many.cores] == [32]
    private = library.load_hardware("marca-32core-private")
    assert [(memory.capacity, memory.count) for memory in private.memories] == [(768 << 10, 32)]
    assert private.capacity_bytes == 24 << 20
    assert private.cores == many.cores
    assert [(channel.bandwidth, channel.lanes) for channel in private.channels] == [(256, 1), (256, 32)]
    assert [channel.connects for channel in private.channels] == [("dram", "sram"), ("sram",)]
    assert vector.memories[0].capacity == 1 << 19
    assert vector.channels[0].bandwidth == 400
    assert [(core.runs, core.rows, core.columns) for core in vector.cores] == [
        (("gemm",), 64, 64),
        (("depthwise", "elementwise", "reduction"), 64, 1),
    ]


@pytest.mark.parametrize(
    ("load", "name", "message"),
    [
        (library.load_model, "mamba-130", "unknown model 'mamba-130'; did you mean 'mamba-130m'"),
        (library.load_hardware, "marka", "unknown hardware 'marka'; did you mean 'marca'"),
        (library.load_problem, "mamba-130m-marca-L63", "unknown instance 'mamba-130m-marca-L63'; did you mean "),
        (library.load_model, "", "unknown model ''; known: mamba-1.4b"),
        (library.load_model, "x\0y", "unknown model"),
        (
            library.load_model,
            "mamba-130m.yaml",
            "mamba-130m.yaml: no such file; the library's own model is called 'mamba-",
        ),
        (library.load_model, "./mamba-130m", "./mamba-130m: no such file; the library's own model is called 'mamba-"),
        (library.load_model, "nothing/at/all.yaml", "nothing/at/all.yaml: no such file"),
        (library.load_model, "/", "/: expected a file, but this is a folder"),
    ],
)
def test_unknown_names(load: object, name: str, message: str) -> None:
    assert callable(load)
    with pytest.raises(InputError, match="^" + re.escape(message)):
        load(name)


def test_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = library._folder("models") / "mamba-tiny.yaml"
    shutil.copy(source, tmp_path / "mine.yaml")
    shutil.copy(source, tmp_path / "plain")
    monkeypatch.chdir(tmp_path)
    assert library.load_model("mine.yaml") == library.load_model("mamba-tiny")
    assert library.load_model("plain") == library.load_model("mamba-tiny")
    assert library.load_model(tmp_path / "mine.yaml") == library.load_model("mamba-tiny")
    assert library.load_problem("mamba-130m-marca-L1")[0].model.name == "mamba-130m"


def test_installed_package_brings_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "site-packages" / "ssmopt"
    (package / "data" / "models").mkdir(parents=True)
    shutil.copy(library._folder("models") / "mamba-tiny.yaml", package / "data" / "models")
    monkeypatch.setattr(library, "__file__", str(package / "library.py"))
    assert library.list_models() == ["mamba-tiny"]
    assert library.load_model("mamba-tiny").d_model == 8
    assert library.list_hardware() == []
