"""The tags of a repository, asked of the registry itself: `GET /v2/<name>/tags/list`.

The protocol is OCI's distribution specification ("Listing Tags"), the login that of the distribution project
("Token Authentication Specification"): the registry answers 401 and says whether it wants the password
itself (Basic), or a token from a server that it names, its realm (Bearer).

What a registry says is not trusted with more than it needs:

- Plain http is for loopback hosts, as in Docker, unless a CA is installed for them.
- A password leaves only for the registry itself and for a realm that `realms` has no objection to.
- No redirect is followed, and of the link to the next page only the query counts.
- Answers, pages and the time that all of it takes are bounded; a list that is cut off is an error, because
  a choice from half of the tags could be a wrong one.
"""

from __future__ import annotations

import base64
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from deployer.errors import AccessDeniedError, NotFoundError, PermanentError, TemporaryError
from deployer.model.image import DOCKER_HUB, HUB_ALIASES, Image, is_tag
from deployer.policies.ranking import Tag
from deployer.registries.realms import Realm, challenges, is_loopback
from deployer.rollouts.ports import Credentials

CERTIFICATES = Path("/etc/docker/certs.d")  # a directory for each registry, of which `*.crt` are CAs
TIMEOUTS = (5.0, 15.0)  # seconds to connect, and between two bytes of an answer
DEADLINE = 60.0  # seconds for a whole list
PAGE = 1000  # tags asked for at once; many registries give fewer
MAX_PAGES, MAX_TAGS = 100, 100_000
MAX_ANSWER = 16 * 2**20  # bytes; some registries send all tags at once, and a tag has 128 characters
_HUB = "registry-1.docker.io"


def listed(image: Image, credentials: Credentials | None) -> list[Tag]:
    """All tags of an image's repository; the protocol tells neither times nor digests.

    Args:
        image: any of the repository.
        credentials: for its registry; None for an anonymous request.

    Raises:
        NotFoundError: the registry has no such repository.
        AccessDeniedError: it refuses these credentials.
        TemporaryError: it cannot be reached, throttles or answers 5xx.
        PermanentError: it lists too much, in a circle, or does not speak the protocol.
    """
    names: dict[str, None] = {}
    query: str | None = f"n={PAGE}"
    seen: set[str] = set()
    with _Conversation(image, credentials) as registry:
        while query is not None:
            if query in seen:
                raise PermanentError(
                    f"registry {image.host} lists the tags of {image.repository} in a circle"
                )
            seen.add(query)
            page, query = registry.page(query)
            names.update(dict.fromkeys(page))
            if len(names) > MAX_TAGS or (query is not None and len(seen) >= MAX_PAGES):
                raise too_many(image)
    return [Tag(name) for name in names]


def too_many(image: Image) -> PermanentError:
    """Return the error for a repository that is too big to choose from."""
    return PermanentError(
        f"{image.host}/{image.repository} has more than {MAX_TAGS} tags or {MAX_PAGES} pages of them; "
        "let the registry expire old ones"
    )


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    link: str | None  # where the next page is
    body: bytes = field(repr=False)  # empty unless the status is 200


@dataclass(frozen=True)
class _Authorization(AuthBase):
    """Sets the header, or none: without it `requests` would look for a password in ~/.netrc."""

    header: str | None = field(default=None, repr=False)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.header:
            request.headers["Authorization"] = self.header
        return request


class _Conversation:
    """The requests that one list takes."""

    def __init__(self, image: Image, credentials: Credentials | None) -> None:
        self._image = image
        self._credentials = credentials
        host = image.host.lower()
        self._host = _HUB if host in (DOCKER_HUB, *HUB_ALIASES) else host
        authorities = sorted((CERTIFICATES / image.host).glob("*.crt"))
        self._plain = is_loopback(self._host) and not authorities
        self._authorization = _Authorization()
        self._until = time.monotonic() + DEADLINE
        self._session = requests.Session()
        self._session.headers.update({"User-Agent": "swarm-ecr-deployer", "Accept-Encoding": "identity"})
        if self._plain:
            self._session.trust_env = False  # no proxy may see what goes over loopback
        else:
            self._session.mount("https://", _Trusting(_trust(authorities)))

    def __enter__(self) -> _Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def page(self, query: str) -> tuple[list[str], str | None]:
        """Return the tags of one page, and the query of the next one or None."""
        scheme = "http" if self._plain else "https"
        url = f"{scheme}://{self._host}/v2/{self._image.repository}/tags/list?{query}"
        answer = self._get(url, self._authorization)
        if answer.status == 401:  # or the token has expired since the last page
            self._authorization = self._authorize(answer.headers.get("WWW-Authenticate", ""))
            answer = self._get(url, self._authorization)
        self._check(answer.status)
        return self._tags(answer.body), answer.link.partition("?")[2] if answer.link else None

    def _tags(self, body: bytes) -> list[str]:
        tags = self._json(body).get("tags")
        if tags is not None and not isinstance(tags, list):
            raise self._stranger()
        return [tag for tag in tags or () if isinstance(tag, str) and is_tag(tag)]

    def _authorize(self, header: str) -> _Authorization:
        asked = challenges(header)
        if "bearer" in asked:
            return _Authorization("Bearer " + self._token(asked["bearer"]))
        if "basic" not in asked:
            raise self._stranger()
        if not self._credentials:
            raise AccessDeniedError(
                f"registry {self._image.host} wants a login, and none is configured for it"
            )
        return self._basic()

    def _basic(self) -> _Authorization:
        if not self._credentials:
            return _Authorization()
        login = f"{self._credentials.username}:{self._credentials.password}"
        return _Authorization("Basic " + base64.b64encode(login.encode()).decode())

    def _token(self, challenge: Mapping[str, str]) -> str:
        realm = Realm.parse(challenge.get("realm", ""))
        if realm is None:
            raise self._stranger()
        why = realm.objection(self._host, self._plain, bool(self._credentials))
        if why:
            raise PermanentError(
                f"registry {self._image.host} wants its logins sent to {realm.host[:100]}, {why}: "
                "nothing is sent there"
            )
        wanted = {name: challenge[name] for name in ("service", "scope") if challenge.get(name)}
        answer = self._get(realm.url, self._basic(), wanted)
        if answer.status == 404:
            raise self._stranger()
        self._check(answer.status)
        said = self._json(answer.body)
        token = said.get("token") or said.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self._stranger()
        return token

    def _stranger(self) -> PermanentError:
        return PermanentError(f"{self._image.host} does not answer as a registry does")

    def _get(
        self, url: str, authorization: _Authorization, params: Mapping[str, str] | None = None
    ) -> _Answer:
        host = self._image.host
        self._check_time()
        try:
            with self._session.get(
                url,
                params=params,
                auth=authorization,
                timeout=TIMEOUTS,
                stream=True,
                allow_redirects=False,
            ) as response:
                body = self._read(response) if response.status_code == 200 else b""
                link = response.links.get("next", {}).get("url")
                return _Answer(response.status_code, response.headers, link, body)
        # Only the kind of fault is told: what the libraries say of it may quote the whole request.
        except requests.exceptions.SSLError as fault:
            if "CERTIFICATE_VERIFY_FAILED" not in str(fault):
                raise TemporaryError(f"registry {host} does not answer: SSLError") from fault
            raise PermanentError(
                f"the certificate of registry {host} is not trusted; put its CA into "
                f"{CERTIFICATES / host / 'ca.crt'}"
            ) from fault
        except (OSError, urllib3.exceptions.HTTPError) as fault:  # of `requests` all are OSErrors
            raise TemporaryError(f"registry {host} does not answer: {type(fault).__name__}") from fault

    def _read(self, response: requests.Response) -> bytes:
        body = bytearray()
        # What has arrived, however little: `iter_content` would wait for a whole chunk, without end.
        while chunk := response.raw.read1(2**16):
            body += chunk
            if len(body) > MAX_ANSWER:
                raise PermanentError(f"registry {self._image.host} answers with more than {MAX_ANSWER} bytes")
            self._check_time()
        return bytes(body)

    def _check_time(self) -> None:
        if time.monotonic() > self._until:
            raise TemporaryError(f"registry {self._image.host} takes more than {DEADLINE:g} s for its tags")

    def _json(self, body: bytes) -> dict[str, Any]:
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise self._stranger()
        return said

    def _check(self, status: int) -> None:
        host, repository = self._image.host, self._image.repository
        if status == 200:
            return
        if status in (401, 403):
            whose = "the login" if self._credentials else "an anonymous request"
            raise AccessDeniedError(
                f"registry {host} refuses {whose} for the tags of {repository} ({status})"
            )
        if status == 404:
            raise NotFoundError(f"registry {host} has no repository {repository}")
        if status == 429 or status >= 500:
            raise TemporaryError(f"registry {host} cannot list the tags of {repository} now ({status})")
        raise PermanentError(f"registry {host} does not list the tags of {repository} ({status})")


class _Trusting(HTTPAdapter):
    """Connections that trust the CAs of a context, beside those that `requests` brings."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Use the context for connections."""
        super().init_poolmanager(*args, ssl_context=self._context, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Use it for connections through a proxy too."""
        return super().proxy_manager_for(proxy, ssl_context=self._context, **options)


def _trust(authorities: list[Path]) -> ssl.SSLContext:
    """Return the system's CAs and these."""
    context = ssl.create_default_context()
    for path in authorities:
        try:
            context.load_verify_locations(path)
        except OSError as fault:
            raise PermanentError(f"{path} cannot be read as a CA: {fault.strerror}") from fault
    return context
