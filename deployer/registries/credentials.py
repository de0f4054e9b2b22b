"""Credentials for registries, the tags of their repositories, and what they can prove of an image.

ECR's tokens come from AWS, other logins from a setting or the Docker configuration. Only it and
`ecr_proofs` speak to ECR. The engine is asked which digest a tag means, with the credentials from
here, so that what is proved good is what the nodes will use.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING

from deployer.aws.accounts import Accounts, Role
from deployer.errors import AccessDeniedError, PermanentError
from deployer.model.evidence import Scan, Scanned, Unproved
from deployer.model.image import IMAGE_CONFIGS, EcrRegistry, Image
from deployer.policies.proofs import AWS_SIGNER, COSIGN, Verify
from deployer.policies.ranking import Tag
from deployer.rollouts.ports import Credentials

if TYPE_CHECKING:
    from mypy_boto3_ecr.type_defs import ImageDetailTypeDef

# A token lives 12 hours (ECR user guide, "Registry authentication"). It is stored in the Swarm with each
# update and must serve tasks that start later, so one with less than this left is not handed out.
TOKEN_LIFE = timedelta(hours=12)
LEAST_LEFT = timedelta(hours=1)

# What ECR says of images, as measured: the type of the manifest always, that of its config for manifests
# pushed since August 2020. An index has no config, and an artifact type only if it is none of images.
MANIFESTS = {
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
}


@dataclass(frozen=True)
class _Token:
    credentials: Credentials
    expires_at: datetime


class Registries:
    """Credentials by image, cached until shortly before they expire, shared by all threads of a process.

    Args:
        roles: to assume for ECR, at most one for each AWS account.
        logins: host, user name and password by the name that the label `deployer.login` chooses.
        clock: the time, with its zone.
        cosign_keys: public keys by the name that `deployer.verify` has.
    """

    def __init__(
        self,
        roles: Sequence[Role] = (),
        logins: Mapping[str, tuple[str, str, str]] = MappingProxyType({}),
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        cosign_keys: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._cosign_keys = cosign_keys
        self._clock = clock
        self._accounts = Accounts(roles, clock)
        self._logins = logins
        self._tokens: dict[tuple[str, str], _Token] = {}
        # One for each registry: who waits for AWS must not keep those waiting who need another one's token.
        self._locks: dict[tuple[str, str], threading.Lock] = {}

    def credentials(self, image: Image, login: str | None = None) -> Credentials | None:
        """Return credentials for the image's registry; None where none are configured (anonymous).

        Args:
            image: any of the registry.
            login: the name of a login that rules; without one it is ECR's token for an image of ECR, and
                for others what the Docker configuration has.

        Raises:
            TemporaryError: AWS cannot be reached or answers 5xx or throttles.
            AccessDeniedError: AWS refuses `ecr:GetAuthorizationToken` or `sts:AssumeRole`.
            PermanentError: no AWS credentials at all, or no login of that name.
        """
        if login is not None:
            return self._named(login, image)
        registry = image.ecr
        if registry is None:
            return _configured(image)
        return self._ecr(registry, image.host)

    def tags(self, image: Image, login: str | None = None) -> Sequence[Tag]:
        """Return all tags of the image's repository, in no order.

        ECR tells more than the protocol of all registries: the digests, the time when each was pushed first
        (a tag that is moved to an old image has its old time), and what is no image, which is left out.
        Without `ecr:DescribeImages`, and with a login of its own, ECR is asked as any other registry.

        Args:
            image: any of the repository.
            login: as for `credentials`.

        Raises:
            NotFoundError: there is no such repository.
            AccessDeniedError: the registry refuses; the message names the permission that is missing.
            TemporaryError: the registry or AWS cannot be reached, throttles or answers 5xx.
            PermanentError: as for `credentials`, or the registry's answer is of no use.
        """
        from deployer.registries.distribution import (
            listed,  # it needs requests, 40 ms that a worker's start need not wait for
        )

        registry = image.ecr
        if registry is None or login is not None:
            return listed(image, self.credentials(image, login))
        try:
            return _described(self._accounts, registry, image)
        except AccessDeniedError as denied:
            credentials = self.credentials(image)
            try:
                return listed(image, credentials)
            except AccessDeniedError:
                raise AccessDeniedError(
                    f"{denied}; its registry refuses the list too (ecr:ListImages)"
                ) from denied

    def unproved(self, image: Image, verify: Verify, login: str | None = None) -> Unproved | None:
        """Return why an image's signature is not proved; None if it is.

        Args:
            image: with its digest.
            verify: who has to have signed it.
            login: as for `credentials`.

        Raises:
            TemporaryError, AccessDeniedError, NotFoundError, PermanentError: as of `tags`.
        """
        if verify.by == COSIGN:
            from deployer.registries import cosign  # `requests` and `cryptography`, which few need

            return cosign.unproved(image, self.credentials(image, login), self._cosign_keys, verify.names)
        if image.ecr is None:
            return Unproved(f"{AWS_SIGNER} is of ECR, and {image.host} is another registry", for_good=True)
        from deployer.registries import ecr_proofs

        return ecr_proofs.unsigned(self._accounts, image.ecr, image, verify)

    def scan(self, image: Image, login: str | None = None) -> Scan:
        """Return what ECR's scans of an image, with its digest, have found.

        Raises:
            TemporaryError, AccessDeniedError, NotFoundError, PermanentError: as of `tags`.
        """
        if image.ecr is None:
            return Scan(
                Scanned.IMPOSSIBLE, reason=f"only ECR scans images, and {image.host} is another registry"
            )
        from deployer.registries import ecr_proofs
        from deployer.registries.manifests import children_of

        digests = children_of(image, self.credentials(image, login))
        return ecr_proofs.scan(self._accounts, image.ecr, image, digests)

    def described(self, image: str) -> Mapping[str, str]:
        """Return the labels of an image (OCI's annotations of its config); none where they are not told.

        Raises:
            TemporaryError: the registry or AWS cannot answer now.
        """
        from deployer.registries.manifests import labels_of

        found = Image.find(image)
        if found is None or found.digest is None:
            return {}
        try:
            return labels_of(found, self.credentials(found))
        except PermanentError:
            return {}

    def renew(self, image: Image) -> None:
        """Fetch a fresh token for the image's registry; after an error the former one stays.

        Raises:
            TemporaryError, PermanentError: as of `credentials`.
        """
        if image.ecr:
            self._token(image.ecr, image.host, renew=True)

    def forget(self, image: Image) -> bool:
        """Drop the cached token for the image's registry; return true if there was one."""
        registry = image.ecr
        if registry is None:
            return False
        return self._tokens.pop((registry.account, registry.region), None) is not None

    def issued(self) -> dict[str, datetime]:
        """Return the registries whose tokens are held, as `account.region`, and when those were issued."""
        tokens = self._tokens.copy()
        return {".".join(key): token.expires_at - TOKEN_LIFE for key, token in tokens.items()}

    def _named(self, login: str, image: Image) -> Credentials:
        if login not in self._logins:
            known = ", ".join(sorted(self._logins)) or "none"
            raise PermanentError(
                f"the label deployer.login names {login[:80]!a}, which DEPLOYER_LOGINS has not "
                f"(it has {known})"
            )
        host, user, password = self._logins[login]
        if host != image.host:
            # Whoever writes a service's image must not choose who is told a password.
            raise PermanentError(
                f"the label deployer.login names {login!a}, which is for {host}, not for {image.host} "
                "(DEPLOYER_LOGINS)"
            )
        return Credentials(user, password, host)

    def _ecr(self, registry: EcrRegistry, host: str) -> Credentials:
        token = self._token(registry, host)
        return Credentials(token.credentials.username, token.credentials.password, host)

    def _token(self, registry: EcrRegistry, host: str, renew: bool = False) -> _Token:
        key = (registry.account, registry.region)
        with self._locks.setdefault(key, threading.Lock()):
            token = self._tokens.get(key)
            if renew or token is None or token.expires_at - self._clock() < LEAST_LEFT:
                token = self._tokens[key] = _authorize(self._accounts, registry, host)
        return token


def _authorize(accounts: Accounts, registry: EcrRegistry, host: str) -> _Token:
    where = f"for account {registry.account} in {registry.region}"
    with accounts.ecr(registry, "ecr:GetAuthorizationToken", where) as client:
        data = client.get_authorization_token()["authorizationData"][0]
    username, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return _Token(Credentials(username, password, host), data["expiresAt"])


def _described(accounts: Accounts, registry: EcrRegistry, image: Image) -> list[Tag]:
    from deployer.registries.distribution import MAX_PAGES, MAX_TAGS, PAGE, too_many

    tags: dict[str, Tag] = {}
    where = f"for {image.repository} of account {registry.account} in {registry.region}"
    with accounts.ecr(registry, "ecr:DescribeImages", where) as client:
        pages = client.get_paginator("describe_images").paginate(
            registryId=registry.account,
            repositoryName=image.repository,
            filter={
                "tagStatus": "TAGGED"
            },  # archived images, which nobody can pull, are left out by themselves
            PaginationConfig={"PageSize": PAGE},
        )
        for number, page in enumerate(pages, 1):
            for detail in filter(_is_image, page["imageDetails"]):
                pushed_at = detail["imagePushedAt"].astimezone(UTC) if "imagePushedAt" in detail else None
                for name in detail.get("imageTags", ()):
                    tags[name] = Tag(name, pushed_at, detail.get("imageDigest"))
            if len(tags) > MAX_TAGS or (number >= MAX_PAGES and "nextToken" in page):
                raise too_many(image)
    return list(tags.values())


def _is_image(detail: ImageDetailTypeDef) -> bool:
    """Return true for an image, false for a chart, signature, attestation or SBOM."""
    manifest, artifact = detail.get("imageManifestMediaType"), detail.get("artifactMediaType")
    if "subjectManifestDigest" in detail:  # it belongs to another image
        return False
    return manifest in {None, *MANIFESTS} and artifact in {None, "", manifest, *IMAGE_CONFIGS}


def _configured(image: Image) -> Credentials | None:
    """Return the login for the image's registry in $DOCKER_CONFIG (credential helpers too)."""
    import docker.auth  # 60 ms that only other registries than ECR need

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
