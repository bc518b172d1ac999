"""Whether a closed form is feasible: by the ordinary validator, on as few copies as tell."""

from __future__ import annotations

from ssmopt.folded import FoldedSchedule
from ssmopt.folding.expand import expand
from ssmopt.validate import InvalidScheduleError, Violation, validate

MOST_TILES = 1_000_000
"""Up to so many tiles all copies are written out and checked."""


def validate_folded(folded: FoldedSchedule, *, most_tiles: int = MOST_TILES) -> list[Violation]:
    """Check a closed form against the rules V1 to V10.

    With up to ``most_tiles`` tiles every row of the whole schedule is checked. Beyond, the schedule of fewer copies is,
    so many that nothing can be different with more: see ``docs/long-prompts.md``.

    Returns
    -------
    list of Violation
        The first breach of each rule that is broken; empty when the schedule is feasible.
    """
    if folded.n_tiles > most_tiles:
        folded = folded.with_copies(folded.telling_copies)
    return validate(*expand(folded))


def check_folded(folded: FoldedSchedule) -> None:
    """Raise `InvalidScheduleError` unless the closed form is feasible; only as many copies as tell are written out."""
    violations = validate_folded(folded, most_tiles=0)
    if violations:
        raise InvalidScheduleError(violations)
