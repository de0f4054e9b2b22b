"""The names of ECS: ARNs of services and revisions, and the ids of the units that are deployed."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

NAMESPACE = uuid.UUID("0b1f6d0e-35a6-5a0c-9f0d-6f1f0a2f7c15")


@dataclass(frozen=True)
class UnitId:
    """What is deployed together: the containers of one repository in one service.

    `container` is None for a service's first unit, and the first container's name for a further one.
    """

    service: str  # the service's ARN, or its name
    container: str | None = None

    @classmethod
    def parse(cls, text: str) -> UnitId:
        """Read `SERVICE` or `SERVICE#CONTAINER`."""
        service, _, container = text.partition("#")
        return cls(service, container or None)

    def __str__(self) -> str:
        return f"{self.service}#{self.container}" if self.container else self.service

    @property
    def mark(self) -> str:
        """Return a short text that stands for the unit in tags: a revision may be several services'."""
        return str(uuid.uuid5(NAMESPACE, str(self)))


def last(arn: str) -> str:
    """Return the last part of an ARN: a service's name, or `family:revision`."""
    return arn.rpartition("/")[2]


def family_of(arn: str) -> str:
    """Return the family of a revision."""
    return last(arn).rpartition(":")[0]


def cluster_of(service_arn: str) -> str | None:
    """Return the cluster's name of a service's ARN; None for a name or an ARN of the old form."""
    parts = service_arn.split("/")
    return parts[1] if service_arn.startswith("arn:") and len(parts) == 3 else None


def region_of(arn: str) -> str | None:
    """Return the region of an ARN; None if it is none."""
    return arn.split(":")[3] if arn.startswith("arn:") and arn.count(":") >= 5 else None


def account_of(arn: str) -> str | None:
    """Return the account of an ARN; None if it is none."""
    return arn.split(":")[4] if arn.startswith("arn:") and arn.count(":") >= 5 else None


def moment(value: Any) -> datetime | None:
    """Return a time of ECS's JSON, which has seconds since 1970, or None where there is none."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, int | float):
        return datetime.fromtimestamp(value, UTC)
    return datetime.fromisoformat(value) if isinstance(value, str) and value else None


def seconds(value: Any) -> float:
    """Return a time of ECS's JSON in seconds since 1970; 0 where there is none."""
    at = moment(value)
    return at.timestamp() if at else 0.0
