"""The last lines that a stopped task has logged: from CloudWatch Logs, where its log driver is `awslogs`.

The stream of a container is `<prefix>/<container>/<task id>` (ECS developer guide, "awslogs log driver").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from deployer.aws.accounts import Accounts
from deployer.targets.ecs.names import last, seconds
from deployer.targets.ecs.place import Place
from deployer.targets.ecs.service import Raw
from deployer.targets.ecs.wire.api import Api

DRIVER = "awslogs"
Reader = Callable[[str, str, str, int], Sequence[str]]
"""Returns the last lines (region, log group, stream, number)."""


def last_words(place: Place, read: Reader, service: str, number: int) -> list[str]:
    """Return the last lines of the newest task of a service that has failed.

    Raises:
        TemporaryError, PermanentError: ECS or CloudWatch Logs does not tell.
    """
    stopped = sorted(place.tasks(service, "STOPPED"), key=lambda one: seconds(one.get("stoppedAt")))
    for task in reversed(stopped):
        for container in task.get("containers") or ():
            if container.get("exitCode"):
                return list(_of(place, read, task, str(container.get("name")), number))
    return []


def _of(place: Place, read: Reader, task: Raw, container: str, number: int) -> Sequence[str]:
    definition = place.revision(str(task.get("taskDefinitionArn")), fresh=False).raw
    every = definition.get("containerDefinitions") or ()
    described: Raw = next((one for one in every if one.get("name") == container), {})
    settings = described.get("logConfiguration") or {}
    options = settings.get("options") or {}
    group, prefix = options.get("awslogs-group"), options.get("awslogs-stream-prefix")
    if settings.get("logDriver") != DRIVER or not group or not prefix:
        return ()
    stream = f"{prefix}/{container}/{last(str(task['taskArn']))}"
    return read(options.get("awslogs-region") or place.api.region, group, stream, number)


def reader(accounts: Accounts) -> Callable[[Api], Reader]:
    """Return what reads the logs of an API's account."""

    def of(api: Api) -> Reader:
        def read(region: str, group: str, stream: str, number: int) -> list[str]:
            where = f"from {group}"
            with accounts.client("logs", api.account, region, "logs:GetLogEvents", where) as client:
                names = {"logGroupName": group, "logStreamName": stream}
                told: Any = client.get_log_events(**names, limit=number, startFromHead=False)
            return [str(event.get("message", "")) for event in told.get("events") or ()]

        return read

    return of
