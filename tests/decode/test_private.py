"""Several memories: every order, place and policy gives a feasible schedule, however little memory there is."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from random_instances import random_instance
from random_orders import random_memories, random_order, random_policy, tight_memories, with_private_memories

from ssmopt.decode import Policy, decode
from ssmopt.instance import DRAM
from ssmopt.validate import validate


@pytest.mark.parametrize("block", range(20))
def test_any_order_place_and_policy_is_feasible(block: int) -> None:
    """With room, and with no more of it in any memory than its largest tile takes."""
    for seed in range(100 * block, 100 * block + 100):
        rng = random.Random(seed)
        roomy = with_private_memories(random_instance(seed), rng)
        for instance in (roomy, tight_memories(roomy, rng)):
            order = random_order(instance, rng)
            place = random_memories(instance, rng) if rng.random() < 0.8 else None
            policy = replace(random_policy(instance, rng), memories=place)
            schedule = decode(instance, order, policy)
            assert [str(v) for v in validate(instance, schedule)] == [], (seed, order, policy)
