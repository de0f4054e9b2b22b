"""When a job runs before a service, and when it is left to end."""

from datetime import UTC, datetime, timedelta

import pytest
from in_memory import HOST, digest

from deployer.model.deployment import Request
from deployer.model.image import Image
from deployer.model.service import Manifest, State
from deployer.rollouts.decision import Rules, Update
from deployer.rollouts.prejob import Done, Failed, Run, Running, judge
from deployer.targets.swarm.progress import snapshot_of
from deployer.targets.swarm.service import read_service

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
APP = f"{HOST}/team/app:1"


class Job:
    """A job of one task."""

    def __init__(self):
        self.tasks, self.raw = [], {}
        self.runs(1, State())
        self.ends("complete")

    def runs(self, n, state, at=NOW):
        index = self.raw.get("JobStatus", {}).get("JobIteration", {}).get("Index", 0) + 1
        container = {"Image": f"{APP}@{digest(n)}"}
        self.raw = {
            "ID": "id",
            "Version": {"Index": index},
            "Spec": {
                "Name": "migrate",
                "Labels": state.labels(),
                "TaskTemplate": {"ContainerSpec": container},
                "Mode": {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 1}},
            },
            "JobStatus": {"JobIteration": {"Index": index}},
        }
        for task in self.tasks:
            task["Status"]["State"] = "shutdown" if task["Status"]["State"] == "running" else "complete"
        self.tasks.append(
            {
                "ID": str(index),
                "JobIteration": {"Index": index},
                "CreatedAt": at.isoformat(),
                "Spec": {"ContainerSpec": container},
                "Status": {"State": "running"},
            }
        )

    def ends(self, state):
        self.tasks[-1]["Status"] = {"State": state, "Err": "non-zero exit" if state == "failed" else ""}

    def judge(self, n, task="t", **request):
        update = Update(Image.parse(f"{APP}@{digest(n)}"), Manifest(digest(n)), State())
        snapshot = snapshot_of(read_service(self.raw), self.tasks, NOW)
        found = judge(snapshot, update, Request(task, **request), Rules(rollout_timeout=60))
        if isinstance(found, Run):
            self.runs(n, found.state)
        return found


@pytest.fixture
def job():
    return Job()


@pytest.mark.parametrize(("end", "then"), [("complete", Done), ("failed", Failed)])
def test_it_runs_once_for_a_digest_and_its_end_decides(job, end, then):
    assert [type(job.judge(2, task)) for task in "aab"] == [Run, Running, Running]
    job.ends(end)
    assert [type(job.judge(2, task)) for task in "aab"] == [then, then, then]


def test_a_newer_push_does_not_kill_a_run_half_way(job):
    assert isinstance(job.judge(2, "a"), Run)
    assert isinstance(job.judge(3, "b"), Running)
    job.ends("complete")
    assert isinstance(job.judge(3, "b"), Run)


def test_nor_one_that_a_person_has_begun(job):
    job.runs(1, State())
    assert isinstance(job.judge(2), Running)


@pytest.mark.parametrize("force", [False, True])
def test_a_run_that_hangs_is_replaced_when_its_time_is_over(job, force):
    job.judge(2, "a")
    waited = {job.judge(2, "a").what: 60.0}
    assert isinstance(job.judge(2, "a", waiting=waited), Failed)
    assert isinstance(job.judge(2 if force else 3, "b", waiting=waited, force=force), Run)


def test_a_run_that_a_person_has_begun_again_has_its_whole_time(job):
    """Fault 12: `docker service update --force migrate` keeps our labels."""
    job.judge(2, "a")
    waited = {job.judge(2, "a").what: 60.0}
    state = read_service(job.raw).state
    job.ends("failed")
    job.runs(2, state, NOW + timedelta(days=1))
    assert isinstance(job.judge(2, "a", waiting=waited), Running)
    assert isinstance(job.judge(3, "b", waiting=waited), Running)


def test_two_that_are_forced_at_once_run_it_once_each(job):
    looks = {"a": None, "b": None}
    counts = dict.fromkeys(looks, 0)
    done = set()
    for _ in range(10):
        for task, remembered in looks.items():
            if task in done:
                continue
            found = job.judge(1, task, force=True, pre_job=remembered)
            if isinstance(found, Run):
                counts[task] += 1
                looks[task] = digest(1)
            elif isinstance(found, Done):
                done.add(task)
        job.ends("complete")
    assert (counts, done) == ({"a": 1, "b": 1}, {"a", "b"})
