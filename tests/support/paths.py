"""Places in the repository that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"
SAMPLES = TESTS / "events"  # events as AWS and registries send them


def code() -> str:
    """Return the text of the whole package."""
    return "".join(path.read_text() for path in sorted((ROOT / "deployer").rglob("*.py")))


def all_tests() -> str:
    """Return the text of all tests."""
    return "".join(path.read_text() for path in TESTS.rglob("test_*.py"))
