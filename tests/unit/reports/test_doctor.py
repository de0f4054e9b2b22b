"""What `deployer doctor` makes of a missing region, and of workers that do not answer."""

import pytest
from botocore.exceptions import EndpointConnectionError, NoRegionError

from deployer.reports.doctor import no_identity, workers


@pytest.mark.parametrize(
    ("answers", "waiting", "level"),
    [({"worker-1@a": {"ok": "pong"}}, 5, "ok"), ({}, 0, "warn"), (None, 0, "warn"), ({}, 2, "fail")],
)
def test_no_worker_is_a_fault_as_soon_as_tasks_wait_for_one(answers, waiting, level):
    """F11: it only warned, in the middle of an outage as before the first start."""
    found = workers(lambda: answers, lambda: waiting)
    assert found.level == level
    assert ("celery -A deployer worker" in found.fix) == (level != "ok")


def test_a_redis_that_does_not_answer_says_nothing_about_workers():
    def ping():
        raise ConnectionError

    assert workers(ping, lambda: 2).level == "warn"


def test_no_region_is_said_in_our_own_words_with_the_fix():
    found = no_identity(NoRegionError())
    assert (found.found, "AWS_REGION" in found.fix) == ("no region is set", True)


def test_a_misspelt_region_is_not_blamed_on_the_credentials():
    fault = EndpointConnectionError(endpoint_url="https://sts.eu-centrl-1.amazonaws.com/")
    found = no_identity(fault)
    assert ("eu-centrl-1" in found.found, "AWS_REGION" in found.fix) == (True, True)
    assert "CREDENTIALS" not in found.fix
