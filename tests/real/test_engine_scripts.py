"""The Swarm in memory against the engine: the same random scripts lead to the same that can be seen."""

import difflib
import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from engine_scripts import InMemory, Real, write

from lab import HOST, wait_until

pytestmark = pytest.mark.real
SEEDS = [int(seed) for seed in os.environ.get("SEEDS", "1 2 3 4 5 6 7 8").split()]
QUIET = 1.5  # seconds for which it must stay so


def test_the_swarm_in_memory_behaves_as_the_engine(lab):
    names = [f"{HOST}/team/web@{lab.push('team/web:latest', text)}" for text in ("a", "b")]
    names.append(f"{HOST}/team/web@sha256:{'0' * 64}")
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda seed: differences(lab, write(seed, names), names), SEEDS)
        told = [text for text in found if text]
    assert not told, "\n\n".join(told)


def differences(lab, script, images):
    """Play a script on both; the story of the first difference, or nothing."""
    real, memory = Real(lab, script, images), InMemory(script, images)
    story = [f"{script.name}: {script}"]
    if not agree(real, memory):
        return _told(story, real, memory)
    for step in script.steps:
        for number, (act, options) in enumerate(step):
            story.append(f"{'then at once ' if number else ''}{act} {options}")
            if number:
                wait_until(lambda: '"updating"' in real.seen(), 10, "the update begun", every=0.02)
                memory.wait(0.3)
            if real.act(act, options) != memory.act(act, options):
                return "\n".join([*story, "one of them refused"])
        memory.wait(60)
        if not agree(real, memory):
            return _told(story, real, memory)
    return ""


def agree(real, memory, seconds=25):
    """Whether both come to show the same, and stay so for a moment."""
    wanted, until = memory.seen(), time.monotonic() + seconds
    while time.monotonic() < until:
        if real.seen() == wanted:
            time.sleep(QUIET)
            if real.seen() == wanted:
                return True
        time.sleep(0.2)
    return False


def _told(story, real, memory):
    diff = difflib.unified_diff(
        memory.seen().splitlines(), real.seen().splitlines(), "memory", "engine", n=99
    )
    return "\n".join([*story, *diff])
