"""The README says what the code does: its table of settings, its labels, its commands."""

import re

from click.testing import CliRunner
from paths import ROOT, all_tests

from deployer.cli import main
from deployer.model import label_names
from deployer.settings import Settings, variable

README = (ROOT / "README.md").read_text()


def default_of(field):
    if field.default in (None, ()):
        return ""
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else f'{field.default}'}`"


def table():
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        rows.append(f"| `{variable(name)}` | {default_of(field)} | {field.description} |")
    return "\n".join(rows)


def test_the_table_of_settings_is_that_of_the_code():
    found = re.search(r"<!-- settings -->\n(.*?)\n<!-- /settings -->", README, re.DOTALL)
    assert found
    assert found[1] == table()


def test_every_label_that_the_code_reads_is_in_the_table():
    labels = README[README.index("## Labels") : README.index("A label that cannot be understood")]
    documented = set(re.findall(r"`(deployer\.[a-z-]+)(?:=[^`]*)?`", labels))
    assert documented == label_names.KNOWN


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
