"""`deployer rollback --to`: an entry of history, a digest or a tag, after a look at from and to."""

import json

import pytest
from in_memory import WEB, Runs, digest, pinned

from deployer.cli import act, look
from deployer.model.deployment import Outcome
from deployer.reports.history import Entry, numbered


@pytest.fixture
def moved(swarm, monkeypatch):
    """A service that has gone from 1 by 2 to 3."""
    for n in (2, 3):
        swarm.push(WEB, digest(n))
        Runs(swarm).run(deployment_id=f"to-{n}")
    entries = [
        Entry(None, "web", "updated", "", pinned(3), pinned(2)),
        Entry(None, "web", "failed", "", pinned(4)),
        Entry(None, "web", "updated", "", pinned(2), pinned(1)),
        Entry(None, "web", "rolled-back", "", pinned(5), runs=pinned(1)),
    ]
    monkeypatch.setattr(look, "_recorded", lambda service: (entries, ""))
    return swarm


def test_history_numbers_what_can_be_gone_back_to(moved, call):
    lines = call("history", "web", "--all").output.splitlines()
    assert [line.split()[0] for line in lines] == ["#", "1", "-", "2", "3"]
    shown = json.loads(call("history", "web", "--failed", "--json").stdout)
    assert [(one["outcome"], one["number"]) for one in shown] == [("failed", None), ("rolled-back", 3)]
    assert call("history").output.split()[0] == "WHEN"


@pytest.mark.parametrize(("text", "n"), [("3", 1), (digest(2), 2), (f"@{digest(2)}", 2)])
def test_from_and_to_are_shown_and_the_digest_is_sent(moved, sent, call, text, n):
    done = call("rollback", "web", "--to", text, "--yes")
    assert done.exit_code == 0, done.stderr
    assert f"web: from web:latest {digest(3)[7:19]} back to web:latest {digest(n)[7:19]}" in done.stderr
    [(name, service, kwargs)] = sent
    assert (name, service, kwargs["to"]) == ("rollback_service", "web", pinned(n))
    assert kwargs["deployment"]["seen"] == digest(3)


def test_it_asks_at_a_terminal_and_refuses_without_one(moved, sent, call, monkeypatch):
    done = call("rollback", "web", "--to", "2")
    assert (done.exit_code, sent) == (2, [])
    assert "add --yes" in done.stderr
    monkeypatch.setattr(act, "at_a_terminal", lambda: True)
    assert call("rollback", "web", "--to", "2", input="n\n").exit_code == 1
    assert sent == []
    assert call("rollback", "web", "--to", "2", input="y\n").exit_code == 0
    assert len(sent) == 1


def test_a_number_that_history_has_not(moved, sent, call):
    done = call("rollback", "web", "--to", "9", "--yes")
    assert (done.exit_code, sent) == (1, [])
    assert "history has no number 9 of web, but 1 to 3; nothing was sent" in done.stderr


def test_the_worker_goes_there_and_remembers_what_it_leaves(moved):
    done = Runs(moved).run(deployment_id="back", trigger="rollback", rollback=True, image=digest(1))
    assert done.outcome is Outcome.ROLLED_BACK
    assert moved.image("web") == pinned(1)
    assert Runs(moved).run(deployment_id="again").outcome is Outcome.HELD


def test_not_to_another_repository_nor_to_what_it_runs(moved):
    other = pinned(1).replace("/web", "/api")
    done = Runs(moved).run(deployment_id="back", trigger="rollback", rollback=True, image=other)
    assert (done.outcome, "another repository" in done.reason) == (Outcome.FAILED, True)
    assert (
        Runs(moved).run(deployment_id="back", trigger="rollback", rollback=True, image=digest(3)).outcome
        is Outcome.UNCHANGED
    )


def test_what_it_never_ran_passes_the_gates_first(moved):
    moved.create("web", pinned(1), labels={"deployer.approve": "1"})
    moved.digests[WEB] = digest(9)
    done = Runs(moved).run(deployment_id="back", trigger="rollback", rollback=True, image=digest(9))
    assert (done.outcome, done.reason.startswith("waits for approval of")) == (Outcome.HELD, True)


def test_numbers_are_of_entries_whose_image_is_known():
    assert [one.number for one in numbered([Entry(None, "web", "updated", "", "web:v1")])] == [None]
