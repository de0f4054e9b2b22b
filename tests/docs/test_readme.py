"""The README, the faults and the metrics say what the code does."""

import re

from click.testing import CliRunner
from paths import ROOT, all_tests

from deployer.cli import main
from deployer.model import label_names

README = (ROOT / "README.md").read_text()


def test_it_is_a_screen_and_a_half():
    assert len(README.splitlines()) <= 100


def test_every_label_has_a_meaning():
    constants = {
        value for name, value in vars(label_names).items() if name.isupper() and isinstance(value, str)
    }
    assert set(label_names.MEANINGS) == constants - {label_names.PREFIX}


def test_every_command_of_the_readme_exists():
    commands = set(re.findall(r"^\$ deployer ([a-z]+)", README, re.MULTILINE))
    assert commands
    for command in commands:
        result = CliRunner().invoke(main, [command, "--help"])
        assert result.exit_code == 0, result.output


def test_every_fault_is_proved_by_a_test_that_exists():
    named = set(re.findall(r"`(test_[a-z_]+)`", (ROOT / "docs" / "faults.md").read_text()))
    tests = all_tests()
    assert named
    assert not {name for name in named if f"def {name}(" not in tests}


def test_every_metric_and_alert_is_documented():
    told = (ROOT / "docs" / "monitoring.md").read_text()
    code = (ROOT / "deployer" / "observability" / "metrics.py").read_text()
    metrics = set(re.findall(r'"(deployer_[a-z_]+)"', code))
    alerts = set(re.findall(r"alert: (\w+)", (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()))
    assert metrics == set(re.findall(r"^\| `(deployer_[a-z_]+)", told, re.MULTILINE))
    assert alerts == set(re.findall(r"^\| `(Deployer\w+)`", told, re.MULTILINE))
