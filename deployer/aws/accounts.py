"""Clients of ECR by AWS account.

Where a role is set for an account, its short-lived credentials are used instead of our own.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import boto3

from deployer.aws.client_config import bounded
from deployer.aws.errors import translated
from deployer.errors import DeployerError
from deployer.model.image import EcrRegistry

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

CONFIG = bounded(read_timeout=10, attempts=3)
SESSION_NAME = "swarm-ecr-deployer"  # in CloudTrail
LEAST_LEFT = timedelta(minutes=5)  # of a role's credentials, before they are replaced
CLIENT_LIFE = timedelta(minutes=5)

# IAM's "Names and paths" and STS's AssumeRole say which characters there may be.
_ROLE = re.compile(
    r"(?P<account>[0-9]{12})="
    r"(?P<arn>arn:aws[a-z-]*:iam::(?P<owner>[0-9]{12}):role/[\w+=,.@/-]{1,512})"
    r"(?:\?external-id=(?P<id>[\w+=,.@:/-]{2,1224}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Role:
    """The role to use for the registries of one account."""

    account: str
    arn: str
    external_id: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Role:
        """Read `ACCOUNT=ARN`, with `?external-id=…` where the role's trust policy wants one.

        Raises:
            ValueError: it is malformed, or the role is another account's.
        """
        match = _ROLE.fullmatch(text)
        if not match:
            raise ValueError("it is no <12 digits>=<ARN of an IAM role>")
        if match["owner"] != match["account"]:
            raise ValueError(f"the role for {match['account']} belongs to {match['owner']}")
        return cls(match["account"], match["arn"], match["id"])


def roles(text: str) -> tuple[Role, ...]:
    """Read several roles, separated by white space or commas.

    Raises:
        ValueError: one is malformed, or there are two for one account.
    """
    found: dict[str, Role] = {}
    # A comma may stand in the name of a role too.
    words = re.split(r"[\s,]*\s[\s,]*|,+(?=[0-9]{12}=)", text.strip(" \t\r\n,"))
    for number, word in enumerate(filter(None, words), 1):
        try:
            role = Role.parse(word)
        except ValueError as fault:
            raise ValueError(f"role {number}: {fault}") from None
        if role.account in found:
            raise ValueError(f"role {number}: there are two for {role.account}")
        found[role.account] = role
    return tuple(found.values())


@dataclass(frozen=True)
class _Keys:
    parts: tuple[str, str, str] = field(repr=False)  # id, secret and session token
    expires_at: datetime


class Accounts:
    """ECR by account, with the role that is set for it; shared by all threads.

    botocore's own refreshable credentials do not serve here: they log a stack trace with STS's words
    at each failure, and keep a session that AWS takes for expired.

    Args:
        roles: to assume, at most one for each account.
        clock: the time, with its zone.
    """

    def __init__(self, roles: Sequence[Role], clock: Callable[[], datetime]) -> None:
        self._roles = {role.account: role for role in roles}
        self._clock = clock
        self._keys: dict[str, _Keys] = {}
        self._clients: dict[EcrRegistry, tuple[ECRClient, datetime]] = {}
        self._locks: dict[str, threading.Lock] = {}  # one for each account: STS may be slow for one of them

    @contextmanager
    def ecr(self, registry: EcrRegistry, action: str, where: str) -> Iterator[ECRClient]:
        """Give a client for ECR in the registry's region; its failures are those of `translated`.

        Args:
            registry: whose account's role is used if there is one.
            action: that it is wanted for, as IAM names it.
            where: what the action is asked for, for the message.

        Raises:
            AccessDeniedError: AWS refuses `sts:AssumeRole` too.
        """
        role = self._roles.get(registry.account)
        lock = self._locks.setdefault(registry.account, threading.Lock())
        with lock:
            client = self._client(registry, role)
        try:
            with translated(action, f"{where} as {role.arn}" if role else where):
                yield client
        except DeployerError:
            with lock:  # other credentials may be there next time
                self._clients.pop(registry, None)
                self._keys.pop(registry.account, None)
            raise

    def _client(self, registry: EcrRegistry, role: Role | None) -> ECRClient:
        """Return a client; it takes 0.1 s and is kept, but not for long: mounted credentials are replaced."""
        now = self._clock()
        client, until = self._clients.get(registry, (None, now))
        if client is None or until <= now:
            keys = self._assumed(role, registry.region) if role else None
            session = boto3.session.Session(*(keys.parts if keys else ()))
            client = session.client("ecr", region_name=registry.region, config=CONFIG)
            until = now + CLIENT_LIFE
            self._clients[registry] = client, min(until, keys.expires_at - LEAST_LEFT) if keys else until
        return client

    def _assumed(self, role: Role, region: str) -> _Keys:
        keys = self._keys.get(role.account)
        if keys is None or keys.expires_at - self._clock() <= LEAST_LEFT:
            keys = self._keys[role.account] = _assume(role, region)
        return keys


def _assume(role: Role, region: str) -> _Keys:
    session = boto3.session.Session()
    options = {"ExternalId": role.external_id} if role.external_id else {}
    with translated("sts:AssumeRole", f"for {role.arn}"):
        # In a region, STS answers at its regional endpoint: ours, which is enabled and near, if it is set.
        client = session.client("sts", region_name=session.region_name or region, config=CONFIG)
        found = client.assume_role(RoleArn=role.arn, RoleSessionName=SESSION_NAME, **options)["Credentials"]  # type: ignore[arg-type]
    parts = (found["AccessKeyId"], found["SecretAccessKey"], found["SessionToken"])
    return _Keys(parts, found["Expiration"])
