"""Colours and hatches of schedule pictures, chosen to stay apart for colour-blind readers and in grey print."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssmopt.instance import KINDS


@dataclass(frozen=True)
class Style:
    """How one category of intervals is drawn, and the legend entry that explains it."""

    label: str
    colour: str
    hatch: str = ""
    heading: str = ""


# One hue of the Okabe-Ito palette per stage of the block; within a stage the shades differ in lightness. Nineteen
# operators in nineteen hues could be told apart by nobody. Operators of different families may share a shade.
_STAGES: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Norm and residual",
        (("rms_norm", "#8c8c8c"), ("norm_square", "#6b6b6b"), ("norm_scale", "#acacac"), ("residual", "#c9c9c9")),
    ),
    (
        "Projections",
        (("in_proj", "#00507f"), ("x_proj", "#0f83c4"), ("dt_proj", "#8ccbf0"), ("out_proj", "#56a9dd")),
    ),
    (
        "Convolution and gate",
        (
            ("conv1d", "#00432f"),
            ("silu_x", "#006e4f"),
            ("silu_xBC", "#006e4f"),
            ("softplus", "#00996f"),
            ("skip_D", "#41b692"),
            ("silu_z", "#7dceb2"),
            ("gate", "#b0e0cf"),
        ),
    ),
    (
        "State update",
        (
            ("mul_dA", "#f0d442"),
            ("exp_dA", "#e69f00"),
            ("mul_dB", "#f4a582"),
            ("mul_dtx", "#f4a582"),
            ("mul_dBx", "#d55e00"),
            ("mul_hA", "#e3b3cf"),
            ("add_h", "#c96a9d"),
            ("mul_hC", "#7d2e5c"),
            ("scan", "#a8437d"),
            ("cumsum_dA", "#e69f00"),
            ("decay_start", "#f7e7a0"),
            ("decay_end", "#c9a227"),
            ("decay_mask", "#a67c00"),
            ("chunk_CB", "#d55e00"),
            ("mul_mask", "#fbd0b5"),
            ("chunk_diag", "#93400a"),
            ("mul_decay", "#e8875a"),
            ("chunk_state", "#a8437d"),
            ("pass_state", "#c96a9d"),
            ("chunk_off", "#7d2e5c"),
            ("add_off", "#e3b3cf"),
        ),
    ),
)

# Paul Tol's "muted" and "light" schemes, for problems that are not a Mamba block.
_OTHER = (
    "#332288", "#88ccee", "#44aa99", "#117733", "#999933", "#ddcc77", "#cc6677", "#882255", "#aa4499",
    "#77aadd", "#99ddff", "#bbcc33", "#aaaa00", "#eedd88", "#ee8866", "#ffaabb",
)  # fmt: skip

CAPACITY_COLOUR = "#555555"
BOUND_COLOUR = "#b2182b"

_REST = Style("others", "#b0b0b0", heading="Tiles")

_KIND_COLOURS = dict(zip(KINDS, ("#3f4a5c", "#97a5b8", "#8f8b45", "#d3b48c", "#6e4425"), strict=True))

DIRECTIONS = ("load", "store", "move")
_HATCHES = dict(zip(DIRECTIONS, ("", "/////", "....."), strict=True))


def operator_styles(names: Sequence[str]) -> list[Style]:
    """One style per operator, stages together; operators beyond the palette share one."""
    known = {name: (stage, colour) for stage, members in _STAGES for name, colour in members}
    fresh = iter(_OTHER)
    styles = []
    for name in names:
        if name in known:
            heading, colour = known[name]
            styles.append(Style(name, colour, heading=heading))
        else:
            colour_or_none = next(fresh, None)
            styles.append(_REST if colour_or_none is None else Style(name, colour_or_none, heading="Tiles"))
    return styles


def stage_order(names: Sequence[str]) -> list[int]:
    """Positions of the operators in the order of the palette's stages, unknown ones last as given."""
    rank = {name: i for i, name in enumerate(name for _, members in _STAGES for name, _ in members)}
    return sorted(range(len(names)), key=lambda i: rank.get(names[i], len(rank) + i))


def kind_styles() -> list[Style]:
    """One style per tensor kind, in the order of the kinds' codes."""
    return [Style(kind, _KIND_COLOURS[kind], heading="Tensors") for kind in KINDS]


def transfer_styles() -> list[Style]:
    """Styles of transfers: the tensor's kind gives the colour, the direction the hatch.

    The style of kind ``k`` in direction ``d`` stands at ``k * len(DIRECTIONS) + d``.
    """
    return [
        Style(f"{direction} {kind}", _KIND_COLOURS[kind], hatch=_HATCHES[direction], heading="Transfers")
        for kind in KINDS
        for direction in DIRECTIONS
    ]


def direction_styles() -> list[Style]:
    """Legend entries of the hatches."""
    return [Style(direction, "#d9d9d9", hatch=_HATCHES[direction], heading="Transfers") for direction in DIRECTIONS]


def is_dark(colour: str) -> bool:
    """Whether white text reads better than black on a ``#rrggbb`` colour."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return 0.299 * red + 0.587 * green + 0.114 * blue < 140
