"""EventBridge and its scheduler on AWS, by boto3.

boto3 leaves out members of an answer that it does not know. So the JSON of the answer itself is read, and
what boto3 cannot send back whole is refused before anything is lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from botocore import xform_name
from botocore.exceptions import ParamValidationError

from deployer.aws.accounts import Accounts
from deployer.errors import PermanentError
from deployer.targets.ecs.service import Raw


class AwsSchedules:
    """EventBridge and its scheduler in one region, with the credentials of one account.

    Args:
        region: of AWS.
        account: whose role is used if there is one; None for our own credentials.
        accounts: credentials by account.
    """

    def __init__(self, region: str, account: str | None, accounts: Accounts) -> None:
        self._region, self._account, self._accounts = region, account, accounts

    def targets(self, rule: str) -> Sequence[Raw]:
        """Return the targets of a rule of the default bus.

        Raises:
            NotFoundError: there is no such rule.
            AccessDeniedError, TemporaryError: AWS refuses, or cannot answer now.
        """
        found: list[Raw] = []
        asked: dict[str, Any] = {"Rule": rule}
        while True:
            said = self._ask("events", "ListTargetsByRule", f"rule {rule}", asked)
            found += said.get("Targets") or ()
            if not said.get("NextToken"):
                return found
            asked["NextToken"] = said["NextToken"]

    def put_targets(self, rule: str, targets: Sequence[Raw]) -> None:
        """Replace targets of a rule.

        Raises:
            PermanentError: any of them was not taken, which AWS says in an answer of success.
        """
        asked = {"Rule": rule, "Targets": list(targets)}
        said = self._ask("events", "PutTargets", f"rule {rule}", asked)
        for one in said.get("FailedEntries") or ():
            raise PermanentError(
                f"EventBridge has not taken target {one.get('TargetId')}: {one.get('ErrorMessage')}"
            )

    def schedule(self, group: str, name: str) -> Raw:
        """Return an entry of the scheduler.

        Raises:
            NotFoundError: there is no such entry.
        """
        asked = {"GroupName": group, "Name": name}
        return self._ask("scheduler", "GetSchedule", f"schedule {group}/{name}", asked)

    def put_schedule(self, members: Raw) -> None:
        """Replace an entry as a whole; errors as of `schedule`."""
        where = f"schedule {members.get('GroupName')}/{members.get('Name')}"
        self._ask("scheduler", "UpdateSchedule", where, members)

    def _ask(self, service: str, action: str, where: str, members: Mapping[str, Any]) -> dict[str, Any]:
        call = f"{service}:{action}"
        with self._accounts.client(service, self._account, self._region, call, where) as client:
            client.meta.events.register(f"after-call.{service}.{action}", _keep_whole, unique_id="whole")
            try:
                said = getattr(client, xform_name(action))(**members)
            except ParamValidationError as fault:
                raise PermanentError(
                    f"{where} has members that this version does not know: {fault}"
                ) from fault
            return dict(said.get("Whole") or {})


def _keep_whole(http_response: Any, parsed: dict[str, Any], **_: Any) -> None:
    """Put the JSON of an answer beside what boto3 makes of it."""
    if http_response.status_code < 300:
        parsed["Whole"] = json.loads(http_response.content or b"{}")
