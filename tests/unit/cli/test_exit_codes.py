"""What a script learns from how a command ends (D4, D5, F7, F11)."""

import re

import pytest
from paths import ROOT
from sent_tasks import TASK, Result

from deployer.cli import follow
from deployer.cli.exit_codes import ExitCode, exit_code
from deployer.errors import DeploymentFailedError
from deployer.model.deployment import Outcome


def report(outcome, **values):
    told = {"service": "web", "outcome": outcome, "reason": "because", "duration": 1.25}
    return told | {"task": TASK, "image": "a/web:latest", "by": "manual"} | values


def failed(outcome):
    return DeploymentFailedError(f"web: {outcome}, because", report(outcome))


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (report("updated"), 0), (report("unchanged"), 0), (report("held"), 5), (report("ignored"), 6),
        (report("superseded"), 7), (failed("failed"), 3), (failed("rolled-back"), 4), (ValueError("x"), 3),
    ],
    ids=str,
)  # fmt: skip
def test_every_end_has_its_exit_code(swarm, sent, redis, call, end, code):
    """F7: held, ignored and superseded were 0, so that `update --wait && smoke-test` passed."""
    sent.result = Result(end)
    done = call("update", "web", "--wait")
    assert done.exit_code == code
    if not isinstance(end, ValueError):
        outcome = end["outcome"] if isinstance(end, dict) else end.args[1]["outcome"]
        assert done.stdout == f"{TASK}\nweb: {outcome}, because (1.2 s)\n"
    # F4: the reason is the engine's; what the container said is one command away.
    assert ("docker service logs --since 10m web" in done.stderr) == (code in {3, 4})


def test_what_began_no_roll_out_has_no_words_of_its_own_to_look_for(swarm, sent, redis, call):
    sent.result = Result(DeploymentFailedError("web: failed", report("failed", duration=0.0)))
    done = call("update", "web", "--wait")
    assert (done.exit_code, done.stderr) == (3, "")


def test_every_outcome_has_a_code():
    assert exit_code("rolled-back", asked_back=True) is ExitCode.OK
    codes = {exit_code(outcome) for outcome in Outcome}
    assert {ExitCode.OK, ExitCode.FAILED, ExitCode.ROLLED_BACK, ExitCode.HELD} < codes


def test_a_time_out_is_no_failure(swarm, sent, redis, call):
    sent.result = Result(looks=["STARTED"] * 100_000)
    done = call("update", "web", "--wait", "--timeout", "0.01")
    assert done.exit_code == 124
    assert "the roll-out goes on (deployer status web)" in done.stderr


def test_ctrl_c_says_that_the_roll_out_goes_on(swarm, sent, redis, call):
    """D5: it has said `Aborted!` with exit code 1."""
    sent.result = Result(looks=["STARTED", KeyboardInterrupt()])
    done = call("update", "web", "--wait")
    assert done.exit_code == 130
    assert done.stderr == "no longer watching; the roll-out goes on (deployer status web)\n"


def test_no_worker_is_said(swarm, sent, redis, call, monkeypatch):
    """F11: it has said `waiting for a worker` for ever, and nothing at all when piped."""
    monkeypatch.setattr(follow, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(follow, "worker_answers", lambda: False)
    sent.result = Result(report("updated"), ["PENDING"] * 3)
    assert "no worker answers" in call("update", "web", "--wait").stderr


def test_progress_is_told_once_where_there_is_no_terminal(swarm, sent, redis, call):
    looks = [("RETRY", "0/2 updated"), ("RETRY", "0/2 updated"), ("RETRY", "1/2 updated")]
    sent.result = Result(report("updated"), looks)
    assert call("update", "web", "--wait").stderr == "0/2 updated\n1/2 updated\n"


def test_the_table_of_the_docs_is_that_of_the_code():
    table = (ROOT / "docs" / "commands.md").read_text()
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert told == {int(code) for code in ExitCode}
