"""Image references: read, print and compare them, and recognise the registries of Amazon ECR.

The grammar is that of `github.com/distribution/reference`, the shorthand that of Docker's clients:
`nginx` is `docker.io/library/nginx`. Pure: nothing is looked up anywhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from deployer.errors import InvalidReferenceError

DOCKER_HUB = "docker.io"
HUB_ALIASES = ("index.docker.io", "registry-1.docker.io")  # the hosts that clients really talk to
DEFAULT_TAG = "latest"
IMAGE_CONFIGS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
"""The media types of a manifest's config by which it is the manifest of an image."""
MAX_NAME = 255  # characters of host, "/" and repository; newer engines count the repository alone

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST = re.compile(r"sha256:[a-f0-9]{64}|sha512:[a-f0-9]{128}")
_ENGINE_ID = re.compile(r"[a-f0-9]{64}")
# What cosign and the referrers' tag scheme of OCI's distribution specification attach to an image.
_COMPANION_TAG = re.compile(r"sha(?:256|512)-[0-9a-f]{32,}(?:[._-].*)?")
_ALGORITHMS = ("sha256", "sha512")
_ACCOUNT = re.compile(r"[0-9]{12}")
_REGION = re.compile(r"[a-z]{2,8}(?:-[a-z]{1,16}){1,3}-[0-9]{1,2}")
_ECR_HOST = re.compile(r"([0-9]{12})\.dkr([.-])ecr(-fips)?\.([a-z0-9-]+)\.([a-z0-9.-]+)")

# Region prefix, DNS suffix, DNS suffix of the dual-stack hosts; the first that fits counts. Source:
# botocore's partitions.json (dual-stack registries have "on." where that file's APIs have "api.").
_PARTITIONS = (
    ("cn-", "amazonaws.com.cn", "on.amazonwebservices.com.cn"),
    ("eusc-", "amazonaws.eu", "on.amazonwebservices.eu"),
    ("us-iso-", "c2s.ic.gov", "on.aws.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "on.aws.scloud"),
    ("us-isof-", "csp.hci.ic.gov", "on.aws.hci.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk", "on.cloud-aws.adc-e.uk"),
    ("", "amazonaws.com", "on.aws"),
)


def is_host(text: str) -> bool:
    """Return whether a text is a registry's host, with or without a port."""
    return len(text) <= MAX_NAME and _HOST.fullmatch(text) is not None


def is_repository(text: str) -> bool:
    """Return whether a text is a repository's path, without its host."""
    return len(text) <= MAX_NAME and _REPOSITORY.fullmatch(text) is not None


def is_tag(text: str) -> bool:
    """Return whether a text is a tag."""
    return _TAG.fullmatch(text) is not None


def is_companion_tag(text: str) -> bool:
    """Return whether a tag names a signature, an attestation or an SBOM of another image, and no image."""
    return _COMPANION_TAG.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Return whether a text is a digest that the engine accepts: sha256 or sha512, in lower case."""
    return _DIGEST.fullmatch(text) is not None


def is_account(text: str) -> bool:
    """Return whether a text is an AWS account id: twelve digits, which may begin with zeros."""
    return _ACCOUNT.fullmatch(text) is not None


def is_region(text: str) -> bool:
    """Return whether a text has the form of an AWS region; it need not be one that exists today."""
    return _REGION.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class EcrRegistry:
    """One account's private registry in one region, and the kind of host that it was named by."""

    account: str
    region: str
    fips: bool = False
    dual_stack: bool = False

    @property
    def host(self) -> str:
        """Return the host of this kind, as AWS writes it."""
        name = ("dkr-ecr" if self.dual_stack else "dkr.ecr") + ("-fips" if self.fips else "")
        return f"{self.account}.{name}.{self.region}.{_suffix(self.region, self.dual_stack)}"

    @classmethod
    def of(cls, host: str) -> EcrRegistry | None:
        """Return the registry behind a host, or None if the host is not one of ECR's."""
        match = _ECR_HOST.fullmatch(_canonical(host))
        if not match:
            return None
        account, separator, fips, region, suffix = match.groups()
        dual_stack = separator == "-"
        if not is_region(region) or suffix != _suffix(region, dual_stack):
            return None
        return cls(account, region, bool(fips), dual_stack)


def ecr_host(account: str, region: str) -> str:
    """Return the usual host of an account's registry in a region, with the suffix of its partition.

    Raises:
        InvalidReferenceError: the account or the region is malformed.
    """
    if not is_account(account) or not is_region(region):
        raise _invalid(f"{account} {region}", "no AWS account and region")
    return EcrRegistry(account, region).host


@dataclass(frozen=True, slots=True)
class Image:
    """A reference to an image; every one that exists is valid.

    `host` stays as it was written, so that a spec keeps the host that its operator chose; only
    Docker Hub's shorthand is filled in, as Docker's own clients do.

    Raises:
        InvalidReferenceError: a part is not of the grammar.
    """

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __post_init__(self) -> None:
        fault = _fault(self.host, self.repository, self.tag, self.digest)
        if fault:
            raise _invalid(str(self), fault)

    @classmethod
    def parse(cls, text: str) -> Image:
        """Read a reference in any form that the engine's clients accept.

        Raises:
            InvalidReferenceError: it is none; the message quotes the beginning of it.
        """
        return _parsed(text)

    @classmethod
    def find(cls, text: str | None) -> Image | None:
        """Read a reference where there may be none, or none that is one."""
        try:
            return cls.parse(text) if text else None
        except InvalidReferenceError:
            return None

    def __str__(self) -> str:
        """Return the form that Docker's clients write into a service, and which reads back the same."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"

    @property
    def name(self) -> str:
        """Return host and repository, with Docker Hub's shorthand where that says the same."""
        full = f"{self.host}/{self.repository}"
        short = full.removeprefix(f"{DOCKER_HUB}/")
        if short.count("/") == 1:
            short = short.removeprefix("library/")
        # docker.io/localhost/x must not become localhost/x, another registry's; nor may the name
        # become one that is taken for an id.
        same = _split(short) == (self.host, self.repository) and not _ENGINE_ID.fullmatch(short)
        return short if same and short not in _ALGORITHMS else full

    @property
    def followed_tag(self) -> str | None:
        """Return the tag whose digest may change: `latest` if none is written, None if a digest is."""
        return self.tag or (None if self.digest else DEFAULT_TAG)

    def with_tag(self, tag: str) -> Image:
        """Return the same repository at another tag; a digest is dropped, since it was another tag's."""
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: str) -> Image:
        """Return the same image pinned to a digest; the tag that it follows is written out, to keep it."""
        return replace(self, tag=self.followed_tag, digest=digest)

    def without_digest(self) -> Image:
        """Return the same image not pinned. Without a tag either, it follows `latest` from now on."""
        return replace(self, digest=None)

    @property
    def ecr(self) -> EcrRegistry | None:
        """Return the ECR registry that holds the image, or None."""
        return EcrRegistry.of(self.host)

    @property
    def identity(self) -> tuple[str, ...]:
        """Return what all names of one repository have in common, to compare and as a key.

        ECR: account, region, repository. Others: host, repository.
        """
        registry = self.ecr
        if registry:
            return registry.account, registry.region, self.repository
        host = _canonical(self.host)
        return DOCKER_HUB if host in HUB_ALIASES else host, self.repository

    def same_repository(self, other: Image) -> bool:
        """Return whether both name one repository, by whatever host."""
        return self.identity == other.identity

    def same_tag(self, other: Image) -> bool:
        """Return whether both follow one tag of one repository; never so if either follows none."""
        tag = self.followed_tag
        return tag is not None and tag == other.followed_tag and self.same_repository(other)


@lru_cache(maxsize=4096)  # a look reads the same few references dozens of times
def _parsed(text: str) -> Image:
    rest, at, digest = text.partition("@")
    name, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:  # no tag: the colon, if there is one, begins a port
        name, colon, tag = rest, "", ""
    if not at and (is_digest(text) or _ENGINE_ID.fullmatch(text)):
        raise _invalid(text, "it is the id of an image on one machine")
    parts = (*_split(name), tag if colon else None, digest if at else None)
    fault = _fault(*parts)
    if fault:
        raise _invalid(text, fault)
    return Image(*parts)


def _split(name: str) -> tuple[str, str]:
    """Return host and repository of a name, told apart as Docker's clients do (`splitDockerDomain`)."""
    first, slash, rest = name.partition("/")
    is_a_host = "." in first or ":" in first or first == "localhost" or first != first.lower()
    host, repository = (first, rest) if slash and is_a_host else (DOCKER_HUB, name)
    if host == "index.docker.io":
        host = DOCKER_HUB
    if host == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    return host, repository


def _fault(host: str, repository: str, tag: str | None, digest: str | None) -> str | None:
    """Return the reason why these parts make no reference, or None if they do."""
    if not is_host(host):
        return "the host is malformed"
    if not is_repository(repository):
        return "the repository is malformed (lower case, digits, and . _ - between them)"
    if len(f"{host}/{repository}") > MAX_NAME:
        return f"the name is longer than {MAX_NAME} characters"
    if tag is not None and not is_tag(tag):
        return "the tag is malformed"
    if digest is not None and not is_digest(digest):
        return "the digest is malformed"
    return None


def _canonical(host: str) -> str:
    """Return a host for comparison: DNS knows no case, and 443 is the default port of a registry."""
    return host.lower().removesuffix(":443")


def _suffix(region: str, dual_stack: bool) -> str:
    _, plain, dual = next(row for row in _PARTITIONS if region.startswith(row[0]))
    return dual if dual_stack else plain


def _invalid(text: str, why: str) -> InvalidReferenceError:
    # ascii() keeps control characters and lone surrogates out of logs and messages.
    quoted = ascii(text[:80]) + ("…" if len(text) > 80 else "")
    return InvalidReferenceError(f"{quoted} is no image reference: {why}")
