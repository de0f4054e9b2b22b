"""Proofs after convergence on a real Swarm: a smoke test, a real Prometheus, alarms of the emulator."""

import json

import pytest
from pushes import WEB, on
from test_gates_on_a_swarm import FAST, deployer

from lab.prometheus import Prometheus

pytestmark = pytest.mark.real


def pushed(lab, queues, text="v2", kind="web"):
    """Push and update, and follow it to its end."""
    lab.push(WEB, text, kind=kind)
    done = deployer(lab, queues, "update", "web", "--wait", "--json", "--timeout", "90s")
    return json.loads(done.stdout.splitlines()[-1] if not done.stdout.startswith("{") else done.stdout)


@pytest.fixture
def prometheus(lab, tmp_path):
    server = Prometheus(tmp_path, lab.logs / "prometheus.log")
    server.start()
    yield server
    server.kill()


def test_a_query_that_fires_takes_it_back(lab, queues, prometheus):
    lab.worker(queues, PROMETHEUS_URL=prometheus.url)
    good = lab.push(WEB, "v1")
    lab.create("web", WEB, *FAST, "--label", 'deployer.query=up{job="self"} == 0', port=8101)
    assert pushed(lab, queues)["outcome"] == "updated"
    good = lab.image_of("web")
    lab.docker("service", "update", "--detach", "--label-add", 'deployer.query=up{job="self"} == 1', "web")
    done = pushed(lab, queues, "v3")
    assert done["outcome"] == "rolled-back"
    assert done["reason"].startswith('query up{job="self"} == 1 fires: 1 {')
    assert lab.image_of("web") == good
    lab.docker("service", "update", "--detach", "--label-add", "deployer.query=up ==", "web")
    done = pushed(lab, queues, "v4")
    assert (done["outcome"], "no data" in done["reason"], "parse error" in done["reason"]) == (
        "updated",
        True,
        True,
    )


def test_an_alarm_that_fires_takes_it_back(lab, queues):
    cloudwatch = lab.aws.client("cloudwatch")
    metric = {
        "Namespace": "web",
        "MetricName": "errors",
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
    }
    cloudwatch.put_metric_alarm(
        AlarmName="web-errors", Threshold=1, ComparisonOperator="GreaterThanThreshold", **metric
    )
    lab.worker(queues)
    good = lab.push(WEB, "v1")
    lab.create("web", WEB, *FAST, "--label", "deployer.alarms=web-errors", port=8101)
    set_state = lambda state: cloudwatch.set_alarm_state(  # noqa: E731
        AlarmName="web-errors", StateValue=state, StateReason="a test"
    )
    set_state("ALARM")
    assert pushed(lab, queues)["outcome"] == "updated"  # it fired before
    good = lab.image_of("web")
    set_state("OK")
    lab.docker("service", "update", "--detach", "--label-add", "deployer.bake=30s", "web")
    lab.push(WEB, "v3")
    sent = deployer(lab, queues, "update", "web").stdout.strip()
    from lab import wait_until

    wait_until(lambda: '"baking"' in deployer(lab, queues, "status", "web", "--json").stdout, 30, "the bake")
    set_state("ALARM")
    ended = lambda: [  # noqa: E731
        one
        for one in json.loads(deployer(lab, queues, "history", "web", "--json").stdout)
        if one["task"] == sent
    ]
    [end] = wait_until(
        lambda: [one for one in ended() if one["outcome"] == "rolled-back"], 60, "the way back"
    )
    assert end["reason"] == "alarm web-errors fires: a test"
    assert lab.image_of("web") == good


def test_a_smoke_test_that_fails_takes_it_back(lab, queues):
    lab.worker(queues)
    first = lab.push(WEB, "v1", kind="job", seconds=10_000)
    lab.create("web", WEB, *FAST, "--label", "deployer.post-job=smoke")
    lab.docker("service", "create", "--detach", "--name", "smoke", "--mode", "replicated-job",
               "--restart-condition", "none", "--with-registry-auth",
               "--entrypoint", "/bin/busybox sh -c 'exit 3'", on(first))  # fmt: skip
    done = pushed(lab, queues, "v2", kind="web")
    assert done["outcome"] == "rolled-back", done
    assert done["reason"].startswith("job smoke, which runs after it: ")
    assert lab.image_of("web") == on(first)
