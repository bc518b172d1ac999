"""How many random instances the tests make: as many as usual, or ``SSMOPT_CAMPAIGN`` times as many.

Instances are made from seeds, so the first ones of a campaign are always those of the usual tests. ``make campaign``
runs the files that compare with exhaustive search, or with a second program written from the rules, ten times as long.
"""

from __future__ import annotations

import os

FACTOR = int(os.environ.get("SSMOPT_CAMPAIGN", "1"))


def campaign(usual: int, step: int = 1) -> range:
    """Seeds, or numbers of blocks of seeds, from 0."""
    return range(0, usual * FACTOR, step)


def examples(usual: int) -> int:
    """Examples of a property test."""
    return usual * FACTOR
