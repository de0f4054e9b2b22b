"""What somebody with one stolen credential cannot do, where no other test shows it (docs/security.md)."""

import json
import os
import re
import subprocess
import sys
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from celery import Celery
from celery.exceptions import SecurityError
from celery.worker.control import Panel
from cloudformation_lab import statements, template, words
from hypothesis import given
from hypothesis import strategies as st
from in_memory import newest_task
from paths import ROOT

from deployer.broker import control
from deployer.broker.results import OptionalRedisBackend
from deployer.model.deployment import Outcome, Report, Request, RolloutMemory
from deployer.model.image import Image
from deployer.model.service import STATE_PREFIX, State
from deployer.reports import history, status
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.fleet import renewal, survey
from deployer.rollouts.ledger import set_freeze
from deployer.rollouts.ports import Credentials
from deployer.testing import FakeSwarm

HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
WEB, OTHER, ELSEWHERE = f"{HOST}/team/web:latest", f"{HOST}/team/other:latest", "ghcr.io/evil/web:latest"


def digest(n):
    return f"sha256:{n:064x}"


@pytest.fixture
def swarm():
    swarm = FakeSwarm()
    for image in (WEB, OTHER, ELSEWHERE):
        swarm.push(image, digest(1))
    swarm.create("web", f"{WEB}@{digest(1)}", replicas=2)
    return swarm


def run(swarm, rules=None, watch=None, **request):
    """A deployment from its first look to its end."""
    deployer = Deployer(swarm, swarm, rules or Rules(), clock=swarm.clock)
    asked = Request(**{"deployment_id": "t1", **request})
    for _ in range(200):
        step = deployer.advance("web", asked, watch)
        if isinstance(step, Report):
            return step
        asked, watch = replace(asked, waiting=step.waiting, pre_job=step.pre_job), step.watch
        for _ in range(max(1, int(step.seconds))):
            swarm.tick()
    raise AssertionError(f"the deployment does not end: {step}")


# -- events -----------------------------------------------------------------------------------------------


@given(hint=st.one_of(st.none(), st.integers(0, 9).map(digest)), pushed=st.datetimes(timezones=st.just(UTC)))
def test_a_forged_event_brings_a_service_to_nothing_but_what_its_tag_means(hint, pushed):
    swarm = FakeSwarm()
    swarm.push(WEB, digest(1))
    swarm.create("web", f"{WEB}@{digest(1)}", replicas=1)
    swarm.push(WEB, digest(2))
    run(swarm, trigger="event", pushed_digest=hint, pushed_at=pushed.isoformat())
    assert {image for _, image in swarm.writes} <= {f"{WEB}@{digest(2)}"}


# -- labels -----------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.text(max_size=40), st.sampled_from([f"{WEB}@{digest(1)}", digest(2), "2026-01-01T00:00Z", "1"])
)
NAMES = st.sampled_from(
    [STATE_PREFIX + f.name.replace("_", "-") for f in fields(State)]
    + "deployer.enable deployer.hold deployer.window deployer.policy deployer.order deployer.after".split()
    + "deployer.pre-job deployer.settle deployer.timeout deployer.login deployer.replace".split()
)


class Tokens(FakeSwarm):
    """A Swarm whose registry wants credentials."""

    def credentials(self, image, login=None):
        return Credentials("AWS", "token", image.host)


@given(labels=st.dictionaries(NAMES, VALUES, max_size=6))
def test_no_label_of_one_service_stops_the_look_at_another(labels):
    swarm = Tokens()
    for name in "web", "labelled":
        swarm.create(name, f"{WEB}@{digest(1)}", labels=labels if name == "labelled" else {})
    swarm.now += timedelta(days=2)
    swarm.push(WEB, digest(2))
    deployer = Deployer(swarm, swarm, Rules(), clock=swarm.clock)
    deployer.advance("labelled", Request("t"))
    assert [s.service for s in status.survey(deployer)] == ["labelled", "web"]
    assert "web" in [b.service for b in survey.survey(deployer).behind]
    assert "web" in renewal.refresh(deployer, timedelta(hours=6))
    assert {e.service for e in history.remembered(deployer.read("labelled"))} <= {"labelled"}


# -- tasks ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted", [ELSEWHERE, "redis:7", f"ghcr.io/team/web@{digest(1)}", f"{HOST}/team/web-evil:1"]
)
def test_a_forged_task_leads_to_no_other_repository(swarm, wanted):
    report = run(swarm, image=wanted, force=True, allow_repository_change=True)
    assert report.outcome is Outcome.FAILED
    assert "DEPLOYER_ALLOW_REPOSITORIES" in report.reason
    assert swarm.writes == []


@pytest.mark.parametrize(
    ("labels", "rules"),
    [
        ({"deployer.enable": "false"}, Rules()),
        ({"deployer.enable": "nonsense"}, Rules()),
        ({"deployer.hold": "audit"}, Rules()),
        ({}, Rules(filter_label="deploy=yes")),
    ],
)
def test_a_forged_task_updates_no_service_that_is_held_or_turned_off(swarm, labels, rules):
    swarm.create("web", f"{WEB}@{digest(1)}", labels=labels)
    swarm.push(WEB, digest(2))
    report = run(swarm, rules, force=True, trigger="manual")
    assert report.outcome in {Outcome.IGNORED, Outcome.HELD}
    assert swarm.writes == []


def test_a_forged_task_does_not_end_a_freeze(swarm):
    swarm.push(WEB, digest(2))
    set_freeze(swarm, "audit")
    assert run(swarm, force=True, trigger="manual").outcome is Outcome.HELD
    assert swarm.writes == []


@pytest.mark.parametrize("task", ["t1", "t0"])
@pytest.mark.parametrize("image", [ELSEWHERE, f"{OTHER}@{digest(1)}", "no image:: at all"])
def test_what_a_forged_task_remembers_is_no_image_to_write(swarm, image, task):
    """A task carries what it remembers between two looks; whoever can send one can make that up."""
    ages_ago = datetime(2000, 1, 1, tzinfo=UTC).isoformat()
    watch = RolloutMemory(task, image, image, ages_ago, ages_ago, watched=1e9, going_back="so I say")
    report = run(swarm, watch=watch)
    assert report.outcome is Outcome.SUPERSEDED
    assert swarm.writes == []


@pytest.mark.parametrize(("label", "value"), [("deployer.enable", "false"), ("deploy", "no")])
def test_a_forged_task_takes_no_service_back_that_has_been_turned_off_meanwhile(swarm, label, value):
    """A service that is short of a task, as after the loss of a node, and remembers its last deployment."""
    rules = Rules(filter_label="deploy=yes")
    swarm.create("web", f"{WEB}@{digest(1)}", labels={"deploy": "yes"})
    swarm.push(WEB, digest(2))
    assert run(swarm, rules, deployment_id="t0").outcome is Outcome.UPDATED
    swarm.raw["web"]["Spec"]["Labels"][label] = value
    newest_task(swarm).state = "pending"
    ages_ago = datetime(2000, 1, 1, tzinfo=UTC).isoformat()
    report = run(
        swarm, rules, deployment_id="t0", watch=RolloutMemory("t0", WEB, WEB, ages_ago, ages_ago, watched=1e9)
    )
    assert report.outcome is Outcome.FAILED
    assert [image for _, image in swarm.writes] == [f"{WEB}@{digest(2)}"]


@pytest.mark.parametrize("on_failure", ["pause", "rollback"])
@pytest.mark.parametrize("crashes", [False, True])
@pytest.mark.parametrize("image", [ELSEWHERE, f"{OTHER}@{digest(1)}", f"{ELSEWHERE}@{digest(2)}", "::"])
def test_what_a_forged_task_remembers_of_a_roll_out_under_way_is_no_image_to_write(
    swarm, image, crashes, on_failure
):
    """The id of the deployment is no secret: it is a label of the service."""
    swarm.create("web", f"{WEB}@{digest(1)}", failure_action=on_failure)
    swarm.push(WEB, digest(2))
    if crashes:
        swarm.crashing.add(digest(2))
    Deployer(swarm, swarm, Rules(), clock=swarm.clock).advance("web", Request(deployment_id="t0"))
    ages_ago = datetime(2000, 1, 1, tzinfo=UTC).isoformat()
    for _ in range(3):
        run(
            swarm,
            deployment_id="t0",
            watch=RolloutMemory("t0", image, image, ages_ago, ages_ago, 1e9, going_back="so I say"),
        )
        swarm.tick()
    assert {written for _, written in swarm.writes} <= {f"{WEB}@{digest(1)}", f"{WEB}@{digest(2)}"}


# -- labels -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("previous", [ELSEWHERE, f"{OTHER}@{digest(1)}", f"{ELSEWHERE}@{digest(1)}", "::"])
def test_a_forged_memory_of_the_image_before_is_not_gone_back_to(swarm, previous):
    swarm.create("web", f"{WEB}@{digest(2)}", labels={f"{STATE_PREFIX}previous": previous})
    assert run(swarm, rollback=True, trigger="rollback").outcome is Outcome.FAILED
    assert swarm.writes == []


# -- the parts --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def configured():
    """What Celery has been told, with a Redis that wants TLS."""
    code = """
import json
from deployer import tasks
from deployer.app import app
from deployer.broker.redis import Monitoring
redis = app.backend.connparams
print(json.dumps({
    "content": app.conf.accept_content + app.conf.result_accept_content,
    "tasks": [name for name in app.tasks if not name.startswith("celery.")],
    "broker": app.conf.broker_url,
    "ssl": [redis["connection_class"].__name__, int(redis["ssl_cert_reqs"]), redis["ssl_ca_certs"]],
    "shown": Monitoring(app.conf.monitoring_secret_url).as_uri(),
}))
"""
    variables = {
        "DEPLOYER_TASK_QUEUE": "https://sqs.eu-central-1.amazonaws.com/123456789012/tasks",
        "DEPLOYER_REDIS_URL": "rediss://:hidden@redis:6380/0?ssl_cert_reqs=required&ssl_ca_certs=/ca.pem",
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith("DEPLOYER_")}
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | variables,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(said.stdout)


def test_workers_take_json_and_our_own_tasks_only(configured):
    assert set(configured["content"]) == {"json"}
    assert configured["broker"] == "deployersqs://"
    ours = {"image_pushed", "update_service", "rollback_service", "reconcile", "refresh_credentials"}
    assert set(configured["tasks"]) == {f"deployer.tasks.{name}" for name in ours}


def test_redis_with_tls_is_asked_for_its_certificate(configured):
    assert configured["ssl"] == ["SSLConnection", 2, "/ca.pem"]  # ssl.CERT_REQUIRED
    assert "hidden" not in configured["shown"]


def test_what_redis_may_tell_a_worker_deploys_nothing():
    """Of Celery's remote commands those are left that look, and those that make a worker do less."""
    looks = {
        "active", "active_queues", "clock", "conf", "hello", "memsample", "ping", "query_task", "registered",
        "report", "reserved", "revoked", "scheduled", "stats", "dump_active", "dump_conf", "dump_reserved",
        "dump_revoked", "dump_schedule", "dump_tasks",
    }  # fmt: skip
    does_less = {
        "disable_events", "enable_events", "heartbeat", "rate_limit", "revoke", "revoke_by_stamped_headers",
        "shutdown",
    }  # fmt: skip
    assert set(Panel.data) - set(control.OFF) - looks - does_less == set()


def test_a_forged_result_runs_nothing_where_it_is_read(tmp_path):
    """What `deployer update --wait` does with a failure that somebody else wrote to Redis."""
    backend = OptionalRedisBackend(url="redis://127.0.0.1:1/0", app=Celery(set_as_current=False))
    for module, name in (("os", "system"), ("builtins", "eval"), ("subprocess", "Popen")):
        said = {"exc_module": module, "exc_type": name, "exc_message": f"touch {tmp_path}/made"}
        with pytest.raises(SecurityError):
            backend.meta_from_decoded({"status": "FAILURE", "result": said})
    assert list(tmp_path.iterdir()) == []


def test_no_part_may_write_to_a_registry_or_set_up_queues():
    policies = [one for one in template()["Resources"].values() if one["Type"] == "AWS::IAM::ManagedPolicy"]
    may = {action for policy in policies for _, one in statements(policy) for action in words(one["Action"])}
    assert {action for action in may if action.startswith("ecr:")} == {
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:DescribeImageScanFindings",
        "ecr:DescribeImageSigningStatus",
        "ecr:DescribeImages",
        "ecr:GetAuthorizationToken",
        "ecr:GetDownloadUrlForLayer",
        "ecr:ListImages",
    }
    assert {action.partition(":")[0] for action in may} == {"ecr", "kms", "sqs", "sts"}
    assert not {action for action in may if re.search(r"Create|Set|Add|Purge|DeleteQueue", action)}


def test_only_the_proxy_has_the_engines_socket_and_only_workers_reach_it():
    services = (ROOT / "deploy" / "stack.yml").read_text().split("\nservices:\n")[1].split("\nnetworks:\n")[0]
    parts = dict(re.findall(r"^  ([a-z-]+):\n((?:    .*\n|\n|  #.*\n)+)", services, re.MULTILINE))
    assert {"bridge", "worker", "beat", "redis", "flower", "socket-proxy"} <= set(parts)
    assert [name for name, text in parts.items() if "docker.sock" in text] == ["socket-proxy"]
    networks = {name: re.search(r"networks: \[(.*)\]", text)[1].split(", ") for name, text in parts.items()}
    assert {name for name, joined in networks.items() if "engine" in joined} == {"worker", "socket-proxy"}
    assert networks["socket-proxy"] == ["engine"]
    assert networks["redis"] == ["data"]
    assert [name for name, text in parts.items() if "ports:" in text] == ["flower"]


def test_an_image_is_compared_by_its_host_too():
    assert not Image.parse("docker.io/team/web:1").same_repository(Image.parse("ghcr.io/team/web:1"))
