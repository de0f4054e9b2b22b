"""A conversation with a registry: the requests that one question takes, with the login that it asks for.

The login is that of the distribution project ("Token Authentication Specification"): the registry answers 401
and says whether it wants the password itself (Basic), or a token from a server that it names, its realm
(Bearer).

What a registry says is not trusted with more than it needs:

- Plain http is for loopback hosts, as in Docker, unless a CA is installed for them.
- A password leaves only for the registry itself and for a realm that `realms` has no objection to.
- No redirect is followed, but that of a blob, once, over https and without any login.
- Answers and the time that all of it takes are bounded.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.auth import AuthBase

from deployer.errors import AccessDeniedError, NotFoundError, PermanentError, TemporaryError
from deployer.model.image import DOCKER_HUB, HUB_ALIASES, Image, is_host
from deployer.registries.certificates import Trusting, trust
from deployer.registries.realms import Realm, challenges, is_address, is_loopback
from deployer.rollouts.ports import Credentials

CERTIFICATES = Path("/etc/docker/certs.d")  # a directory for each registry, of which `*.crt` are CAs
TIMEOUTS = (5.0, 15.0)  # seconds to connect, and between two bytes of an answer
DEADLINE = 60.0  # seconds for a whole question
MAX_ANSWER = 16 * 2**20  # bytes; some registries send all tags at once, and a tag has 128 characters
_HUB = "registry-1.docker.io"
_REDIRECTS = (301, 302, 303, 307, 308)


@dataclass(frozen=True)
class Answer:
    """A registry's answer."""

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


class Conversation:
    """The requests that one question takes; use it in a `with` statement.

    Args:
        image: that it is about.
        credentials: for its registry; None for an anonymous request.
        question: what is asked for, as an error says it.
        missing: what there is none of if the registry answers 404.
    """

    def __init__(self, image: Image, credentials: Credentials | None, question: str, missing: str) -> None:
        self._image = image
        self._credentials = credentials
        self._question, self._missing = question, missing
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
            self._session.mount("https://", Trusting(trust(authorities)))

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def ask(self, path: str, accept: str = "*/*", method: str = "GET") -> Answer:
        """Send a request about the repository, and log in if the registry wants it.

        Args:
            path: below the repository's own, with its query.
            accept: the media types that the answer may have.
            method: of HTTP.

        Raises:
            NotFoundError, AccessDeniedError, TemporaryError, PermanentError: the registry's answer is none.
        """
        answer = self._ask(path, accept, method)
        self._check(answer.status)
        return answer

    def blob(self, digest: str) -> bytes | None:
        """Return a blob, maybe from where the registry keeps it: ECR has them in S3.

        None where that place is not one to go to, or cannot be reached from here.

        Raises:
            NotFoundError, AccessDeniedError, TemporaryError, PermanentError: as of `ask`.
        """
        answer = self._ask(f"blobs/{digest}", "*/*", "GET")
        if answer.status in _REDIRECTS:
            place = _elsewhere(answer)
            try:
                answer = self._get(place, _Authorization()) if place else answer
            except TemporaryError:
                return None
            return answer.body if answer.status == 200 else None
        self._check(answer.status)
        return answer.body

    def _ask(self, path: str, accept: str, method: str) -> Answer:
        scheme = "http" if self._plain else "https"
        url = f"{scheme}://{self._host}/v2/{self._image.repository}/{path}"
        answer = self._get(url, self._authorization, accept=accept, method=method)
        if answer.status == 401:  # or the token has expired since the last request
            self._authorization = self._authorize(answer.headers.get("WWW-Authenticate", ""))
            answer = self._get(url, self._authorization, accept=accept, method=method)
        return answer

    def _authorize(self, header: str) -> _Authorization:
        asked = challenges(header)
        if "bearer" in asked:
            return _Authorization("Bearer " + self._token(asked["bearer"]))
        if "basic" not in asked:
            raise self.stranger()
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
            raise self.stranger()
        why = realm.objection(self._host, self._plain, bool(self._credentials))
        if why:
            raise PermanentError(
                f"registry {self._image.host} wants its logins sent to {realm.host[:100]}, {why}: "
                "nothing is sent there"
            )
        wanted = {name: challenge[name] for name in ("service", "scope") if challenge.get(name)}
        answer = self._get(realm.url, self._basic(), wanted)
        if answer.status == 404:
            raise self.stranger()
        self._check(answer.status)
        said = self.json(answer.body)
        token = said.get("token") or said.get("access_token")
        if not isinstance(token, str) or not token.isascii() or not token.isprintable():
            raise self.stranger()
        return token

    def stranger(self) -> PermanentError:
        """Return the error for an answer that is none of a registry."""
        return PermanentError(f"{self._image.host} does not answer as a registry does")

    def _get(
        self,
        url: str,
        authorization: _Authorization,
        params: Mapping[str, str] | None = None,
        *,
        accept: str = "*/*",
        method: str = "GET",
    ) -> Answer:
        host = self._image.host
        self._check_time()
        try:
            with self._session.request(
                method,
                url,
                params=params,
                headers={"Accept": accept},
                auth=authorization,
                timeout=TIMEOUTS,
                stream=True,
                allow_redirects=False,
            ) as response:
                body = self._read(response) if response.status_code == 200 else b""
                link = response.links.get("next", {}).get("url")
                return Answer(response.status_code, response.headers, link, body)
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
            raise TemporaryError(
                f"registry {self._image.host} takes more than {DEADLINE:g} s for {self._question}"
            )

    def json(self, body: bytes) -> dict[str, Any]:
        """Return the JSON object of an answer.

        Raises:
            PermanentError: it is none.
        """
        try:
            said = json.loads(body)
        except (ValueError, RecursionError):
            said = None
        if not isinstance(said, dict):
            raise self.stranger()
        return said

    def _check(self, status: int) -> None:
        host = self._image.host
        if status == 200:
            return
        if status in (401, 403):
            whose = "the login" if self._credentials else "an anonymous request"
            raise AccessDeniedError(f"registry {host} refuses {whose} for {self._question} ({status})")
        if status == 404:
            raise NotFoundError(f"registry {host} has no {self._missing}")
        if status == 429 or status >= 500:
            raise TemporaryError(f"registry {host} cannot tell {self._question} now ({status})")
        raise PermanentError(f"registry {host} does not tell {self._question} ({status})")


def _elsewhere(answer: Answer) -> str | None:
    place = urlsplit(answer.headers.get("Location", ""))
    host = place.netloc.lower()
    known = place.scheme == "https" and is_host(host)
    return None if not known or is_address(host) or is_loopback(host) else place.geturl()
