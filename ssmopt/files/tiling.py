"""Tilings inside JSON documents, with the words of the instance files."""

from __future__ import annotations

import os
from typing import Any

from ssmopt.errors import InputError
from ssmopt.files.json_reader import check_keys, read_document, text, whole
from ssmopt.files.text import PathLike
from ssmopt.tiling import LOOP_ORDERS, PROJECTIONS, ProjectionTiling, Tiling

_COUNTS = ("tokens", "state_tokens", "channel_splits", "state_splits")


def tiling_document(tiling: Tiling) -> dict[str, Any]:
    """A tiling as the mapping that instance files hold."""
    return {
        **{name: getattr(tiling, name) for name in _COUNTS},
        **({} if tiling.norm_tokens is None else {"norm_tokens": tiling.norm_tokens}),
        "scan": tiling.scan,
        "projections": {
            name: {"columns": cut.columns, "reduction": cut.reduction} for name, cut in tiling.projections.items()
        },
        "loop_order": tiling.loop_order,
    }


def tiling_from_document(value: object) -> Tiling:
    """The tiling that `tiling_document` wrote.

    Raises
    ------
    InputError
        The mapping is malformed.
    """
    entry = check_keys(value, (*_COUNTS, "scan", "projections", "loop_order"), ("norm_tokens",), "tiling")
    if not isinstance(entry["scan"], bool):
        raise InputError("expected true or false", key="tiling.scan")
    cuts = check_keys(entry["projections"], (), PROJECTIONS, "tiling.projections")
    projections = {}
    for name, cut in cuts.items():
        key = f"tiling.projections.{name}"
        fields = check_keys(cut, ("columns", "reduction"), (), key)
        projections[name] = ProjectionTiling(
            columns=whole(fields["columns"], f"{key}.columns", 1),
            reduction=whole(fields["reduction"], f"{key}.reduction", 1),
        )
    norm_tokens = entry.get("norm_tokens")
    return Tiling(
        **{name: whole(entry[name], f"tiling.{name}", 1) for name in _COUNTS},
        scan=entry["scan"],
        projections=projections,
        loop_order=text(entry["loop_order"], "tiling.loop_order", LOOP_ORDERS),
        norm_tokens=None if norm_tokens is None else whole(norm_tokens, "tiling.norm_tokens", 1),
    )


def read_schedule_tiling(path: PathLike) -> Tiling | None:
    """The tiling that a schedule file says its tiles come from; None if it does not say.

    Raises
    ------
    InputError
        The file cannot be read, is no schedule, or its tiling is malformed.
    """
    document = read_document(path, "ssmopt-schedule", 1)
    try:
        return tiling_from_document(document["tiling"]) if "tiling" in document else None
    except InputError as error:
        raise error.at(file=os.fspath(path)) from None
