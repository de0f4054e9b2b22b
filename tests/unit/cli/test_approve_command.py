"""`deployer approve`: for the digest that waits, once for each person, and it goes out when there are enough."""

import json

from in_memory import WEB, digest, pinned
from jsonschema import Draft202012Validator
from paths import ROOT

from deployer.rollouts.ledger import approvals


def gated(swarm, people="1"):
    swarm.create("web", pinned(1), labels={"deployer.approve": people})
    swarm.push(WEB, digest(2))


def test_the_digest_that_waits_is_approved_and_goes_out(swarm, sent, call):
    gated(swarm)
    done = call("approve", "web", "--reason", "reviewed")
    assert done.output == f"web: {digest(2)} approved by alice@bastion; it goes out\n"
    told = {"by": "release", "act": "approve", "image": pinned(2), "who": "alice@bastion", "why": "reviewed"}
    assert sent == [("update_service", "web", {"deployment": told})]
    [word] = approvals.of(swarm.ledger(), "web").people
    assert (word.by, word.reason) == ("alice@bastion", "reviewed")


def test_one_of_two_lets_nothing_out(swarm, sent, call):
    gated(swarm, "2")
    for _ in range(2):
        assert "1 of 2 have approved it, 1 more needed" in call("approve", "web").output
    assert [who for _, who, _ in sent] == ["web"] * 2  # for the audit log: two of them would let it out
    found = json.loads(call("approve", "web", "--json").stdout)
    schema = json.loads((ROOT / "docs" / "commands.schema.json").read_text())
    Draft202012Validator({"$ref": "#/$defs/approval", "$defs": schema["$defs"]}).validate(found)
    assert (found["missing"], found["approved_by"][0]["by"]) == (1, "alice@bastion")


def test_what_cannot_be_approved_is_said_and_nothing_is_written(swarm, sent, call):
    assert "has no label deployer.approve" in call("approve", "web").output
    gated(swarm)
    done = call("approve", "web", "--digest", digest(3))
    assert f"web waits with {digest(2)}, and not with {digest(3)}" in done.output
    swarm.push(WEB, digest(1))
    assert "runs" in call("approve", "web").output
    assert "did you mean web?" in call("approve", "wob").output
    assert (sent, swarm.ledger().labels) == ([], {})
