"""From the event to the running container: a real Swarm, a real registry, SQS over HTTP."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pushes import WEB, drained, on, publish, rolled_out, version

from lab import HOST, failing, wait_until

pytestmark = pytest.mark.real


@pytest.fixture
def deployer(lab, queues):
    """A bridge and a worker."""
    return lab.bridge(queues), lab.worker(queues)


def test_every_service_of_the_image_is_updated_and_no_other(lab, queues, deployer):
    first = lab.push(WEB, "v1")
    lab.push("team/web:stable", "v1")
    lab.create("one", WEB, port=8101)
    lab.create("two", WEB, port=8102)
    lab.create("other", "team/web:stable", port=8103)
    lab.create("asleep", WEB, "--replicas", "0")
    untouched = version(lab, "other")
    second = publish(lab, queues)
    assert second != first
    for service in ("one", "two", "asleep"):
        rolled_out(lab, service, on(second))
    wait_until(lambda: (lab.page(8101), lab.page(8102)) == ("v2", "v2"), what="both pages")
    assert lab.page(8103) == "v1"
    assert version(lab, "other") == untouched
    assert lab.tasks_of("asleep") == []
    drained(lab, queues)
    log = deployer[1].text
    for service in ("one", "two", "asleep"):
        number = lab.inspect(service)["ID"]
        assert f"Updated service {number} with image {HOST}/{WEB}, {second}" in log
        assert log.count(f"Updated service {number}") == 1
        assert f"of service {service} ended: updated" in log


def test_a_duplicate_and_a_late_event_change_nothing(lab, queues, deployer):
    old = lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    new = lab.push(WEB, "v2")
    event = json.dumps(lab.event(WEB, new))
    lab.aws.send(queues.events, event)
    rolled_out(lab, "web", on(new))
    drained(lab, queues)
    before = (version(lab, "web"), lab.tasks_of("web"))
    late = lab.event(WEB, old) | {"time": "2020-01-01T00:00:00Z"}
    for body in (event, json.dumps(late), json.dumps(lab.event(WEB, new))):
        lab.aws.send(queues.events, body)
    wait_until(lambda: "superseded, stale" in deployer[1].text, what="the late event's end")
    wait_until(lambda: "unchanged" in deployer[1].text, what="the duplicate's end")
    drained(lab, queues)
    assert (version(lab, "web"), lab.tasks_of("web")) == before


def test_rubbish_ends_in_the_dead_letter_queue_and_what_is_behind_it_is_served(lab, queues, deployer):
    lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    lab.aws.send(queues.events, "{")
    lab.aws.send(queues.events, '{"detail-type": "ECR Image Scan", "source": "aws.ecr"}')
    lab.aws.send(queues.tasks, "rubbish on the task queue")
    lab.aws.send(queues.tasks, '{"body": "e30=", "properties": "rubbish"}')
    new = publish(lab, queues)
    rolled_out(lab, "web", on(new))
    wait_until(lambda: lab.aws.count(queues.events_dead) == 1, 60, "the event in the dead-letter queue")
    wait_until(lambda: lab.aws.count(queues.tasks_dead) == 2, 60, "the tasks in their dead-letter queue")
    assert lab.aws.bodies(queues.events_dead) == ["{"]
    bridge, worker = deployer
    assert "left for the dead-letter queue: not-json" in bridge.text
    assert bridge.running
    assert worker.running


def test_an_update_that_is_due_while_the_engine_is_down_is_made_when_it_is_back(lab, queues, deployer):
    lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    lab.engine.stop()
    try:
        new = publish(lab, queues)
        wait_until(lambda: "Docker engine does not answer" in deployer[1].text, what="the worker's word")
    finally:
        lab.engine.start()
    rolled_out(lab, "web", on(new), 60)
    wait_until(lambda: lab.page(8101) == "v2", what="the page")


@pytest.mark.parametrize("fault", ["frozen", "stopped"])
def test_sqs_that_goes_away_ends_nothing_and_is_used_again(lab, queues, deployer, fault):
    bridge, worker = deployer
    lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    if fault == "frozen":
        lab.aws.freeze(35)
    else:
        lab.aws.restart(down=3)
    # An aborted long poll of the emulator may swallow a message until its visibility timeout.
    new = publish(lab, queues)
    rolled_out(lab, "web", on(new), 90)
    assert bridge.running
    assert worker.running
    for process in deployer:
        assert process.text.count("does not answer, trying") <= 1
        assert "Traceback" not in process.text


def test_a_worker_killed_in_mid_task_is_replaced_by_another(lab, queues):
    lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    lab.bridge(queues)
    doomed = lab.worker(queues)
    lab.registry.freeze()
    try:
        new_digest = lab.registry.while_thawed(lambda: lab.push(WEB, "v2"))
        lab.aws.send(queues.events, json.dumps(lab.event(WEB, new_digest)))
        wait_until(lambda: "is followed by 1 services" in doomed.text, what="the push at the worker")
        wait_until(lambda: lab.aws.count(queues.tasks) == 1, what="the update under way")
        doomed.kill()
    finally:
        lab.registry.thaw()
    assert lab.image_of("web") != on(new_digest)
    lab.worker(queues)
    rolled_out(lab, "web", on(new_digest), 60)


def test_a_token_that_the_registry_refuses_is_replaced_by_a_fresh_one(lab, queues, deployer):
    lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    rolled_out(lab, "web", on(publish(lab, queues)))  # the worker has a token now
    drained(lab, queues)
    newer = lab.push(WEB, "v3")
    with failing(lab.registry, 1) as told:
        lab.aws.send(queues.events, json.dumps(lab.event(WEB, newer)))
        rolled_out(lab, "web", on(newer))
        assert told.failed == 1
    assert "refuses access" not in deployer[1].text


def test_tokens_that_are_refused_for_good_end_the_deployment_with_the_registrys_words(lab, queues, deployer):
    lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    rolled_out(lab, "web", on(publish(lab, queues)))
    drained(lab, queues)
    newer = lab.push(WEB, "v3")
    lab.registry.refuse()
    try:
        lab.aws.send(queues.events, json.dumps(lab.event(WEB, newer)))
        wait_until(lambda: "refuses access" in deployer[1].text, what="the refusal in the log")
    finally:
        lab.registry.accept(lab.password)
    subprocess.run([*CLI, "update", "web"], env=lab.environment(queues), check=True)
    rolled_out(lab, "web", on(newer))


CLI = [sys.executable, "-m", "deployer"]


def test_redeploy_by_hand_from_the_command_line_and_from_python(lab, queues, deployer):
    lab.push(WEB, "v1")
    seven = lab.push("team/web:v7", "v7")
    lab.create("web", WEB, port=8101)
    env = lab.environment(queues)
    newest = lab.push(WEB, "v2")
    program = (
        "from deployer.tasks import update_service\n"
        "print(update_service.delay('web').get(timeout=60)['outcome'])\n"
        f"print(update_service.delay('web', image='{HOST}/team/web:v7').get(timeout=60)['image'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["updated", on(seven, "team/web:v7")]
    assert newest != seven
    tasks = lab.tasks_of("web")
    subprocess.run([*CLI, "update", "web", "--force"], env=env, check=True, capture_output=True)
    wait_until(lambda: lab.tasks_of("web") != tasks, what="a restarted task")
    drained(lab, queues)
    assert lab.image_of("web") == on(seven, "team/web:v7")
    refused = subprocess.run(
        [
            sys.executable,
            "-c",
            "from deployer.tasks import update_service\nupdate_service.delay('web', image='ghcr.io/evil/web').get(timeout=60)",
        ],
        env=env,
        capture_output=True,
        text=True,
    )
    assert "DeploymentFailedError" in refused.stderr
    assert "another repository" in refused.stderr
    drained(lab, queues)
    assert lab.image_of("web") == on(seven, "team/web:v7")


def test_one_bridge_feeds_the_queues_of_several_swarms(lab, queues):
    other = lab.aws.queues()
    bridge = lab.bridge(queues, TASK_QUEUE=f"{queues.tasks},{other.tasks}")
    lab.aws.send(queues.events, json.dumps(lab.event(WEB, "sha256:" + "0" * 64)))
    wait_until(lambda: lab.aws.count(queues.tasks) == lab.aws.count(other.tasks) == 1, what="a task in each")
    wait_until(lambda: not lab.aws.count(queues.events), what="the event deleted")
    assert bridge.stop() < 5  # its last poll, of 2 s here


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.6, 0.9, 1.2])
def test_an_event_that_comes_while_the_bridge_ends_is_handed_on_by_its_last_poll(lab, queues, delay):
    bridge = lab.bridge(queues, POLL_WAIT="20")
    wait_until(lambda: "Bridge started" in bridge.text, what="the bridge")
    time.sleep(0.5)
    bridge.signal(signal.SIGTERM)
    time.sleep(delay)
    assert bridge.running, "it waits for its last poll"
    lab.aws.send(queues.events, json.dumps(lab.event(WEB, "sha256:" + "0" * 64)))
    wait_until(lambda: lab.aws.count(queues.tasks) == 1, 5, "the task")
    assert bridge.join(5) == 0
    assert not lab.aws.count(queues.events)


def test_a_bridge_that_is_told_twice_to_end_waits_for_nothing(lab, queues):
    bridge = lab.bridge(queues, POLL_WAIT="20")
    wait_until(lambda: "Bridge started" in bridge.text, what="the bridge")
    time.sleep(0.5)
    bridge.signal(signal.SIGTERM)
    time.sleep(0.5)
    assert bridge.running
    bridge.signal(signal.SIGTERM)
    assert bridge.join(3) == 0


def test_without_redis_deployments_work(lab, queues):
    lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    lab.bridge(queues, REDIS_URL="")
    lab.worker(queues, REDIS_URL="")
    rolled_out(lab, "web", on(publish(lab, queues)))


def test_redis_that_is_not_there_delays_nothing(lab, queues):
    lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    lab.bridge(queues)
    worker = lab.worker(queues, REDIS_URL="redis://127.0.0.1:1")
    rolled_out(lab, "web", on(publish(lab, queues)))
    wait_until(lambda: "ended: updated" in worker.text, what="the end of the deployment")
    assert worker.text.count("results are lost") == 1


@pytest.mark.parametrize(
    ("command", "change", "said"),
    [
        (["deployer", "bridge"], {"DEPLOYER_QUEUE": ""}, "DEPLOYER_QUEUE is not set"),
        (["deployer", "bridge"], {"DEPLOYER_TASK_QUEUE": ""}, "DEPLOYER_TASK_QUEUE is not set"),
        (["deployer", "update", "web"], {"DEPLOYER_TASKQUEUE": "x"}, "did you mean DEPLOYER_TASK_QUEUE?"),
        (
            ["celery", "-A", "deployer", "worker"],
            {"DEPLOYER_TASK_QUEUE": ""},
            "DEPLOYER_TASK_QUEUE is not set",
        ),
        (["celery", "-A", "deployer", "worker"], {"DEPLOYER_LOG_LEVEL": "loud"}, "DEPLOYER_LOG_LEVEL"),
        (
            ["deployer", "bridge"],
            {"DEPLOYER_QUEUE": "no-such-queue"},
            "there is no queue 'no-such-queue' in",
        ),
    ],
)
def test_a_wrong_setting_is_one_line_and_no_stack_trace(lab, queues, command, change, said):
    env = {key: value for key, value in (lab.environment(queues) | change).items() if value}
    command = [str(Path(sys.executable).with_name(command[0])), *command[1:]]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)
    assert done.returncode
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def deployer_command(lab, queues, *argv, **settings):
    env = lab.environment(queues, **settings)
    return subprocess.run([*CLI, *argv], env=env, capture_output=True, text=True, timeout=120)


def test_wait_tells_how_it_ended_and_so_does_the_exit_code(lab, queues):
    lab.worker(queues)
    lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    good = lab.push(WEB, "v2")
    done = deployer_command(lab, queues, "update", "web", "--wait")
    assert done.returncode == 0
    assert "0/1 updated" in done.stderr  # its progress
    assert "web: updated, 1/1 running" in done.stdout
    lab.push(WEB, "broken", kind="crash")
    failed = deployer_command(lab, queues, "update", "web", "--wait")
    assert failed.returncode == 4
    assert "web: rolled-back, web.1: task: non-zero exit (7)" in failed.stdout
    assert "Traceback" not in failed.stderr
    assert lab.image_of("web") == on(good)
    again = deployer_command(lab, queues, "update", "web", "--wait")
    assert again.returncode == 5
    assert "web: held, this digest failed before" in again.stdout


def test_a_task_is_sent_also_when_redis_is_gone(lab, queues):
    lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    done = deployer_command(lab, queues, "update", "web", REDIS_URL="redis://127.0.0.1:1")
    assert done.returncode == 0
    assert lab.aws.count(queues.tasks) == 1
    assert "Traceback" not in done.stderr


def test_hold_and_release_by_command(lab, queues, deployer):
    lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    assert "web: held, audit" in deployer_command(lab, queues, "hold", "web", "--reason", "audit").stdout
    before = version(lab, "web")
    publish(lab, queues)
    wait_until(lambda: "ended: held, audit" in deployer[1].text, what="the held push")
    assert version(lab, "web") == before
    newest = publish(lab, queues, text="v3")
    assert "web: released" in deployer_command(lab, queues, "release", "web").stdout
    rolled_out(lab, "web", on(newest))
    drained(lab, queues)
    deployer_command(lab, queues, "hold", "--all", "--reason", "freeze")
    frozen = publish(lab, queues, text="v4")
    wait_until(lambda: "ended: held, freeze" in deployer[1].text, what="the frozen push")
    assert lab.image_of("web") == on(newest)
    deployer_command(lab, queues, "release", "--all")
    rolled_out(lab, "web", on(frozen))


def test_rollback_by_hand_with_one_command(lab, queues, deployer):
    first = lab.push(WEB, "v1")
    lab.create("web", WEB, port=8101)
    rolled_out(lab, "web", on(publish(lab, queues)))
    drained(lab, queues)
    done = deployer_command(lab, queues, "rollback", "web", "--wait")
    assert "web: rolled-back" in done.stdout
    assert lab.image_of("web") == on(first)
