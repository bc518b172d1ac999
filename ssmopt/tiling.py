"""How the operators of a block are cut into tiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ssmopt.errors import InputError, nearest

LOOP_ORDERS = ("tokens", "channels")
PROJECTIONS = ("in_proj", "x_proj", "dt_proj", "out_proj")


@dataclass(frozen=True)
class ProjectionTiling:
    """Into how many nearly equal pieces a projection's output columns and its reduction are cut."""

    columns: int = 1
    reduction: int = 1

    def __post_init__(self) -> None:
        for name in ("columns", "reduction"):
            if getattr(self, name) <= 0:
                raise InputError(f"expected a positive whole number, not {getattr(self, name)}", key=name)


@dataclass(frozen=True)
class Tiling:
    """Cuts of every dimension.

    Attributes
    ----------
    tokens
        Tokens per tile of the projections and of the elementwise operators around them.
    norm_tokens
        Tokens per tile of the normalisation and of the residual sum, whose operands are whole rows of ``x``; None
        takes ``tokens``.
    state_tokens
        Tokens per tile of the state update's parallel operators, and of a scan tile.
    scan
        Whether the sequential operators of ``state_tokens`` tokens are one tile; otherwise one tile per token.
    channel_splits, state_splits
        Into how many nearly equal pieces ``d_inner`` and ``d_state`` are cut.
    projections
        Cuts of ``in_proj``, ``x_proj``, ``dt_proj`` and ``out_proj``; those not named are cut once per channel
        piece along ``d_inner`` and not at all otherwise.
    loop_order
        Which loop is outermost in depth-first orders: ``tokens`` or ``channels``.
    """

    tokens: int = 64
    state_tokens: int = 1
    scan: bool = False
    channel_splits: int = 1
    state_splits: int = 1
    projections: Mapping[str, ProjectionTiling] = field(default_factory=lambda: MappingProxyType({}))
    loop_order: str = "tokens"
    norm_tokens: int | None = None

    def __post_init__(self) -> None:
        for name in ("tokens", "norm_tokens", "state_tokens", "channel_splits", "state_splits"):
            if name == "norm_tokens" and self.norm_tokens is None:
                continue
            if getattr(self, name) <= 0:
                raise InputError(f"expected a positive whole number, not {getattr(self, name)}", key=f"tiling.{name}")
        for name in self.projections:
            if name not in PROJECTIONS:
                raise InputError(f"unknown projection {name!r}{nearest(name, PROJECTIONS)}", key="tiling.projections")
        if self.loop_order not in LOOP_ORDERS:
            raise InputError(
                f"unknown value {self.loop_order!r}{nearest(self.loop_order, LOOP_ORDERS)}", key="tiling.loop_order"
            )

    def describe(self) -> str:
        """One line for tables and messages."""
        parts = [f"tokens {self.tokens}", f"state_tokens {self.state_tokens}{' scan' if self.scan else ''}"]
        if self.norm_tokens is not None:
            parts.insert(1, f"norm_tokens {self.norm_tokens}")
        for name, value in (("channel_splits", self.channel_splits), ("state_splits", self.state_splits)):
            if value > 1:
                parts.append(f"{name} {value}")
        for name, cut in self.projections.items():
            parts.append(f"{name} {cut.columns}x{cut.reduction}")
        if self.loop_order != "tokens":
            parts.append(f"{self.loop_order} outermost")
        return ", ".join(parts)
