"""Clients of AWS by account.

Where a role is set for an account, its short-lived credentials are used instead of our own.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
from botocore.credentials import Credentials
from botocore.exceptions import NoCredentialsError

from deployer.aws.client_config import bounded
from deployer.aws.errors import translated
from deployer.errors import AccessDeniedError, BusyError, StaleVersionError, TemporaryError
from deployer.model.image import EcrRegistry

if TYPE_CHECKING:
    from mypy_boto3_ecr import ECRClient

CONFIG = bounded(read_timeout=10, attempts=3)
SESSION_NAME = "swarm-ecr-deployer"  # in CloudTrail
LEAST_LEFT = timedelta(minutes=5)  # of a role's credentials, before they are replaced
SESSION_LIFE = timedelta(minutes=5)

# IAM's "Names and paths" and STS's AssumeRole say which characters there may be.
_ROLE = re.compile(
    r"(?P<account>[0-9]{12})="
    r"(?P<arn>arn:aws[a-z-]*:iam::(?P<owner>[0-9]{12}):role/[\w+=,.@/-]{1,512})"
    r"(?:\?external-id=(?P<id>[\w+=,.@:/-]{2,1224}))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Role:
    """The role to use for one account."""

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


class _Session:
    """A session with its clients; it takes 0.1 s, and is kept, but not for long."""

    def __init__(self, session: boto3.session.Session, region: str, until: datetime) -> None:
        self.session = session
        self.until = until
        self._region = region
        self._clients: dict[str, Any] = {}

    def client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self.session.client(service, region_name=self._region, config=CONFIG)  # type: ignore[call-overload]
        return self._clients[service]


@dataclass(frozen=True)
class Access:
    """A service of AWS in one region: the address it has, and the credentials to sign with."""

    endpoint: str
    credentials: Credentials


class Accounts:
    """AWS by account, with the role that is set for it; shared by all threads.

    botocore's own refreshable credentials do not serve here: they log a stack trace with STS's words
    at each failure, and keep a session that AWS takes for expired.

    Args:
        roles: to assume, at most one for each account.
        clock: the time, with its zone.
    """

    def __init__(
        self, roles: Sequence[Role], clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._roles = {role.account: role for role in roles}
        self._clock = clock
        self._keys: dict[str, _Keys] = {}
        self._sessions: dict[tuple[str | None, str], _Session] = {}
        # One for each account: STS may be slow for one of them.
        self._locks: dict[str | None, threading.Lock] = {}

    @contextmanager
    def ecr(self, registry: EcrRegistry, action: str, where: str) -> Iterator[ECRClient]:
        """Give a client for ECR in the registry's region; as `client`."""
        with self.client("ecr", registry.account, registry.region, action, where) as client:
            yield client

    @contextmanager
    def client(
        self, service: str, account: str | None, region: str, action: str, where: str
    ) -> Iterator[Any]:
        """Give a boto3 client; its failures are those of `translated`.

        Args:
            service: as boto3 names it.
            account: whose role is used if there is one; None for our own credentials.
            region: of AWS.
            action: that it is wanted for, as IAM names it.
            where: what the action is asked for, for the message.

        Raises:
            AccessDeniedError: AWS refuses `sts:AssumeRole` too.
        """
        with self._kept(account, region) as (lock, kept):
            with lock:
                client = kept.client(service)
            role = self._roles.get(account or "")
            with translated(action, f"{where} as {role.arn}" if role else where):
                yield client

    @contextmanager
    def access(self, service: str, account: str | None, region: str, action: str) -> Iterator[Access]:
        """Give the endpoint and credentials of a boto3 client, for requests that boto3 does not make.

        Args:
            service: as boto3 names it.
            account: whose role is used if there is one; None for our own credentials.
            region: of AWS.
            action: that it is wanted for, as IAM names it.

        Raises:
            TemporaryError, AccessDeniedError, PermanentError: as of `client`.
        """
        with self._kept(account, region) as (lock, kept):
            with lock, translated(action, f"in {region}"):
                endpoint = kept.client(service).meta.endpoint_url
                credentials = kept.session.get_credentials()
                if credentials is None:
                    raise NoCredentialsError
            yield Access(endpoint, credentials)

    @contextmanager
    def _kept(self, account: str | None, region: str) -> Iterator[tuple[threading.Lock, _Session]]:
        lock = self._locks.setdefault(account, threading.Lock())
        with lock:
            kept = self._session(account, region)
        try:
            yield lock, kept
        except (TemporaryError, AccessDeniedError) as fault:
            if not isinstance(fault, BusyError | StaleVersionError):
                with lock:  # other credentials may be there next time
                    self._sessions.pop((account, region), None)
                    self._keys.pop(account or "", None)
            raise

    def _session(self, account: str | None, region: str) -> _Session:
        """Return a session; it is kept for minutes only, because mounted credentials are replaced."""
        now = self._clock()
        kept = self._sessions.get((account, region))
        if kept is None or kept.until <= now:
            role = self._roles.get(account or "")
            keys = self._assumed(role, region) if role else None
            until = now + SESSION_LIFE
            until = min(until, keys.expires_at - LEAST_LEFT) if keys else until
            kept = _Session(boto3.session.Session(*(keys.parts if keys else ())), region, until)
            self._sessions[account, region] = kept
        return kept

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
