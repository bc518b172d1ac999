"""Adaptive choice among neighbourhoods."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ssmopt.neighbourhood.parameters import Parameters

Choice = TypeVar("Choice")


@dataclass
class Roulette(Generic[Choice]):
    """Draws choices with probabilities in proportion to what they have brought lately."""

    choices: Sequence[Choice]
    parameters: Parameters
    rng: random.Random
    weights: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.weights = [self.parameters.reward_accepted] * len(self.choices)

    def draw(self) -> int:
        """Index of a choice."""
        return self.rng.choices(range(len(self.choices)), self.weights)[0]

    def reward(self, index: int, amount: float) -> None:
        """Let the weight of a choice follow what it has brought."""
        reaction = self.parameters.reaction
        weight = (1 - reaction) * self.weights[index] + reaction * amount
        self.weights[index] = max(self.parameters.least_weight, weight)
