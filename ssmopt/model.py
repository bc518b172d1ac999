"""The shape of a state space model."""

from __future__ import annotations

from dataclasses import dataclass, fields

from ssmopt.errors import InputError, nearest

FAMILIES = ("mamba",)
"""Model families whose operator graph is known."""


@dataclass(frozen=True)
class Model:
    """Dimensions of a Mamba model, in elements.

    Attributes
    ----------
    name
        Name, as in file names and instance names.
    family
        Which operator graph a block has; one of ``FAMILIES``.
    layers
        Number of identical blocks.
    d_model, d_inner, d_state, d_conv, dt_rank
        Width of the residual stream, of the block, state elements per channel, taps of the causal convolution,
        and rank of the step-size projection.
    """

    name: str
    family: str
    layers: int
    d_model: int
    d_inner: int
    d_state: int
    d_conv: int
    dt_rank: int

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InputError(f"unknown model family {self.family!r}{nearest(self.family, FAMILIES)}", key="family")
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, int) and value <= 0:
                raise InputError(f"expected a positive whole number, not {value}", key=field.name)
