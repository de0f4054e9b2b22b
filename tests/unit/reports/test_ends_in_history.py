"""Which ends are deployments in the history."""

import json

from deployer.reports import history

DONE = "2026-01-01T00:00:00+00:00"
REPORT = {"outcome": "failed", "reason": "why", "service": "web", "service_id": "id-web", "by": "manual"}


class Redis:
    def __init__(self, *metas):
        self._texts = [json.dumps(meta) for meta in metas]

    def scan_iter(self, *_, **__):
        return iter(range(len(self._texts)))

    def mget(self, keys):
        return [self._texts[key] for key in keys]


def failed(task, **report):
    said = {"exc_type": "DeploymentFailedError", "exc_message": ["failed", REPORT | report]}
    name = f"deployer.tasks.{task}"
    return {"name": name, "args": ["web"], "status": "FAILURE", "date_done": DONE, "result": said}


def test_a_service_that_does_not_exist_has_no_deployments():
    """D11: `deployer update nosuch` stood in the history as a failed deployment."""
    nosuch = failed("update_service", refused=True, service_id=None)
    typo = failed("update_service", refused=True)
    assert [entry.service for entry in history.recorded(Redis(nosuch, typo))] == ["web"]


def test_a_push_that_was_given_up_is_in_the_history():
    """Faults 21: it was told to nobody."""
    lost = failed("image_pushed", service="every service of web:latest", reason="gave up waiting: no leader")
    fine = {"name": "deployer.tasks.image_pushed", "status": "SUCCESS", "result": {"services": {}}}
    [entry] = history.recorded(Redis(lost, fine))
    assert (entry.outcome, entry.reason) == ("failed", "gave up waiting: no leader")
