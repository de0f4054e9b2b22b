"""What --json prints is what the documented schema says (F8)."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from in_memory import WEB, Runs, digest
from jsonschema import Draft202012Validator
from paths import ROOT
from sent_tasks import TASK, Result

from deployer import app
from deployer.cli import look, main
from deployer.errors import DeploymentFailedError
from deployer.reports.finding import Finding
from deployer.reports.history import Entry

SCHEMA = json.loads((ROOT / "docs" / "commands.schema.json").read_text())
REPORT = {
    "service": "web", "outcome": "updated", "reason": "2/2 running", "duration": 1.25, "task": TASK, "by": "manual",
    "image": f"{WEB}@{digest(2)}", "previous": f"{WEB}@{digest(1)}", "runs": f"{WEB}@{digest(2)}", "event": None,
}  # fmt: skip


@pytest.fixture
def told(call, monkeypatch):
    """Runs a command with --json, and checks its output."""
    entry = Entry(datetime.now(UTC), "web", "updated", "2/2 running", event="e", who="alice@bastion")
    monkeypatch.setattr(look, "_recorded", lambda service: ([entry], ""))
    monkeypatch.setattr(app, "checks", lambda: iter([Finding("Redis", "ok", "answers")]))

    def run(definition, *argv):
        done = call(*argv, "--json")
        found = json.loads(done.stdout)
        schema = {"$ref": f"#/$defs/{definition}", "$defs": SCHEMA["$defs"]}
        errors = [
            f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(found)
        ]
        assert errors == []
        return found

    return run


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


def test_what_only_looks(swarm, told, tmp_path):
    log = tmp_path / "worker.log"
    log.write_text("time=2026-01-01T00:00:00Z event=e1 task=t1 service=web\n")
    assert [one["service"] for one in told("status", "status")] == ["shop_api", "web"]
    swarm.push(WEB, digest(2))
    Runs(swarm).run()
    swarm.push(WEB, digest(3))
    told("hold", "hold", "web", "--reason", "audit", "--for", "2h")
    [_, web] = told("status", "status")
    assert (web["registry"], web["newer"], web["last"]["outcome"]) == ("newer", digest(3), "updated")
    assert [why["kind"] for why in web["why"]] == ["held"]
    assert told("explain", "explain", "web")["now"]["outcome"] == "held"
    assert told("deployments", "history")[0]["who"] == "alice@bastion"
    assert told("doctor", "doctor")
    assert told("logs", "logs", "web", "--file", str(log))
    assert told("choice", "policy", "test", "semver:^1", "1.0.0", "1.1.0")["lines"]
    assert told("dry-run", "reconcile", "--dry-run")["behind"]


def test_what_acts(swarm, sent, redis, told):
    assert told("deployment", "update", "web")["outcome"] == "sent"
    sent.result = Result(REPORT)
    assert told("deployment", "update", "web", "--wait")["runs"] == f"{WEB}@{digest(2)}"
    sent.result = Result(DeploymentFailedError("failed", REPORT | {"outcome": "failed", "secret": "x"}))
    assert told("deployment", "update", "web", "--wait")["outcome"] == "failed"
    assert told("reconcile", "reconcile") == {"task": TASK}
    assert told("hold", "hold", "--all")["service"] is None
    assert told("hold", "hold", "--all", "--reason", "night")["replaced"]["reason"] == "no reason given"
    assert [one["hold"]["by"] for one in told("holds", "hold")] == ["alice@bastion"]
    assert [one["released"] for one in told("release", "release", "--all")] == [True, True]
    assert told("release", "release", "web")[0]["note"] == "was not held"


def test_without_redis_history_is_what_the_services_know(swarm, told, monkeypatch):
    swarm.push(WEB, digest(2))
    Runs(swarm).run()
    monkeypatch.setattr(look, "_recorded", lambda service: ([], "DEPLOYER_REDIS_URL is not set"))
    assert {one["outcome"] for one in told("deployments", "history", "--all")} <= {"updated", "former"}


def test_every_command_that_says_something_has_json():
    without = {"bridge", "webhook", "completion", "policy", "ecs", "ecs-deploy"}
    for name, command in main.commands.items():
        has = any("--json" in option.opts for option in command.params)
        assert has != (name in without), name


def test_every_definition_is_of_a_command_that_the_docs_name():
    page = (ROOT / "docs" / "commands.md").read_text()
    table = page[page.index("| command | definition |") : page.index("## Before anything")]
    for definition in re.findall(
        r"`([a-z-]+)`", " ".join(row.rsplit("|", 2)[1] for row in table.splitlines() if row.count("|") > 2)
    ):
        assert definition in SCHEMA["$defs"] or definition == "--watch", definition


def test_nothing_is_wrapped_where_there_is_no_terminal(swarm, call):
    """D15: `deployer history | grep DIGEST` found nothing, `explain | cat` cut the reference in three."""
    assert f"{WEB}@{digest(1)}" in call("explain", "web").stdout
    for command in ("status", "history --all"):
        assert digest(1)[7:19] in call(*command.split(), env={"COLUMNS": "40"}).stdout or command != "status"


def test_status_watch_speaks_where_there_is_no_terminal(swarm, call, monkeypatch):
    """D20: `status --watch | cat` printed no byte, `--watch --json` dropped --watch."""
    seen = []

    def sleep(seconds):
        seen.append(seconds)
        if len(seen) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("deployer.cli.views.status.time.sleep", sleep)
    done = call("status", "--watch", "--json", "--offline")
    assert [len(json.loads(line)) for line in done.stdout.splitlines()] == [2, 2]
    seen.clear()
    done = call("status", "--watch", "--offline")
    assert done.stdout.count("SERVICE") == 2
    assert done.exit_code == 130


def test_history_leaves_out_noise_unless_it_is_asked_for(swarm, call, monkeypatch):
    """F9."""
    now = datetime.now(UTC)
    entries = [
        Entry(now, "web", "updated", "2/2"),
        Entry(now, "web", "unchanged", "same"),
        Entry(now - timedelta(days=2), "web", "rolled-back", "crashed"),
        Entry(now - timedelta(days=3), "web", "held", "audit"),
    ]
    monkeypatch.setattr(look, "_recorded", lambda service: (entries, ""))

    def outcomes(*argv):
        return [one["outcome"] for one in json.loads(call("history", *argv, "--json").stdout)]

    assert outcomes() == ["updated", "rolled-back"]
    assert outcomes("--all") == ["updated", "unchanged", "rolled-back", "held"]
    assert outcomes("--outcome", "held") == ["held"]
    assert outcomes("--failed") == ["rolled-back"]
    assert outcomes("--since", "1d") == ["updated"]
    assert outcomes("--since", (now - timedelta(days=2, hours=1)).isoformat()) == ["updated", "rolled-back"]
    assert outcomes("--limit", "1") == ["updated"]
    assert "1 unchanged, 1 held (--all)" in call("history").stderr
    assert call("history", "--since", "yesterday").exit_code == 2
