"""ECS over HTTP: raw JSON, signed by botocore, within ECS's quotas.

Address, credentials and certificates are those of a boto3 client, so that AWS_ENDPOINT_URL_ECS, profiles,
instance roles and AWS_CA_BUNDLE mean the same as everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import botocore.session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.exceptions import BotoCoreError, HTTPClientError, ReadTimeoutError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from deployer.aws.accounts import Access, Accounts
from deployer.errors import BusyError, TemporaryError
from deployer.targets.ecs.wire.api import SERVICE, error_of
from deployer.targets.ecs.wire.quotas import Buckets

CONNECT_TIMEOUT, READ_TIMEOUT = 5.0, 15.0  # seconds
CONNECTIONS = 10
READS = ("Describe", "List")  # may be sent twice without harm
_HEADERS = {"Content-Type": "application/x-amz-json-1.1", "User-Agent": "swarm-ecr-deployer"}


class AwsApi:
    """ECS in one region, with the credentials of one account; shared by all threads.

    Args:
        region: of AWS.
        account: whose role is used if there is one; None for our own credentials.
        accounts: credentials by account.
        buckets: of this account and region.
    """

    def __init__(
        self, region: str, account: str | None, accounts: Accounts, buckets: Buckets | None = None
    ) -> None:
        self.region, self.account = region, account
        self._accounts = accounts
        self._buckets = buckets or Buckets()
        self._http: dict[str, URLLib3Session] = {}  # by endpoint: its connections are kept

    def call(self, action: str, /, **members: Any) -> dict[str, Any]:
        """Send one request and return its answer, both as ECS's JSON has it.

        Raises:
            BusyError: a quota is used up for now, ours for ECS or ECS's own.
            TemporaryError: AWS answers 5xx or not at all, or the credentials have expired.
            AccessDeniedError: AWS refuses the action; the message names it and the resource.
            Refused: AWS refuses the request for any other reason.
        """
        self._buckets.take(action)
        with self._accounts.access("ecs", self.account, self.region, f"ecs:{action}") as access:
            answer = self._send(access, action, json.dumps(members).encode())
            said = _json(answer)
            if answer.status_code == 200 and said is not None:
                return said
            raise self._error(action, answer.status_code, said or {})

    def _error(self, action: str, status: int, said: Mapping[str, Any]) -> Exception:
        message = said.get("message") or said.get("Message") or ""
        fault = error_of(action, status, str(said.get("__type", "")), str(message))
        if isinstance(fault, BusyError):
            return BusyError(str(fault), self._buckets.throttled(action))
        if status == 200:
            return TemporaryError(f"ECS's answer to ecs:{action} is cut off")
        return fault

    def _send(self, access: Access, action: str, body: bytes, again: bool = True) -> AWSResponse:
        request = AWSRequest(
            "POST", access.endpoint + "/", _HEADERS | {"X-Amz-Target": f"{SERVICE}.{action}"}, body
        )
        try:
            SigV4Auth(access.credentials.get_frozen_credentials(), "ecs", self.region).add_auth(request)
            return self._connections(access.endpoint).send(request.prepare())
        except (HTTPClientError, BotoCoreError) as fault:
            # A kept connection may have been closed by the other side just now.
            if again and action.startswith(READS) and not isinstance(fault, ReadTimeoutError):
                return self._send(access, action, body, again=False)
            kind = type(fault).__name__
            raise TemporaryError(f"ECS in {self.region} does not answer ecs:{action}: {kind}") from fault

    def _connections(self, endpoint: str) -> URLLib3Session:
        if endpoint not in self._http:
            trusted = botocore.session.get_session().get_config_variable("ca_bundle")
            self._http[endpoint] = URLLib3Session(
                verify=trusted or True,
                proxies=get_environ_proxies(endpoint),
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),  # type: ignore[arg-type]  # the stubs know less
                max_pool_connections=CONNECTIONS,
            )
        return self._http[endpoint]


def _json(answer: AWSResponse) -> dict[str, Any] | None:
    try:
        said = json.loads(answer.content)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None
