"""Makes the golden vectors: blocks of small random models computed by Hugging Face ``transformers`` on a CPU.

Run it by hand, in an environment of its own::

    pip install torch==2.13.0 transformers==5.24.0
    python tests/golden/make_golden.py

Each file holds ``model`` (JSON: sizes, tokens, initial state), the arrays that the block starts from (``in.NAME``), and
what the block makes of them (``out.NAME``; ``mixer`` is the block without normalisation and residual sum). Names,
shapes and orders are those of `ssmopt.execute.arrays`. Everything is in single precision.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from transformers import DynamicCache, Mamba2Config, MambaConfig
from transformers.models.mamba.modeling_mamba import MambaBlock
from transformers.models.mamba2.modeling_mamba2 import Mamba2Block

HERE = Path(__file__).parent
Arrays = dict[str, np.ndarray]

MAMBA = {
    # d_model, expand, d_state, d_conv, dt_rank, tokens, tokens before
    "mamba-ragged": (8, 2, 4, 4, 1, 7, 0),
    "mamba-one-state": (16, 1, 1, 4, 2, 5, 0),
    "mamba-three-taps": (12, 2, 16, 3, 3, 10, 0),
    "mamba-one-token": (8, 2, 3, 4, 2, 1, 0),
    "mamba-continued": (8, 2, 4, 4, 2, 6, 5),
    "mamba-decode": (8, 2, 4, 4, 1, 1, 2),
}
MAMBA2 = {
    # d_model, expand, d_state, d_conv, head_dim, n_groups, chunk_size, tokens, tokens before
    "mamba2-one-head": (8, 2, 4, 4, 16, 1, 4, 7, 0),
    "mamba2-two-groups": (16, 2, 3, 4, 8, 2, 5, 12, 0),
    "mamba2-one-state": (8, 2, 1, 4, 4, 4, 8, 5, 0),
    "mamba2-whole-chunks": (12, 1, 5, 3, 4, 1, 3, 9, 0),
    "mamba2-continued": (8, 2, 4, 4, 4, 2, 4, 9, 5),
    "mamba2-decode": (8, 2, 4, 4, 8, 1, 4, 1, 2),
}


def main() -> None:
    """Write all files."""
    for number, (name, sizes) in enumerate(MAMBA.items()):
        torch.manual_seed(number)
        save(name, *mamba(*sizes))
    for number, (name, sizes) in enumerate(MAMBA2.items()):
        torch.manual_seed(100 + number)
        save(name, *mamba2(*sizes))


def save(name: str, model: dict[str, object], arrays: Arrays) -> None:
    """Write one file."""
    np.savez_compressed(HERE / f"{name}.npz", model=json.dumps(model), **arrays)
    print(name, {key: array.shape for key, array in arrays.items() if key.startswith("out.")})


def mamba(
    d_model: int, expand: int, d_state: int, d_conv: int, dt_rank: int, tokens: int, before: int
) -> tuple[dict[str, object], Arrays]:
    """A Mamba-1 block."""
    config = MambaConfig(
        hidden_size=d_model,
        expand=expand,
        state_size=d_state,
        conv_kernel=d_conv,
        time_step_rank=dt_rank,
        num_hidden_layers=1,
        layer_norm_epsilon=1e-5,
        use_conv_bias=True,
        use_bias=False,
    )
    block = MambaBlock(config, layer_idx=0).eval()
    mixer = block.mixer
    randomise(block)
    weights = {
        "g_norm": block.norm.weight,
        "W_in": mixer.in_proj.weight.T,
        "w_conv": mixer.conv1d.weight[:, 0],
        "b_conv": mixer.conv1d.bias,
        "W_x": mixer.x_proj.weight.T,
        "W_dt": mixer.dt_proj.weight.T,
        "b_dt": mixer.dt_proj.bias,
        "A": -torch.exp(mixer.A_log),
        "D_skip": mixer.D,
        "W_out": mixer.out_proj.weight.T,
    }
    sizes = {
        "family": "mamba",
        "d_model": d_model,
        "d_inner": expand * d_model,
        "d_state": d_state,
        "d_conv": d_conv,
        "dt_rank": dt_rank,
    }

    def states(cache: DynamicCache, suffix: str) -> dict[str, torch.Tensor]:
        return {
            f"x_branch_{suffix}": conv_state(cache, d_conv),
            f"h_{suffix}": cache.get_recurrent_state(0),
        }

    # With a cache of several tokens the scan begins at zero again, so that a continued prompt is run as a whole.
    return measured(block, config, sizes, weights, states, tokens, before, whole=tokens > 1)


def mamba2(
    d_model: int,
    expand: int,
    d_state: int,
    d_conv: int,
    head_dim: int,
    n_groups: int,
    chunk_size: int,
    tokens: int,
    before: int,
) -> tuple[dict[str, object], Arrays]:
    """A Mamba-2 block."""
    inner = expand * d_model
    config = Mamba2Config(
        hidden_size=d_model,
        expand=expand,
        state_size=d_state,
        conv_kernel=d_conv,
        num_heads=inner // head_dim,
        head_dim=head_dim,
        n_groups=n_groups,
        chunk_size=chunk_size,
        num_hidden_layers=1,
        layer_norm_epsilon=1e-5,
        use_conv_bias=True,
        use_bias=False,
    )
    block = Mamba2Block(config, layer_idx=0).eval()
    mixer = block.mixer
    randomise(block)
    weights = {
        "g_norm": block.norm.weight,
        "W_in": mixer.in_proj.weight.T,
        "w_conv": mixer.conv1d.weight[:, 0],
        "b_conv": mixer.conv1d.bias,
        "b_dt": mixer.dt_bias,
        "A": -torch.exp(mixer.A_log),
        "D_skip": mixer.D,
        "g_gate": mixer.norm.weight,
        "W_out": mixer.out_proj.weight.T,
    }
    sizes = {
        "family": "mamba2",
        "d_model": d_model,
        "d_inner": inner,
        "d_state": d_state,
        "d_conv": d_conv,
        "head_dim": head_dim,
        "n_groups": n_groups,
        "chunk_size": chunk_size,
    }

    def states(cache: DynamicCache, suffix: str) -> dict[str, torch.Tensor]:
        return {
            f"xBC_{suffix}": conv_state(cache, d_conv),
            # A state per head and channel there, per channel of all heads here.
            f"h_{suffix}": cache.get_recurrent_state(0).flatten(1, 2),
        }

    return measured(block, config, sizes, weights, states, tokens, before, whole=False)


def randomise(block: torch.nn.Module) -> None:
    """Random weights at which no part of the block is negligible."""
    with torch.no_grad():
        for name, parameter in block.named_parameters():
            normal = torch.randn(parameter.shape)
            if name.endswith("A_log"):
                parameter.copy_(0.5 * normal)
            elif name.endswith(("norm.weight", ".D")):
                parameter.copy_(1 + 0.2 * normal)
            elif name.endswith(("bias", "dt_bias")):
                parameter.copy_(0.3 * normal - 0.5)
            else:
                parameter.copy_(normal / parameter[0].numel() ** 0.5)


def conv_state(cache: DynamicCache, d_conv: int) -> torch.Tensor:
    """The tokens that the convolution looks back on, tokens first; the cache keeps one more."""
    return cache.get_conv_state(0)[0].T[1 - d_conv :]


def measured(
    block: torch.nn.Module,
    config: MambaConfig | Mamba2Config,
    sizes: dict[str, object],
    weights: dict[str, torch.Tensor],
    states: Callable[[DynamicCache, str], dict[str, torch.Tensor]],
    tokens: int,
    before: int,
    *,
    whole: bool,
) -> tuple[dict[str, object], Arrays]:
    """Run the block on ``before`` tokens, and then on ``tokens`` more; the latter are what the file is about.

    With ``whole`` the second run is one over all tokens, of which the last ones count.
    """
    x = torch.randn(1, before + tokens, config.hidden_size)
    found: dict[str, torch.Tensor] = {f"in.{name}": weight for name, weight in weights.items()}
    found["in.x"] = x[0, before:]
    mixed: list[torch.Tensor] = []
    block.mixer.register_forward_hook(lambda _module, _inputs, output: mixed.append(output))
    with torch.no_grad():
        cache = DynamicCache(config=config)
        if before:
            block(x[:, :before], cache=cache)
            found |= {f"in.{name}": state.clone() for name, state in states(cache, "initial").items()}
        if whole:
            cache = DynamicCache(config=config)
        out = block(x if whole else x[:, before:], cache=cache)[0, -tokens:]
        found |= {f"out.{name}": state.clone() for name, state in states(cache, "final").items()}
    found["out.out"] = out
    found["mixer"] = mixed[-1][0, -tokens:]
    model = {**sizes, "seq_len": tokens, "initial_state": "load" if before else "zero"}
    return model, {name: tensor.detach().numpy().astype(np.float32) for name, tensor in found.items()}


if __name__ == "__main__":
    main()
