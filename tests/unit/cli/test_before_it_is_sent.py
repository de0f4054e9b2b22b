"""Nothing is sent before it is known what it is for, and that it can be followed (D4, D7, D10, D11, F11)."""

import pytest
from in_memory import HOST, WEB, Runs, digest

from deployer.cli import act
from deployer.cli.names import complete, image_of
from deployer.errors import InvalidReferenceError, TemporaryError
from deployer.model.image import Image


@pytest.fixture
def moved(swarm):
    """A service that has gone from 1 to 2."""
    swarm.push(WEB, digest(2))
    Runs(swarm).run()
    return swarm


@pytest.mark.parametrize("command", ["update", "rollback"])
@pytest.mark.parametrize("url", ["", "redis://127.0.0.1:1"])
def test_wait_without_redis_sends_nothing(settings, swarm, sent, call, command, url):
    """D4: it has printed the id, sent the task, and then said that it cannot wait."""
    settings(REDIS_URL=url)
    done = call(command, "web", "--wait")
    assert (done.exit_code, sent) == (1, [])
    assert "DEPLOYER_REDIS_URL" in done.stderr
    assert "nothing was sent" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["update", "rollback", "hold", "release", "explain"])
def test_an_unknown_service_is_refused_with_a_suggestion(swarm, sent, call, command):
    """D11: it has exited 0 with an id, and stood in history as a failed deployment."""
    done = call(command, "wbe")
    assert (done.exit_code, sent) == (1, [])
    assert done.stderr == "Error: no service 'wbe' in this Swarm; did you mean web?\n"
    assert "did you mean shop_api?" in call(command, "api").stderr


@pytest.mark.parametrize("command", ["update", "rollback"])
def test_without_an_engine_it_is_said_and_sent_all_the_same(monkeypatch, swarm, sent, call, command):
    def down(*_):
        raise TemporaryError("Docker engine does not answer (DOCKER_HOST): refused")

    monkeypatch.setattr(swarm, "read", down)
    done = call(command, "web")
    assert done.exit_code == 0
    assert "not checked before it is sent: Docker engine does not answer" in done.stderr
    assert [one[:2] for one in sent] == [(f"{command}_service", "web")]


def test_a_time_out_without_wait_is_a_usage_error(swarm, sent, call):
    """D20: it was ignored."""
    done = call("update", "web", "--timeout", "1")
    assert (done.exit_code, sent) == (2, [])
    assert "--wait" in done.stderr


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("v7", f"{HOST}/team/web:v7"),
        (":v7", f"{HOST}/team/web:v7"),
        ("web", WEB),
        ("web:v7", f"{HOST}/team/web:v7"),
        ("team/web:v7", f"{HOST}/team/web:v7"),
        (f"web:v7@{digest(3)}", f"{HOST}/team/web:v7@{digest(3)}"),
        (digest(3), f"{WEB}@{digest(3)}"),
        (f"@{digest(3)}", f"{WEB}@{digest(3)}"),
        (f"{HOST}/team/web:v7", f"{HOST}/team/web:v7"),
        ("ghcr.io/team/web:v7", "ghcr.io/team/web:v7"),
        ("other/web:v7", "other/web:v7"),
        ("docker.io/team/web:v7", "team/web:v7"),
    ],
)
def test_a_short_name_means_the_services_own_repository(swarm, sent, call, text, meant):
    """D10, D9: `update web --image v7` was another repository, `explain shop team/shop:v2` never matched."""
    assert call("update", "web", "--image", text).exit_code == 0
    assert sent == [
        ("update_service", "web", {"image": meant, "deployment": {"who": "alice@bastion", "seen": digest(1)}})
    ]


def test_a_short_name_on_docker_hub():
    nginx = Image.parse("nginx:1.27")
    assert str(image_of("1.28", nginx)) == "nginx:1.28"
    assert str(image_of("nginx:1.28", nginx)) == "nginx:1.28"
    assert str(image_of("nginx", nginx)) == "nginx:latest"


def test_a_short_name_of_a_service_that_nobody_knows_is_refused():
    with pytest.raises(InvalidReferenceError, match="whole reference"):
        image_of("v7", None)
    assert str(image_of("team/web:v7", None)) == "team/web:v7"


def test_policy_test_takes_images_too(call):
    """D10 in every command."""
    short = call("policy", "test", "semver:^1", "1.2.0", "1.10.0").output
    assert call("policy", "test", "semver:^1", "team/web:1.2.0", f"{HOST}/team/web:1.10.0").output == short


def test_a_rollback_says_from_what_to_what(moved, sent, call):
    """D7: `rolled back by hand` did not say to which image."""
    done = call("rollback", "web")
    assert f"web: from web:latest {digest(2)[7:19]} back to web:latest {digest(1)[7:19]}" in done.stderr
    assert "already" not in done.stderr
    assert sent == [("rollback_service", "web", {"deployment": {"who": "alice@bastion", "seen": digest(2)}})]


def test_a_rollback_says_what_waits_behind_it(moved, sent, call):
    """D6a: an operator who rolled back was run over by a newer push within a second."""
    moved.push(WEB, digest(3))
    assert f"goes out right after: web:latest {digest(3)[7:19]}" in call("rollback", "web").stderr
    call("hold", "web")
    assert "right after" not in call("rollback", "web").stderr


def test_a_second_rollback_warns_that_it_goes_one_further_back(moved, sent, call):
    """D7: the panic key, pressed twice."""
    moved.push(WEB, digest(3))
    Runs(moved).run(deployment_id="t2")
    assert Runs(moved).run(deployment_id="t3", trigger="rollback", rollback=True).outcome == "rolled-back"
    done = call("rollback", "web")
    assert "it was rolled back already (rolled back by hand)" in done.stderr
    assert len(sent) == 1


@pytest.mark.parametrize(("by_hand", "answer", "sends"), [(True, "n", 0), (True, "y", 1), (False, "", 1)])
def test_a_second_rollback_asks_at_a_terminal(moved, sent, call, monkeypatch, by_hand, answer, sends):
    """D7; after an automatic rollback, which nobody pressed a key for, it only warns."""
    moved.push(WEB, digest(3))
    if by_hand:
        Runs(moved).run(deployment_id="t2")
        Runs(moved).run(deployment_id="t3", trigger="rollback", rollback=True)
    else:
        moved.crashing = {digest(3)}
        assert Runs(moved).run(deployment_id="t2").outcome == "rolled-back"
    monkeypatch.setattr(act, "at_a_terminal", lambda: True)
    done = call("rollback", "web", input=f"{answer}\n")
    assert ("go back one further?" in done.output) == by_hand
    assert len(sent) == sends


def test_a_rollback_to_nowhere_is_not_sent(swarm, sent, call):
    done = call("rollback", "web")
    assert (done.exit_code, sent) == (1, [])
    assert "no former image is known" in done.stderr


def test_names_of_services_are_completed(swarm, monkeypatch):
    """F12."""
    assert complete("") == ["shop_api", "web"]
    assert complete("sh") == ["shop_api"]
    monkeypatch.setattr(swarm, "services", lambda **_: (_ for _ in ()).throw(TemporaryError("down")))
    assert complete("sh") == []


def test_a_reason_goes_with_what_is_sent(swarm, sent, call):
    assert call("update", "web", "--reason", "hot fix").exit_code == 0
    assert call("rollback", "shop_api", "--reason", "too slow", "--yes").exit_code in {0, 1}
    assert sent[0][2]["deployment"]["why"] == "hot fix"
