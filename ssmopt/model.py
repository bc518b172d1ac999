"""The shape of a state space model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from ssmopt.errors import InputError, nearest

FAMILY_FIELDS: Mapping[str, tuple[str, ...]] = {
    "mamba": ("dt_rank",),
    "mamba2": ("head_dim", "n_groups", "chunk_size"),
}
"""Model families whose operator graph is known, with the fields that only some of them have."""

FAMILIES = tuple(FAMILY_FIELDS)
"""Names of the model families."""

_COMMON = ("layers", "d_model", "d_inner", "d_state", "d_conv")


@dataclass(frozen=True)
class Model:
    """Dimensions of a Mamba model, in elements; those that its family does not have are 0.

    Attributes
    ----------
    name
        Name, as in file names and instance names.
    family
        Which operator graph a block has; one of ``FAMILIES``.
    layers
        Number of identical blocks.
    d_model, d_inner, d_state, d_conv
        Width of the residual stream, of the block, state elements per channel, and taps of the causal convolution.
    dt_rank
        ``mamba``: rank of the step-size projection.
    head_dim, n_groups
        ``mamba2``: channels that share one step size and one decay, and groups of heads that share B and C.
    chunk_size
        ``mamba2``: tokens per chunk of its chunked form.
    norm_dt_b_c
        ``mamba``: whether the rows of dt, B and C are normalised before they are used (Falcon Mamba).
    """

    name: str
    family: str
    layers: int
    d_model: int
    d_inner: int
    d_state: int
    d_conv: int
    dt_rank: int = 0
    head_dim: int = 0
    n_groups: int = 0
    chunk_size: int = 0
    norm_dt_b_c: bool = False

    def __post_init__(self) -> None:
        if self.family not in FAMILIES:
            raise InputError(f"unknown model family {self.family!r}{nearest(self.family, FAMILIES)}", key="family")
        for name, value in self.sizes().items():
            if value <= 0:
                raise InputError(f"expected a positive whole number, not {value}", key=name)
        for field in fields(self):
            known = ("name", "family", *self.sizes(), *(("norm_dt_b_c",) if self.family == "mamba" else ()))
            if field.name not in known and getattr(self, field.name) != 0:
                raise InputError(f"models of family {self.family!r} have no {field.name}", key=field.name)
        if self.family == "mamba2":
            if self.d_inner % self.head_dim:
                raise InputError(f"expected a divisor of d_inner = {self.d_inner}, not {self.head_dim}", key="head_dim")
            if self.n_heads % self.n_groups:
                raise InputError(
                    f"expected a divisor of the {self.n_heads} heads (d_inner / head_dim), not {self.n_groups}",
                    key="n_groups",
                )

    @property
    def n_heads(self) -> int:
        """Heads of ``head_dim`` channels; 0 for a family without heads."""
        return self.d_inner // self.head_dim if self.head_dim else 0

    def layer_count(self, layers: int | str) -> int:
        """How many layers a number, or ``"all"``, means.

        Raises
        ------
        InputError
            It is neither.
        """
        if layers == "all":
            return self.layers
        try:
            count = int(layers)
        except ValueError:
            raise InputError(f"expected a number of layers or 'all', not {layers!r}", key="layers") from None
        if not 1 <= count <= self.layers:
            raise InputError(f"expected 1 to {self.layers} layers of {self.name!r} or 'all', not {count}", key="layers")
        return count

    def sizes(self) -> dict[str, int]:
        """The numbers that a model of this family has, by name."""
        return {name: getattr(self, name) for name in (*_COMMON, *FAMILY_FIELDS[self.family])}
