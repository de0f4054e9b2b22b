"""Token servers of registries: read WWW-Authenticate headers, and decide which may get a password.

A registry with tokens (the distribution project's "Token Authentication Specification") names a server of
its choice, the realm, to which its clients then send the password. An answer that somebody else had a hand
in must not choose the recipient, so a password goes

- over https, or to the same host and port where the registry itself is spoken to over plain http;
- to the registry's domain. That is the part of its name after the first dot, so that
  `registry-1.docker.io` has `auth.docker.io` and `registry.gitlab.com` has `gitlab.com`; or its whole name,
  where that part belongs to nobody (`com`) or to many (`github.io`, `azurecr.io`), by the public suffix list
  and `SHARED`. Of a name whose suffix is not listed (`corp`, an address) it is that very host.

Without a password a token may be asked of any realm over https.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import parse_http_list

from deployer.model.image import is_host

if TYPE_CHECKING:
    from publicsuffixlist import PublicSuffixList

# Each customer of these has a host of its own, and the public suffix list does not know them.
SHARED = frozenset(
    {
        "azurecr.io",
        "azurecr.cn",
        "azurecr.us",
        "cloudsmith.io",
        "container-registry.com",
        "jfrog.io",
        "pkg.dev",
        "sonatype.app",
        "tencentcr.com",
    }
)


def challenges(header: str) -> dict[str, dict[str, str]]:
    """Return the schemes of a WWW-Authenticate header in lower case, with the parameters of each."""
    found: dict[str, dict[str, str]] = {}
    scheme = ""
    for item in parse_http_list(header):
        name, _, value = item.partition("=")
        words = name.split()
        if len(words) == 2:
            scheme, name = words
        elif words and not value:
            scheme = words[0]
        parameters = found.setdefault(scheme.lower(), {})
        if value:
            parameters[name.strip().lower()] = value.strip().strip('"')
    return found


def is_loopback(host: str) -> bool:
    """Return whether a host, with or without a port, is this machine."""
    name = _name(host)
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name == "localhost"


def is_address(host: str) -> bool:
    """Return whether a host, with or without a port, is an IP address."""
    try:
        ip_address(_name(host).strip("[]"))
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Realm:
    """A server of tokens."""

    scheme: str  # http or https
    host: str  # in lower case, with its port if there is one
    url: str

    @classmethod
    def parse(cls, text: str) -> Realm | None:
        """Read the URL of a challenge; None if it is none, or says more than a server and a path."""
        try:
            parts = urlsplit(text)
        except ValueError:
            return None
        # Our own grammar for hosts, so that no other reader of URLs can find another one in it.
        if parts.scheme not in ("http", "https") or not is_host(parts.netloc):
            return None
        host = parts.netloc.lower()
        return cls(parts.scheme, host, parts._replace(netloc=host, fragment="").geturl())

    def objection(self, registry: str, plain: bool, password: bool) -> str | None:
        """Return the reason why it is not asked for a token, or None.

        Args:
            registry: the host that named it, in lower case, with its port if there is one.
            plain: that one is spoken to without encryption.
            password: there is one to send.
        """
        if self.scheme == "http" and not (plain and self.host == registry):
            return "without encryption"
        if self.scheme == "https" and password and not _may_hear(_name(registry), _name(self.host)):
            return "another domain"
        return None


def _name(host: str) -> str:
    """Return a host without its port."""
    return host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host


def _may_hear(registry: str, realm: str) -> bool:
    """Return whether a realm is the registry's own host or of its domain; both are names without a port."""
    if realm == registry:
        return True
    parent = registry.partition(".")[2]
    domain = next((name for name in (parent, registry) if _is_owned(name)), None)
    return domain is not None and (realm == domain or realm.endswith(f".{domain}"))


def _is_owned(name: str) -> bool:
    """Return whether a name, with all below it, belongs to one owner."""
    return name not in SHARED and _suffixes().privatesuffix(name) is not None


@cache
def _suffixes() -> PublicSuffixList:
    from publicsuffixlist import PublicSuffixList  # 50 ms, and few registries need it

    return PublicSuffixList(accept_unknown=False)
