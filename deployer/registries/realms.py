"""Who may hear a registry's password: what a WWW-Authenticate header asks for, and where. Pure.

A registry with tokens (the distribution project's "Token Authentication Specification") names a server of
its choice, the realm, to which its clients then send the password. An answer that somebody else had a hand
in must not choose the recipient, so a password goes

- over https, or to the same host and port where the registry itself is spoken to over plain http;
- to the registry's domain. That is the part of its name after the first dot, so that
  `registry-1.docker.io` has `auth.docker.io` and `registry.gitlab.com` has `gitlab.com`; or its whole name,
  where that part is no domain of somebody (`com`, `co.uk`) or the name is an address.

Without a password a token may be asked of any realm over https.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import urlsplit
from urllib.request import parse_http_list

from deployer.model.image import is_host


def challenges(header: str) -> dict[str, dict[str, str]]:
    """The schemes of a WWW-Authenticate header in lower case, with the parameters of each."""
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
    """Whether a host, with or without a port, is this machine."""
    name = _name(host)
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return name == "localhost"


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
        """Why it is not asked for a token, or None.

        Args:
            registry: the host that named it, in lower case, with its port if there is one.
            plain: that one is spoken to without encryption.
            password: there is one to send.
        """
        if self.scheme == "http" and not (plain and self.host == registry):
            return "without encryption"
        if self.scheme == "https" and password and not _is_of_one_domain(_name(registry), _name(self.host)):
            return "another domain"
        return None


def _name(host: str) -> str:
    """A host without its port."""
    return host.rpartition(":")[0] if ":" in host.rpartition("]")[2] else host


def _is_of_one_domain(registry: str, realm: str) -> bool:
    if realm == registry:
        return True
    labels = registry.split(".")
    if "[" in registry or labels[-1].isdecimal():  # an address has no domain
        return False
    domain = labels[1:]
    of_a_country = len(domain) == 2 and len(domain[1]) == 2 and len(domain[0]) <= 3  # co.uk, com.au
    if len(domain) < 2 or of_a_country:
        domain = labels
    return realm.split(".")[-len(domain) :] == domain
