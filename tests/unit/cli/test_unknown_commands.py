"""A command that does not exist: what is meant is said (F12)."""

import pytest
from click.testing import CliRunner

from deployer.cli import main


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("stauts", "status"),
        ("rolback", "rollback"),
        ("ps", "docker service ps SERVICE"),
        ("diff", "deployer reconcile --dry-run"),
        ("deploy", "deployer update SERVICE"),
    ],
)
def test_an_unknown_command_is_refused_with_what_is_meant(typed, meant):
    done = CliRunner().invoke(main, [typed, "web"])
    assert done.exit_code == 2
    assert f"No such command '{typed}'" in done.output
    assert meant in " ".join(done.output.split())


def test_a_command_like_no_other_is_refused_without_a_guess():
    done = CliRunner().invoke(main, ["qqqqqq"])
    assert (done.exit_code, "did you mean" in done.output) == (2, False)


@pytest.mark.parametrize("group", [[], ["ecs"], ["policy"]])
def test_help_fits_a_terminal_of_80_columns_without_cutting_a_line(group):
    shown = CliRunner().invoke(main, [*group, "--help"], terminal_width=80)
    assert shown.exit_code == 0
    commands = shown.output.partition("Commands:")[2].splitlines()
    assert commands
    assert [line for line in commands if line.endswith("...")] == []
