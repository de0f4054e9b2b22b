"""Plays stories of many seeds, and prints a seed and its shortest story when an invariant breaks."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Sequence

from lab.simulate.day import Act, play, story
from lab.simulate.oracle import BrokenError


def fault(seed: int, acts: Sequence[Act], days: float) -> BrokenError | None:
    """Return how a story breaks an invariant, None if it breaks none."""
    try:
        play(seed, acts, days)
    except BrokenError as broken:
        return broken
    return None


def shortest(seed: int, acts: Sequence[Act], days: float) -> list[Act]:
    """Leave out acts as long as an invariant breaks."""
    kept = list(acts)
    for act in list(kept):
        fewer = [one for one in kept if one is not act]
        if fault(seed, fewer, days):
            kept = fewer
    return kept


def tell(seed: int, acts: Sequence[Act], days: float) -> str:
    """Return the story of a seed that breaks an invariant."""
    broken = fault(seed, acts, days)
    return "\n".join([f"seed {seed}: {broken}", *(broken.log if broken else ())])


def main() -> int:
    """Play; the exit code is 1 if an invariant breaks."""
    parser = argparse.ArgumentParser(prog="python -m lab.simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=200, help="how many stories")
    parser.add_argument("--seed", type=int, help="this one alone, told in full")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--days", type=float, default=1.0, help="length of a story")
    parser.add_argument("--most", type=int, default=1, help="stop after so many that break")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)
    seeds = (
        [options.seed] if options.seed is not None else range(options.first, options.first + options.seeds)
    )
    begun, broken, played = time.monotonic(), 0, 0
    for seed in seeds:
        played += 1
        acts = story(seed, options.days)
        if fault(seed, acts, options.days):
            broken += 1
            print(tell(seed, shortest(seed, acts, options.days), options.days), flush=True)
            if broken >= options.most:
                break
    seconds = time.monotonic() - begun
    print(f"{played} seeds, {played * options.days:g} days in {seconds:.0f} s, {broken} broken")
    return int(broken > 0)


if __name__ == "__main__":
    sys.exit(main())
