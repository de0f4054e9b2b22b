"""Whole days of a Swarm and its deployer, drawn from seeds; more of them with `make simulate`."""

import pytest

from lab.simulate.day import play, story

SEEDS = 12  # `make simulate` plays more


@pytest.mark.parametrize("part", range(4))
def test_no_story_breaks_an_invariant(part):
    for seed in range(part, SEEDS, 4):
        play(seed, story(seed))
