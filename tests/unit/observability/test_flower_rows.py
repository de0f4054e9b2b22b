"""F14: Flower's rows say which service, what became of it, and which retries are progress."""

from types import SimpleNamespace

import pytest

from deployer.observability.flower import format_task

A, B = (f"sha256:{letter * 64}" for letter in "ab")
IMAGE = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/shop:latest@{A}"
EVENT = "d3485fc5-c187-45ae-a0f3-1f0b2b7f0b11"


def row(name="update_service", **fields):
    """Return a task as Flower shows it."""
    usual = dict.fromkeys(("args", "kwargs", "result", "exception", "traceback", "runtime"))
    return format_task(SimpleNamespace(name=f"deployer.tasks.{name}", **{"state": "RETRY"} | usual | fields))


def ended(outcome, reason, **fields):
    report = {"outcome": outcome, "reason": reason, "image": IMAGE, "previous": None, "duration": 6.25}
    return row(**{"state": "SUCCESS", "result": repr(report), "runtime": 0.01} | fields)


def test_a_row_names_service_image_and_origin_in_short():
    shown = row(args=f"shop to {IMAGE}", kwargs=f"by event {EVENT}")
    assert (shown.args, shown.kwargs) == ("shop to team/shop:latest aaaaaaaaaaaa", "by event d3485fc5")


@pytest.mark.parametrize(
    ("task", "name"),
    [("image_pushed", "pushed"), ("rollback_service", "rollback"), ("refresh_credentials",) * 2],
)
def test_a_name_is_short_and_part_of_the_tasks_own_so_that_its_link_finds_it(task, name):
    assert row(task).name == name
    assert name in task


@pytest.mark.parametrize(
    ("raised", "state"),
    [
        ("Rolling('2/4 running')", "ROLLING"),
        ("Waiting('2/4 running')", "WAITING"),
        ('Delayed("2/4 running")', "RETRY"),
    ],
)
def test_a_deployment_that_goes_on_is_no_retry_and_one_that_a_fault_delays_is(raised, state):
    shown = row(exception=raised, runtime=0.02)
    assert (shown.state, shown.result, shown.runtime) == (state, "2/4 running", None)


def test_with_buttons_a_deployment_under_way_keeps_the_one_to_revoke_it(monkeypatch):
    monkeypatch.setattr("tornado.options.options", SimpleNamespace(read_only=False))
    assert row(exception="Rolling('2/4 running')").state == "RETRY"


@pytest.mark.parametrize(
    ("outcome", "state"),
    [("updated", "SUCCESS"), ("rolled-back", "SUCCESS"), ("held", "HELD"), ("ignored", "IGNORED")],
)
def test_only_what_was_deployed_is_green(outcome, state):
    shown = ended(outcome, f"{outcome}: audit")
    assert shown.state == state
    assert shown.result == f"{outcome}: audit; image team/shop:latest@{A}"
    assert shown.runtime == 6.25


def test_a_failure_is_told_by_its_report():
    report = {"outcome": "rolled-back", "reason": "shop.1: non-zero exit (7)", "previous": f"shop:latest@{B}"}
    shown = row(state="FAILURE", exception=f"DeploymentFailedError('shop: rolled-back, …', {report!r})")
    assert shown.state == "FAILURE"
    assert shown.result == f"rolled-back: shop.1: non-zero exit (7); before shop:latest@{B}"
    assert shown.exception == "shop: rolled-back, …"
