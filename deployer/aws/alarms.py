"""CloudWatch's alarms: which of them fire.

From the CloudWatch API reference: `DescribeAlarms` takes up to a hundred names, and leaves out what there is
not.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import boto3

from deployer.aws.accounts import Accounts
from deployer.errors import PermanentError
from deployer.model.evidence import Signal, Signals

_ARN = re.compile(
    r"arn:aws[a-z-]*:cloudwatch:(?P<region>[a-z0-9-]+):(?P<account>[0-9]{12}):alarm:(?P<name>.+)"
)
_STATES = {"ALARM": Signals.FIRES, "OK": Signals.QUIET}


class Alarms:
    """The alarms of any region and account: by name they are those of AWS_REGION.

    Args:
        accounts: with the roles that are set for other accounts.
    """

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def __call__(self, alarms: Sequence[str]) -> list[Signal]:
        """Return the state of each alarm.

        Raises:
            TemporaryError: CloudWatch does not answer now.
            AccessDeniedError, PermanentError: it refuses, or no region is set.
        """
        places = defaultdict[tuple[str | None, str], list[str]](list)
        for text in alarms:
            match = _ARN.fullmatch(text)
            place = (match["account"], match["region"]) if match else (None, _region())
            places[place].append(match["name"] if match else text)
        return [signal for place, names in places.items() for signal in self._of(*place, names)]

    def _of(self, account: str | None, region: str, names: list[str]) -> list[Signal]:
        action = "cloudwatch:DescribeAlarms"
        with self._accounts.client("cloudwatch", account, region, action, f"in {region}") as client:
            told = client.describe_alarms(AlarmNames=names, AlarmTypes=["MetricAlarm", "CompositeAlarm"])
        every = [*(told.get("MetricAlarms") or ()), *(told.get("CompositeAlarms") or ())]
        known = {one["AlarmName"]: one for one in every}
        return [_signal(name, known.get(name), region) for name in names]


def _signal(name: str, alarm: Any, region: str) -> Signal:
    if alarm is None:
        return Signal(f"alarm {name}", Signals.UNKNOWN, f"there is none in {region}")
    state = _STATES.get(alarm.get("StateValue"), Signals.UNKNOWN)
    since = alarm.get("StateTransitionedTimestamp") or alarm.get("StateUpdatedTimestamp")
    reason = "" if state is Signals.UNKNOWN else str(alarm.get("StateReason", ""))[:200]
    return Signal(f"alarm {name}", state, reason, since)


def _region() -> str:
    region = boto3.session.Session().region_name
    if not region:
        raise PermanentError(
            "no AWS region is set, in which the alarms are: set AWS_REGION, or name them by ARN"
        )
    return region
