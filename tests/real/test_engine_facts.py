"""What the deployer takes for granted of an engine, whatever its version; docs/engines.md tells where they differ."""

import pytest

from lab import HOST, wait_until

pytestmark = pytest.mark.real
WEB = "team/facts:latest"


def write(lab, name, change=lambda spec: None, index=None, api=""):
    """Write a service's spec after a change, over the version that was read; status and what was said."""
    service = lab.inspect(name)
    change(service["Spec"])
    index = service["Version"]["Index"] if index is None else index
    return lab.engine.post(f"{api}/services/{service['ID']}/update?version={index}", service["Spec"])


def label(spec):
    spec["Labels"] = {"written": "yes"}


def updated(lab):
    """A service of one task that has been updated from v1 to v2."""
    lab.push(WEB, "v1")
    lab.create("web", WEB, "--update-monitor", "100ms")
    lab.push(WEB, "v2")
    lab.docker("service", "update", "-d", "-q", "--with-registry-auth", "--image", f"{HOST}/{WEB}", "web")
    wait_until(
        lambda: lab.inspect("web").get("UpdateStatus", {}).get("State") == "completed", what="the update"
    )
    return lab.inspect("web")


def test_a_stale_version_is_refused_with_500(lab):
    lab.push(WEB)
    lab.create("web", WEB, "--replicas", "0")
    index = lab.inspect("web")["Version"]["Index"]
    assert write(lab, "web", label)[0] == 200
    status, said = write(lab, "web", label, index)
    assert status == 500
    assert "update out of sequence" in said


@pytest.mark.parametrize("change", [label, lambda spec: None], ids=["labels", "nothing"])
def test_a_write_restarts_no_task_but_takes_away_what_the_last_update_was(lab, change):
    before, tasks = updated(lab), lab.tasks_of("web")
    assert before["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Image"] != lab.image_of("web")
    assert write(lab, "web", change)[0] == 200
    after = lab.inspect("web")
    assert "UpdateStatus" not in after
    assert after["PreviousSpec"]["TaskTemplate"]["ContainerSpec"]["Image"] == lab.image_of("web")
    assert lab.tasks_of("web") == tasks


@pytest.mark.parametrize("change", [label, lambda spec: None], ids=["labels", "nothing"])
def test_any_write_to_a_job_runs_it_again(lab, change):
    lab.push(WEB, kind="job", seconds=0.1)
    lab.create("job", WEB, "--mode", "replicated-job", wait=False)
    complete = lambda: [task for task in lab.tasks("job") if task["Status"]["State"] == "complete"]  # noqa: E731
    wait_until(lambda: len(complete()) == 1, what="the first run")
    assert write(lab, "job", change)[0] == 200
    wait_until(lambda: len(complete()) == 2, what="the second run")


def test_the_api_resolves_no_digest(lab):
    lab.push(WEB)
    lab.create("web", WEB, "--replicas", "0")
    name = f"{HOST}/{WEB}"
    assert lab.image_of("web").startswith(f"{name}@sha256:")  # the client does
    assert write(lab, "web", lambda spec: spec["TaskTemplate"]["ContainerSpec"].update(Image=name))[0] == 200
    assert lab.image_of("web") == name


def test_a_task_that_is_stopped_while_it_pulls_has_had_no_container(lab):
    """It is called `shutdown`, as one that ran: an image that never ran is no way back."""
    lab.push(WEB, "v1")
    lab.create("web", WEB)
    first = lab.image_of("web")
    second = f"{HOST}/{WEB}@{lab.push(WEB, 'that no node has pulled yet')}"

    def of(image):
        return [task for task in lab.tasks("web") if task["Spec"]["ContainerSpec"]["Image"] == image]

    def running(image):
        return lambda spec: spec["TaskTemplate"]["ContainerSpec"].update(Image=image)

    lab.registry.freeze()
    try:
        write(lab, "web", running(second))
        wait_until(lambda: [t["Status"]["State"] for t in of(second)] == ["preparing"], 20, "the pull")
        write(lab, "web", running(first))
        wait_until(lambda: [t["Status"]["State"] for t in of(second)] == ["shutdown"], 20, "its end")
    finally:
        lab.registry.thaw()
    assert not of(second)[0]["Status"].get("ContainerStatus", {}).get("ContainerID")
    (ran,) = [task for task in of(first) if task["Status"]["State"] == "shutdown"]
    assert ran["Status"]["ContainerStatus"]["ContainerID"]


def test_an_expired_login_passes_where_the_image_is_cached_and_fails_where_it_is_not(lab):
    updated(lab)
    lab.registry.refuse()
    old = lab.tasks_of("web")
    write(lab, "web", lambda spec: spec["TaskTemplate"].update(ForceUpdate=1))
    wait_until(lambda: lab.tasks_of("web") != old and lab.is_up("web"), what="a new task of the cached image")
    lab.registry.accept(lab.password)
    digest = lab.push(WEB, "v3")
    lab.registry.refuse()
    image = f"{HOST}/{WEB}@{digest}"
    write(lab, "web", lambda spec: spec["TaskTemplate"]["ContainerSpec"].update(Image=image))
    rejected = lambda: [task for task in lab.tasks("web") if task["Status"]["State"] == "rejected"]  # noqa: E731
    wait_until(rejected, what="a task that was rejected")
    assert "No such image" in rejected()[0]["Status"]["Err"]


@pytest.mark.parametrize(
    ("minor", "field", "value"),
    [(44, "Privileges", {"NoNewPrivileges": True}), (46, "OomScoreAdj", 100)],
    ids=["no-new-privileges", "oom-score-adj"],
)
def test_a_spec_written_at_an_older_version_of_the_api_loses_what_that_lacks(lab, minor, field, value):
    version = lab.engine.get("/version")
    own, least = (int(version[name].partition(".")[2]) for name in ("ApiVersion", "MinAPIVersion"))
    if own < minor:
        pytest.skip(f"the engine does not know it before its API 1.{minor}")

    def kept():
        # What is left of an emptied value comes back as its zeros.
        found = lab.inspect("web")["Spec"]["TaskTemplate"]["ContainerSpec"].get(field)
        return found == value or (isinstance(value, dict) and found and found.items() >= value.items())

    lab.push(WEB)
    lab.create("web", WEB, "--replicas", "0")
    assert (
        write(lab, "web", lambda spec: spec["TaskTemplate"]["ContainerSpec"].update({field: value}))[0] == 200
    )
    assert kept()
    status, said = write(lab, "web", api=f"/v1.{minor - 1}")
    if minor - 1 < least:
        assert (status, "too old" in said) == (400, True)
        assert kept()
    else:
        assert status == 200
        assert not kept()


def test_a_manager_tells_how_many_tasks_of_a_slot_it_keeps(lab):
    def kept():
        return lab.engine.get("/info")["Swarm"]["Cluster"]["Spec"]["Orchestration"][
            "TaskHistoryRetentionLimit"
        ]

    assert kept() == 5
    lab.docker("swarm", "update", "--task-history-limit", "1")
    try:
        assert kept() == 1
    finally:
        lab.docker("swarm", "update", "--task-history-limit", "5")
