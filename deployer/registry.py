"""Credentials for registries: ECR tokens from AWS, all others from the Docker configuration.

The only module that speaks to ECR. Which digest a tag means is asked through the engine (`swarm`), with the
credentials from here, so that what is proved good is what the nodes will use.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import boto3
import docker.auth
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

from deployer.errors import AccessDeniedError, PermanentError, TemporaryError
from deployer.images import EcrRegistry, Image
from deployer.ports import Credentials

# A token lives 12 hours (ECR user guide, "Registry authentication"). It is stored in the Swarm with each
# update and must serve tasks that start later, so one with less than this left is not handed out.
TOKEN_LIFE = timedelta(hours=12)
LEAST_LEFT = timedelta(hours=1)
DENIED = {
    "AccessDenied",
    "AccessDeniedException",
    "UnrecognizedClientException",
    "InvalidClientTokenId",
}
EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired"}


@dataclass(frozen=True)
class _Token:
    credentials: Credentials
    expires_at: datetime


class Registries:
    """Credentials by image, cached until shortly before they expire, shared by all threads of a process."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._tokens: dict[tuple[str, str], _Token] = {}
        self._lock = threading.Lock()

    def credentials(self, image: Image) -> Credentials | None:
        """Credentials for the image's registry; None where none are configured (anonymous).

        Raises:
            TemporaryError: AWS cannot be reached or answers 5xx or throttles.
            AccessDeniedError: AWS refuses `ecr:GetAuthorizationToken`.
            PermanentError: no AWS credentials at all.
        """
        registry = image.ecr
        if registry is None:
            return _configured(image)
        with self._lock:
            return self._ecr(registry, image.host)

    def forget(self, image: Image) -> bool:
        """Drop the cached token for the image's registry; whether there was one."""
        registry = image.ecr
        if registry is None:
            return False
        with self._lock:
            return self._tokens.pop((registry.account, registry.region), None) is not None

    def issued(self) -> dict[str, datetime]:
        """The registries whose tokens are held, as `account.region`, and when those were issued."""
        with self._lock:
            tokens = dict(self._tokens)
        return {".".join(key): token.expires_at - TOKEN_LIFE for key, token in tokens.items()}

    def _ecr(self, registry: EcrRegistry, host: str) -> Credentials:
        key = (registry.account, registry.region)
        token = self._tokens.get(key)
        if token is None or token.expires_at - self._clock() < LEAST_LEFT:
            token = self._tokens[key] = _authorize(registry, host)
        return Credentials(token.credentials.username, token.credentials.password, host)


def _authorize(registry: EcrRegistry, host: str) -> _Token:
    try:
        client = boto3.session.Session().client("ecr", region_name=registry.region, config=_CONFIG)
        data = client.get_authorization_token()["authorizationData"][0]
    except ClientError as fault:
        raise _refusal(fault, registry) from fault
    except (NoCredentialsError, NoRegionError) as fault:
        raise PermanentError(
            f"{fault} (AWS_SHARED_CREDENTIALS_FILE, AWS_REGION or an instance role)"
        ) from fault
    except BotoCoreError as fault:
        raise TemporaryError(f"ECR in {registry.region} does not answer: {fault}") from fault
    username, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return _Token(Credentials(username, password, host), data["expiresAt"])


_CONFIG = Config(connect_timeout=5, read_timeout=10, retries={"mode": "standard", "total_max_attempts": 3})


def _refusal(fault: ClientError, registry: EcrRegistry) -> Exception:
    code = fault.response.get("Error", {}).get("Code", "")
    where = f"for account {registry.account} in {registry.region}"
    if code in DENIED:
        return AccessDeniedError(f"AWS refuses ecr:GetAuthorizationToken {where}: {code}")
    if code in EXPIRED:
        # Mounted credentials are replaced in place: botocore reads them again.
        return TemporaryError(f"the AWS credentials have expired ({code})")
    return TemporaryError(f"ecr:GetAuthorizationToken {where} failed: {code}")


def _configured(image: Image) -> Credentials | None:
    """What `docker login` stored for the image's registry in $DOCKER_CONFIG (credential helpers too)."""
    host = docker.auth.INDEX_NAME if image.host == "docker.io" else image.host
    try:
        found = docker.auth.load_config().resolve_authconfig(host)
    except (docker.errors.DockerException, ValueError, OSError) as fault:
        raise PermanentError(f"the Docker configuration cannot be read (DOCKER_CONFIG): {fault}") from fault
    if not found:
        return None
    # Entries of the file have lower-case keys, those of a credential helper upper-case ones.
    fields = {key.lower(): value for key, value in found.items()}
    if not fields.get("username"):
        return None
    return Credentials(fields["username"], fields["password"], image.host)
