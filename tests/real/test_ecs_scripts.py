"""The ECS in memory against the emulator with an engine: the same scripts lead to the same that can be seen."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from ecs_scripts import Player, in_memory, write

from lab import HOST
from lab.ecs.lab import EcsLab

pytestmark = pytest.mark.real
SEEDS = [int(seed) for seed in os.environ.get("SEEDS", "1 2 3 4 5 6").split()]
QUIET = 1.0  # seconds for which it must stay so


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with EcsLab(tmp_path_factory.mktemp("ecs"), keep_logs=True) as started:
        yield started
        started.clear()


def test_the_ecs_in_memory_behaves_as_the_emulator(lab):
    pushed = {"a": ("a", "web"), "b": ("b", "web"), "crash": ("bad", "crash")}
    images = {
        name: f"{HOST}/team/web@{lab.push('team/web:latest', text, kind)}"
        for name, (text, kind) in pushed.items()
    }
    images["missing"] = f"{HOST}/team/web@sha256:{'0' * 64}"
    with ThreadPoolExecutor(3) as pool:
        told = [text for text in pool.map(lambda seed: differences(lab, write(seed), images), SEEDS) if text]
    assert not told, "\n\n".join(told)


def differences(lab, script, images):
    """Play a script on both; the story of the first difference, or nothing."""
    story = [f"{script}"]
    (memory, advance), real = in_memory(script), Player(lab.front, script, images)
    for kind, number in (("", 0), *script.acts):
        story.append(f"{kind} {number}")
        refused = [one.act(kind, number) for one in (memory, real)]
        if refused[0] != refused[1]:
            return "\n".join([*story, f"refused: {refused}"])
        advance(300)
        if not agree(real, memory.seen()):
            return "\n".join([*story, f"memory:   {memory.seen()}", f"emulator: {real.seen()}"])
    return ""


def agree(real, wanted, seconds=120):
    """Whether the emulator comes to show what is wanted, and stays so for a moment."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if real.seen() == wanted:
            time.sleep(QUIET)
            if real.seen() == wanted:
                return True
        time.sleep(0.3)
    return False
