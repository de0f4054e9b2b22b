"""From the push to the tasks of ECS: an emulator that runs them on a real engine, behind a strict front.

The tests share a lab, a bridge and a worker; each has services and repositories of its own. The numbers are
those of the scenarios in the issue.
"""

import pytest
from ecs_pushes import BREAKER, again, created, ended, ends, fates, pinned, publish, revisions, runs, updates

from deployer.errors import TemporaryError
from lab import HOST, PLAIN_HOST, images, wait_until
from lab.ecs.lab import EcsLab, web
from lab.ecs.operators import container
from lab.ecs.rules import READ_ONLY

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    with EcsLab(tmp_path_factory.mktemp("ecs"), keep_logs=True) as started:
        yield started


@pytest.fixture(scope="module")
def queues(lab):
    return lab.aws.queues()


@pytest.fixture(scope="module")
def worker(lab, queues):
    lab.bridge(queues)
    return lab.worker(queues)


@pytest.fixture(autouse=True)
def _clean_lab():
    """Leave the lab as it is: what a test has made is nobody else's."""


def content(lab, name):
    """Return what a request to register a revision would have."""
    found = lab.operator.definition(name)
    return {key: value for key, value in found.items() if key not in READ_ONLY}


def test_1_and_2_a_push_becomes_one_revision_one_deployment_and_one_end(lab, queues, worker):
    lab.push("team/web:latest", "v1")
    given = web("team/web:latest", futureField={"deep": [1]})
    made = lab.create_service("web", given, tags={"team": "a"})
    before = content(lab, made["taskDefinition"])
    digest = publish(lab, queues, "team/web")
    for _ in range(2):
        again(lab, queues, "team/web", digest)
    wait_until(lambda: updates(lab, "web"), 40, "the update")
    for _ in range(2):  # and while it is followed
        again(lab, queues, "team/web", digest)
    wait_until(lambda: "web: updated" in ends(worker, "web"), 60, "the end")
    assert lab.running("web") == [digest]
    assert len(updates(lab, "web")) == 1
    assert len(revisions(lab, "web")) == 2
    after = content(lab, lab.operator.service("web")["taskDefinition"])
    before["containerDefinitions"][0]["image"] = pinned(digest, "team/web")
    assert after == before
    assert lab.operator.service("web")["tags"] == [{"key": "team", "value": "a"}]


@pytest.mark.parametrize("when", ["before", "after"])
def test_3_a_worker_that_dies_at_the_update_leaves_one_revision_and_one_deployment(lab, when):
    name, own = f"dies-{when}", lab.aws.queues()
    repository, _ = created(lab, name)
    lab.bridge(own)
    worker = lab.worker(own)

    def die(members):
        worker.kill()
        raise TemporaryError("the worker has died")

    getattr(lab.front.strict.faults, when)("UpdateService", die)
    digest = publish(lab, own, repository)
    wait_until(lambda: not worker.running, 40, "the worker's end")
    ended(lab.worker(own), f"{name}: updated", timeout=90)
    assert lab.running(name) == [digest]
    assert len(revisions(lab, name)) == 2
    assert fates(lab, name) == ["SUCCESSFUL", "SUCCESSFUL"]


def test_4_a_rollback_of_the_circuit_breaker_is_told_remembered_and_not_tried_again(lab, queues, worker):
    repository, first = created(lab, "breaks", deploymentConfiguration=BREAKER)
    bad = publish(lab, queues, repository, "bad", "crash")
    log = ended(worker, "breaks: rolled-back", timeout=90)
    assert "container web exited with code 7" in log
    runs(lab, "breaks", first)
    assert len(updates(lab, "breaks")) == 1
    again(lab, queues, repository, bad)
    ended(worker, "breaks: rolled-back", "breaks: held")
    assert len(updates(lab, "breaks")) == 1
    good = publish(lab, queues, repository, "v3")
    ended(worker, "breaks: rolled-back", "breaks: held", "breaks: updated")
    assert lab.running("breaks") == [good]


def test_5_without_a_circuit_breaker_the_time_out_takes_back_and_the_old_tasks_serve(lab, queues, worker):
    labels = {"deployer.timeout": "8s"}
    first = lab.push("team/hopeless:latest", "v1")
    lab.create_service("hopeless", web("team/hopeless:latest", labels=labels))
    publish(lab, queues, "team/hopeless", "bad", "crash")
    wait_until(lambda: updates(lab, "hopeless"), 40, "the update")
    served = []
    wait_until(
        lambda: served.append(first in lab.running("hopeless")) or ends(worker, "hopeless"),
        90,
        "the end",
        0.5,
    )
    assert all(served)
    ended(worker, "hopeless: rolled-back")
    runs(lab, "hopeless", first)
    assert [one["stopType"] for one in lab.front.called("StopServiceDeployment")] == ["ROLLBACK"]


def test_13_sidecars_and_repositories_with_a_similar_name_stay(lab, queues, worker):
    admin = lab.push("team/shop-admin:latest", "admin")
    plain = lab.plain_registry.push("team/shop", "latest", images.make("plain"))
    lab.push("team/shop:latest", "v1")
    sidecars = [
        web("team/shop-admin:latest", "side"),
        container("other", f"{PLAIN_HOST}/team/shop:latest", memory=64),
    ]
    ours = (web("team/shop:latest", name) for name in ("app", "queue"))
    lab.create_service("shop", *ours, *sidecars)
    lab.create_service("shop-admin", web("team/shop-admin:latest"))
    digest = publish(lab, queues, "team/shop")
    ended(worker, "shop: updated")
    assert lab.running("shop") == sorted([digest, digest, admin, plain])
    assert lab.operator.images("shop")[2:] == [one["image"] for one in sidecars]
    assert updates(lab, "shop-admin") == []


def test_14_18_and_25_pushes_terraform_and_a_way_back_whose_revision_is_inactive(lab, queues, worker):
    repository, _ = created(lab, "story")
    second = publish(lab, queues, repository, "v2")
    ended(worker, "story: updated")
    # The tag is followed although the revision names a digest alone.
    publish(lab, queues, repository, "v3")
    ended(worker, "story: updated", "story: updated")
    # Back, although somebody has deregistered the revision to go back to.
    former = lab.operator.tags_of(lab.operator.service("story")["taskDefinition"])["deployer.state.former"]
    lab.front.call("DeregisterTaskDefinition", taskDefinition=former)
    done = lab.deployer(queues, "rollback", "story", "--yes", "--wait")
    assert done.returncode == 0, done.stderr
    assert lab.running("story") == [second]
    # Terraform registers a revision with a tag, and points to it.
    lab.operator.deploy("story", {"web": f"{HOST}/{repository}:latest"})
    wait_until(lambda: lab.steady("story"), 60, "their deployment")
    digest = publish(lab, queues, repository, "v4")
    wait_until(lambda: ends(worker, "story").count("story: updated") == 3, 60, "the third push")
    assert lab.operator.images("story") == [pinned(digest, repository)]


def test_15_services_of_one_family_get_a_revision_each(lab, queues, worker):
    lab.push("team/shared:latest", "v1")
    made = lab.create_service("one", web("team/shared:latest"), family="shared")
    lab.create_service("two", definition=made["taskDefinition"])
    publish(lab, queues, "team/shared")
    ended(worker, "one: updated", "two: updated")
    found = {lab.operator.service(name)["taskDefinition"] for name in ("one", "two")}
    assert len(found) == 2
    assert len({lab.operator.tags_of(name)["deployer.state.service"] for name in found}) == 2
    assert len(revisions(lab, "shared")) == 3


def test_17_and_22_services_that_want_no_task_begin_within_the_quota(lab):
    lab.push("team/many:latest", "v1")
    made = lab.create_service("many-0", web("team/many:latest"), desired=0, family="many")
    names = ["many-0", *(f"many-{number}" for number in range(1, 22))]
    for name in names[1:]:
        lab.create_service(name, definition=made["taskDefinition"], desired=0, wait=False)
    own = lab.aws.queues(visibility=60)
    lab.bridge(own)
    worker = lab.worker(own)
    lab.front.strict.quotas = True
    try:
        digest = publish(lab, own, "team/many")
        ended(worker, *(f"{name}: updated" for name in names), timeout=120)
    finally:
        lab.front.strict.quotas = False
    assert {tuple(lab.operator.images(name)) for name in names} == {(pinned(digest, "team/many"),)}
    assert sum(len(updates(lab, name)) for name in names) == 22
    assert lab.front.refused("ThrottlingException") == 0


def test_23_a_service_that_is_scaled_during_the_roll_out_stays_so(lab, queues, worker):
    repository, _ = created(lab, "scaled")
    digest = publish(lab, queues, repository)
    wait_until(lambda: updates(lab, "scaled"), 40, "the update")
    lab.operator.scale("scaled", 3)
    ended(worker, "scaled: updated")
    runs(lab, "scaled", digest, digest, digest)
    (sent,) = updates(lab, "scaled")
    assert sent.keys() == {"cluster", "service", "taskDefinition"}


def test_26_a_hold_holds_and_its_release_deploys(lab, queues, worker):
    repository, first = created(lab, "quiet")
    held = lab.deployer(queues, "hold", "quiet", "--reason", "a fair")
    assert held.returncode == 0, held.stderr
    digest = publish(lab, queues, repository)
    assert "a fair" in ended(worker, "quiet: held")
    assert lab.running("quiet") == [first]
    released = lab.deployer(queues, "release", "quiet")
    assert released.returncode == 0, released.stderr
    ended(worker, "quiet: held", "quiet: updated")
    assert lab.running("quiet") == [digest]


def test_27_a_command_that_fails_leaves_the_service_alone_and_runs_once(lab, queues, worker):
    first = lab.push("team/migrated:latest", "v1")
    lab.create_service("migrated", web("team/migrated:latest", labels={"deployer.pre-command": "migrate"}))
    bad = publish(lab, queues, "team/migrated", "bad", "crash")
    assert "exited with code 7" in ended(worker, "migrated: failed", timeout=90)
    again(lab, queues, "team/migrated", bad)
    ended(worker, "migrated: failed", "migrated: held")
    assert updates(lab, "migrated") == []
    (run,) = lab.front.called("RunTask")
    assert run["clientToken"]
    assert lab.running("migrated") == [first]


def test_31_a_push_goes_to_a_swarm_and_to_ecs_while_the_swarms_worker_is_down(lab):
    ours, theirs = lab.aws.queues(), lab.aws.queues()
    repository, _ = created(lab, "both")
    lab.create("both", f"{repository}:latest", port=8101)
    lab.bridge(ours, TASK_QUEUE=f"{ours.tasks},{theirs.tasks}")
    worker = lab.worker(ours)
    digest = publish(lab, ours, repository)
    ended(worker, "both: updated")
    assert lab.page(8101) == "v1"
    ended(lab.swarm_worker(theirs), "both: updated")
    assert lab.image_of("both") == f"{HOST}/{repository}:latest@{digest}"
    assert lab.running("both") == [digest]
