"""From the push to the tasks of ECS: an emulator that runs them on a real engine, behind a strict front."""

import json

import pytest
from ecs_pushes import BREAKER, WEB, ended, ends, pinned, publish, revisions, runs

from deployer.errors import TemporaryError
from lab import HOST, PLAIN_HOST, images, wait_until
from lab.ecs.lab import CLUSTER, EcsLab, web
from lab.ecs.operators import container
from lab.ecs.rules import READ_ONLY

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with EcsLab(tmp_path_factory.mktemp("ecs"), keep_logs=True) as started:
        yield started


@pytest.fixture(autouse=True)
def _clean(lab):
    lab.front.forget()
    yield
    lab.end_processes()
    lab.clear()


@pytest.fixture
def worker(lab, queues):
    """A bridge and a worker."""
    lab.bridge(queues)
    return lab.worker(queues)


def content(lab, name):
    """Return a revision's content: what a request to register it would have."""
    found = lab.operator.definition(name)
    return {key: value for key, value in found.items() if key not in READ_ONLY}


# 1: a push of :latest becomes a revision that differs in the digest alone, and `updated`
def test_1_a_push_becomes_a_revision_a_deployment_and_an_end(lab, queues, worker):
    lab.push(WEB, "v1")
    made = lab.create_service("web", web(WEB, futureField={"deep": [1]}), tags={"team": "a"})
    before = content(lab, made["taskDefinition"])
    digest = publish(lab, queues)
    ended(worker, "web: updated")
    assert lab.running("web") == [digest]
    after = content(lab, lab.operator.service("web")["taskDefinition"])
    before["containerDefinitions"][0]["image"] = pinned(digest)
    assert after == before
    assert len(revisions(lab, "web")) == 2
    assert lab.operator.service("web")["tags"] == [{"key": "team", "value": "a"}]


# 2: the same event many times, and while the first is followed
def test_2_an_event_that_comes_five_times_deploys_once(lab, queues, worker):
    lab.push(WEB, "v1")
    lab.create_service("web", web(WEB))
    digest = lab.push(WEB, "v2")
    event = json.dumps(lab.event(WEB, digest))
    for _ in range(3):
        lab.aws.send(queues.events, event)
    wait_until(lambda: lab.front.called("UpdateService"), 40, "the update")
    for _ in range(2):
        lab.aws.send(queues.events, event)
    wait_until(lambda: not lab.aws.count(queues.events) and not lab.aws.count(queues.tasks), 60, "rest")
    assert ("web", "updated") in ends(worker)
    assert len(lab.front.called("UpdateService")) == 1
    assert len(revisions(lab, "web")) == 2
    assert lab.running("web") == [digest]


# 4: ECS's own circuit breaker is seen as the failure that it is, and remembered
def test_4_a_rollback_of_the_circuit_breaker_is_told_remembered_and_not_tried_again(lab, queues, worker):
    first = lab.push(WEB, "v1")
    lab.create_service("web", web(WEB), deploymentConfiguration=BREAKER)
    bad = publish(lab, queues, "bad", "crash")
    log = ended(worker, "web: rolled-back", timeout=90)
    assert "container web exited with code 7" in log
    runs(lab, "web", first)
    writes = len(lab.front.called("UpdateService"))
    lab.aws.send(queues.events, json.dumps(lab.event(WEB, bad)))
    ended(worker, "web: rolled-back", "web: held")
    assert len(lab.front.called("UpdateService")) == writes
    good = publish(lab, queues, "v3")
    ended(worker, "web: rolled-back", "web: held", "web: updated")
    assert lab.running("web") == [good]


# 5: no circuit breaker: ECS would try for ever; we take it back, and the old tasks serve all the time
def test_5_without_a_circuit_breaker_the_time_out_takes_back(lab, queues):
    first = lab.push(WEB, "v1")
    lab.create_service("web", web(WEB))
    lab.bridge(queues)
    worker = lab.worker(queues, ROLLOUT_TIMEOUT="12")
    publish(lab, queues, "bad", "crash")
    wait_until(lambda: lab.front.called("UpdateService"), 40, "the update")
    served = []
    wait_until(lambda: served.append(first in lab.running("web")) or ends(worker), 90, "the end")
    assert all(served)
    ended(worker, "web: rolled-back")
    runs(lab, "web", first)
    (stopped,) = lab.front.called("StopServiceDeployment")
    assert stopped["stopType"] == "ROLLBACK"
    for sent in lab.front.called("UpdateService"):
        assert sent.keys() == {"cluster", "service", "taskDefinition"}


# 3: a worker that dies on either side of UpdateService
@pytest.mark.parametrize("when", ["before", "after"])
def test_3_a_worker_that_dies_at_the_update_leaves_one_revision_and_one_deployment(lab, queues, when):
    lab.push(WEB, "v1")
    lab.create_service("web", web(WEB))
    first = len(revisions(lab, "web"))
    lab.bridge(queues)
    worker = lab.worker(queues)

    def die(members):
        worker.kill()
        raise TemporaryError("the worker has died")

    getattr(lab.front.strict.faults, when)("UpdateService", die)
    digest = publish(lab, queues)
    wait_until(lambda: not worker.running, 40, "the worker's end")
    ended(lab.worker(queues), "web: updated", timeout=90)
    assert lab.running("web") == [digest]
    assert len(revisions(lab, "web")) == first + 1
    fates = lab.front.call("ListServiceDeployments", cluster=CLUSTER, service="web")["serviceDeployments"]
    assert [one["status"] for one in fates] == ["SUCCESSFUL", "SUCCESSFUL"]


# 13: all containers of the pushed repository, and nothing else
def test_13_sidecars_and_repositories_with_a_similar_name_stay(lab, queues, worker):
    admin = lab.push("team/web-admin:latest", "admin")
    plain = lab.plain_registry.push("team/web", "latest", images.make("plain"))
    lab.push(WEB, "v1")
    other = container("other", f"{PLAIN_HOST}/team/web:latest", memory=64)
    lab.create_service("web", web(WEB, "app"), web(WEB, "queue"), web("team/web-admin:latest", "side"), other)
    lab.create_service("admin", web("team/web-admin:latest"))
    digest = publish(lab, queues)
    ended(worker, "web: updated")
    assert lab.running("web") == sorted([digest, digest, admin, plain])
    assert lab.operator.images("web")[2:] == [
        f"{HOST}/team/web-admin:latest",
        f"{PLAIN_HOST}/team/web:latest",
    ]
    (sent,) = lab.front.called("UpdateService")
    assert sent["service"].endswith("/web")


# 14: the tag is followed although the revision names a digest alone
def test_14_the_second_push_works_where_the_first_has_left_a_digest(lab, queues, worker):
    lab.push(WEB, "v1")
    lab.create_service("web", web(WEB))
    publish(lab, queues, "v2")
    ended(worker, "web: updated")
    digest = publish(lab, queues, "v3")
    ended(worker, "web: updated", "web: updated")
    assert lab.operator.images("web") == [pinned(digest)]
    assert lab.running("web") == [digest]


# 15: services that share a family
def test_15_services_of_one_family_get_a_revision_each(lab, queues, worker):
    lab.push(WEB, "v1")
    made = lab.create_service("one", web(WEB), family="shared")
    lab.create_service("two", definition=made["taskDefinition"])
    publish(lab, queues)
    ended(worker, "one: updated", "two: updated")
    one, two = (lab.operator.service(name)["taskDefinition"] for name in ("one", "two"))
    assert one != two
    owners = {lab.operator.tags_of(name)["deployer.state.service"] for name in (one, two)}
    assert len(owners) == 2
    assert len(revisions(lab, "shared")) == 3


# 18: the way back to a revision that somebody has deregistered
def test_18_an_inactive_revision_is_registered_again_to_go_back(lab, queues, worker):
    first = lab.push(WEB, "v1")
    made = lab.create_service("web", web(WEB))
    publish(lab, queues)
    ended(worker, "web: updated")
    lab.front.call("DeregisterTaskDefinition", taskDefinition=made["taskDefinition"])
    done = lab.deployer(queues, "rollback", "web", "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    assert lab.running("web") == [first]
    assert lab.operator.images("web") == [pinned(first)]


# 22: nothing is wanted, so nothing has to run
def test_22_a_service_that_wants_no_task_is_updated(lab, queues, worker):
    lab.push(WEB, "v1")
    lab.create_service("web", web(WEB), desired=0)
    digest = publish(lab, queues)
    ended(worker, "web: updated")
    assert lab.operator.images("web") == [pinned(digest)]
    assert lab.running("web") == []


# 23: what scales a service while it rolls has its way
def test_23_a_service_that_is_scaled_during_the_roll_out_stays_so(lab, queues, worker):
    lab.push(WEB, "v1")
    lab.create_service("web", web(WEB))
    digest = publish(lab, queues)
    wait_until(lambda: lab.front.called("UpdateService"), 40, "the update")
    lab.operator.scale("web", 3)
    ended(worker, "web: updated")
    runs(lab, "web", digest, digest, digest)
    (sent,) = lab.front.called("UpdateService")
    assert sent.keys() == {"cluster", "service", "taskDefinition"}


# 25: Terraform registers a revision with a tag and points to it
def test_25_a_revision_of_somebody_else_is_their_word_and_followed_on(lab, queues, worker):
    lab.push(WEB, "v1")
    lab.create_service("web", web(WEB))
    publish(lab, queues, "v2")
    ended(worker, "web: updated")
    lab.operator.deploy("web", {"web": f"{HOST}/{WEB}"})
    wait_until(lambda: lab.steady("web"), 60, "their deployment")
    assert lab.operator.images("web") == [f"{HOST}/{WEB}"]
    digest = publish(lab, queues, "v3")
    ended(worker, "web: updated", "web: updated")
    assert lab.operator.images("web") == [pinned(digest)]


# 26: holds, as on a Swarm
def test_26_a_hold_holds_and_its_release_deploys(lab, queues, worker):
    first = lab.push(WEB, "v1")
    lab.create_service("web", web(WEB))
    held = lab.deployer(queues, "hold", "web", "--reason", "a fair")
    assert held.returncode == 0, held.stderr
    digest = publish(lab, queues)
    assert "a fair" in ended(worker, "web: held")
    assert lab.running("web") == [first]
    released = lab.deployer(queues, "release", "web")
    assert released.returncode == 0, released.stderr
    ended(worker, "web: held", "web: updated")
    assert lab.running("web") == [digest]


# 31: one bridge feeds a Swarm and ECS, and either may be down
def test_31_a_push_goes_to_a_swarm_and_to_ecs(lab, queues):
    theirs = lab.aws.queues()
    lab.push(WEB, "v1")
    lab.create_service("web", web(WEB))
    lab.create("web", WEB, port=8101)
    lab.bridge(queues, TASK_QUEUE=f"{queues.tasks},{theirs.tasks}")
    ours = lab.worker(queues)
    digest = publish(lab, queues)
    ended(ours, "web: updated")  # nobody takes the Swarm's tasks yet
    assert lab.page(8101) == "v1"
    swarm = lab.swarm_worker(theirs)
    ended(swarm, "web: updated")
    assert lab.image_of("web") == f"{HOST}/{WEB}@{digest}"
    assert lab.running("web") == [digest]


# 17: more services than ECS's quotas let begin at once; the front refuses what exceeds them
def test_17_forty_services_of_one_image_begin_within_the_quota(lab, queues):
    lab.push(WEB, "v1")
    made = lab.create_service("web-0", web(WEB), desired=0, family="many")
    names = ["web-0", *(f"web-{number}" for number in range(1, 40))]
    for name in names[1:]:
        lab.create_service(name, definition=made["taskDefinition"], desired=0, wait=False)
    many = lab.aws.queues(visibility=60)
    lab.bridge(many)
    worker = lab.worker(many)
    lab.front.strict.quotas = True
    digest = publish(lab, many)
    ended(worker, *(f"{name}: updated" for name in names), timeout=240)
    assert {tuple(lab.operator.images(name)) for name in names} == {(pinned(digest),)}
    assert len(lab.front.called("UpdateService")) == 40
    assert lab.front.refused("ThrottlingException") == 0


# 27: a command before the deployment, whose exit code decides
def test_27_a_command_that_fails_leaves_the_service_alone_and_runs_once(lab, queues, worker):
    first = lab.push(WEB, "v1")
    lab.create_service("web", web(WEB, labels={"deployer.pre-command": "migrate"}))
    bad = publish(lab, queues, "bad", "crash")
    assert "exited with code 7" in ended(worker, "web: failed", timeout=90)
    (run,) = {sent["clientToken"] for sent in lab.front.called("RunTask")}
    assert run
    lab.aws.send(queues.events, json.dumps(lab.event(WEB, bad)))
    ended(worker, "web: failed", "web: held")
    assert lab.front.called("UpdateService") == []
    assert len(lab.front.called("RunTask")) == 1
    assert lab.running("web") == [first]
