"""What is to be computed, and where: a model's block on an accelerator, before any tiling."""

from __future__ import annotations

from dataclasses import dataclass, field

from ssmopt.errors import InputError, nearest
from ssmopt.hardware import Hardware
from ssmopt.model import Model

SCOPES = ("block", "state-update")
INITIAL_STATES = ("load", "zero")
FORMS = ("recurrent", "chunked")


@dataclass(frozen=True)
class Dtype:
    """Bytes per element of weights, of activations, and of the recurrent state."""

    weights: int = 4
    activations: int = 4
    state: int = 4

    def __post_init__(self) -> None:
        for name in ("weights", "activations", "state"):
            if getattr(self, name) <= 0:
                raise InputError(f"expected a positive number of bytes, not {getattr(self, name)}", key=f"dtype.{name}")


@dataclass(frozen=True)
class Problem:
    """The prefill of one block of a model on an accelerator.

    Attributes
    ----------
    name
        Name shown to people.
    model, hardware
        What runs, and on what.
    seq_len
        Tokens of the prompt; 1 is a decode step.
    batch, layers
        Independent sequences, and how many of the model's blocks run back to back, each reading what the one before
        wrote.
    scope
        ``block`` for the whole block, ``state-update`` for the selective state update alone.
    initial_state
        ``load`` for a prompt that continues another (the state and the convolution's tail come from DRAM), or
        ``zero``.
    dtype
        Bytes per element.
    form
        How the state is updated: ``recurrent``, token by token, or ``chunked``, by matrix products within chunks
        (``mamba2`` only).
    """

    name: str
    model: Model
    hardware: Hardware
    seq_len: int
    batch: int = 1
    layers: int = 1
    scope: str = "block"
    initial_state: str = "load"
    dtype: Dtype = field(default_factory=Dtype)
    form: str = "recurrent"

    def __post_init__(self) -> None:
        for name in ("seq_len", "batch", "layers"):
            if getattr(self, name) <= 0:
                raise InputError(f"expected a positive whole number, not {getattr(self, name)}", key=name)
        for name, choices in (("scope", SCOPES), ("initial_state", INITIAL_STATES), ("form", FORMS)):
            value = getattr(self, name)
            if value not in choices:
                raise InputError(f"unknown value {value!r}{nearest(value, choices)}", key=name)
        if self.layers > self.model.layers:
            raise InputError(f"{self.model.name!r} has {self.model.layers} layers, not {self.layers}", key="layers")
        if self.layers > 1 and self.scope != "block":
            raise InputError(f"several layers need whole blocks; the scope is {self.scope!r}", key="layers")
        if self.form == "chunked" and self.model.family != "mamba2":
            raise InputError(f"models of family {self.model.family!r} have no chunked form", key="form")
