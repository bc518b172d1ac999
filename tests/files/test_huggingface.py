from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ssmopt
from ssmopt.errors import InputError
from ssmopt.execute import execute, reference, relative_error
from ssmopt.files.huggingface import read_config, write_model

MAMBA: dict[str, Any] = {
    "architectures": ["MambaForCausalLM"],
    "model_type": "mamba",
    "hidden_size": 768,
    "intermediate_size": 1536,
    "num_hidden_layers": 24,
    "state_size": 16,
    "conv_kernel": 4,
    "expand": 2,
    "time_step_rank": 48,
    "use_bias": False,
    "use_conv_bias": True,
    "hidden_act": "silu",
    "layer_norm_epsilon": 1e-05,
    "residual_in_fp32": True,
    "vocab_size": 50280,
}
FALCON: dict[str, Any] = {
    **MAMBA,
    "model_type": "falcon_mamba",
    "hidden_size": 4096,
    "intermediate_size": 8192,
    "num_hidden_layers": 64,
    "time_step_rank": 256,
    "mixer_rms_eps": 1e-06,
}
MAMBA2: dict[str, Any] = {
    "model_type": "mamba2",
    "hidden_size": 4096,
    "num_hidden_layers": 64,
    "state_size": 128,
    "conv_kernel": 4,
    "expand": 2,
    "num_heads": 128,
    "head_dim": 64,
    "n_groups": 8,
    "chunk_size": 256,
    "rms_norm": True,
    "norm_before_gate": True,
    "use_bias": False,
    "use_conv_bias": True,
    "hidden_act": "silu",
    "time_step_limit": [0.0, float("inf")],
    "tie_word_embeddings": False,
}


def save(folder: Path, config: dict[str, Any]) -> Path:
    file = folder / "config.json"
    file.write_text(json.dumps(config))
    return file


def imported(folder: Path, config: dict[str, Any]) -> ssmopt.Model:
    family, numbers = read_config(save(folder, config))
    write_model(folder / "imported.yaml", "imported", family, numbers, "config.json")
    return ssmopt.load_model(folder / "imported.yaml")


def test_mamba_gives_the_model_of_the_library(tmp_path: Path) -> None:
    model, known = imported(tmp_path, MAMBA), ssmopt.load_model("mamba-130m")
    assert model.sizes() == known.sizes()
    assert model.layers == 24


def test_rank_auto_and_width_by_expansion(tmp_path: Path) -> None:
    config = {**MAMBA, "time_step_rank": "auto", "hidden_size": 1000, "intermediate_size": None}
    model = imported(tmp_path, config)
    assert (model.dt_rank, model.d_inner) == (63, 2000)


def test_mamba2_with_groups(tmp_path: Path) -> None:
    model = imported(tmp_path, MAMBA2)
    assert (model.family, model.n_heads, model.n_groups, model.d_inner) == ("mamba2", 128, 8, 8192)


def test_comments_name_the_fields(tmp_path: Path) -> None:
    imported(tmp_path, MAMBA)
    text = (tmp_path / "imported.yaml").read_text()
    for field in ("hidden_size", "num_hidden_layers", "state_size", "conv_kernel", "time_step_rank"):
        assert f"# {field}" in text


def test_falcon_mamba_normalises_and_still_computes_the_model(tmp_path: Path) -> None:
    small = {"hidden_size": 8, "intermediate_size": 12, "state_size": 3, "time_step_rank": 4, "num_hidden_layers": 2}
    model = imported(tmp_path, {**FALCON, **small})
    assert model.norm_dt_b_c
    tiling = ssmopt.Tiling(
        tokens=3,
        channel_splits=2,
        state_splits=2,
        projections={"dt_proj": ssmopt.ProjectionTiling(2, 2), "x_proj": ssmopt.ProjectionTiling(2, 3)},
    )
    instance = ssmopt.build_instance(model, "tiny", 7, tiling=tiling)
    assert {"norm_dt_r", "norm_B", "norm_C"} <= set(instance.meta.operators if instance.meta else ())
    for solver in ("layer-by-layer", "fuse-block", "heft"):
        result = ssmopt.solve(instance, solver=solver)
        assert result.schedule is not None
        executed = execute(result.instance, result.schedule)
        assert result.instance.problem is not None
        expected = reference(result.instance.problem, executed.arrays)
        assert set(expected) == set(executed.outputs)
        for name, value in expected.items():
            assert relative_error(executed.outputs[name], value) < 1e-10


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({**MAMBA, "model_type": "mambo"}, "model_type: unknown model type 'mambo'; did you mean 'mamba'"),
        ({"hidden_size": 8}, "model_type: this field is missing; known: falcon_mamba, mamba, mamba2"),
        ({**MAMBA, "use_bias": True}, "use_bias: only false can be scheduled, not true"),
        ({**MAMBA, "use_conv_bias": False}, "use_conv_bias: only true can be scheduled"),
        ({**MAMBA, "hidden_act": "gelu"}, 'hidden_act: only "silu" can be scheduled, not "gelu"'),
        ({**MAMBA, "hidden_size": -1}, "hidden_size: expected a whole number of at least 1, not -1"),
        ({**MAMBA, "state_size": "16"}, 'state_size: expected a whole number of at least 1, not "16"'),
        ({**MAMBA2, "time_step_limit": [0.001, 0.1]}, "time_step_limit: step sizes cannot be clamped"),
        ({**MAMBA2, "rms_norm": False}, "rms_norm: only true can be scheduled"),
        ({**MAMBA2, "num_heads": 127}, "num_heads: 127 heads of 64 are not the 8192 inner channels"),
        ({**MAMBA2, "n_groups": 3}, "n_groups: expected a divisor of the 128 heads"),
    ],
)
def test_what_cannot_be_scheduled_is_refused_by_name(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    file = save(tmp_path, config)
    with pytest.raises(InputError) as caught:
        read_config(file)
    assert str(caught.value).startswith(f"{file}: {message}")


def test_a_file_that_is_no_configuration(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    for text in ("[1]", "{", "\x00"):
        file.write_text(text)
        with pytest.raises(InputError, match=r"config\.json"):
            read_config(file)
