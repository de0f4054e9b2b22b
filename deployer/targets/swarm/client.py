"""The edge to the Docker engine: the only module that knows its API and its errors.

Works on raw specs: docker-py's high-level `Service.update` writes back a spec that was read with
`insertDefaults` and changes nothing when only the digest moved.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from deployer.errors import (
    AccessDeniedError,
    DeployerError,
    NoSuchServiceError,
    NotFoundError,
    PermanentError,
    StaleVersionError,
    TemporaryError,
)
from deployer.model.image import Image
from deployer.model.service import Manifest, Service
from deployer.rollouts import ledger
from deployer.rollouts.ledger import Ledger
from deployer.rollouts.ports import Credentials
from deployer.targets.swarm.engine import Answer, Engine, NoAnswerError

ENGINE = "Docker engine"


class DockerSwarm:
    """A Swarm manager's engine, found as the `docker` command finds it (DOCKER_HOST, DOCKER_TLS_VERIFY, …).

    Safe for several threads. Nothing is connected until the first call.
    """

    def __init__(self) -> None:
        self._engine = Engine()

    def services(self, *ids: str, keep: Callable[[Service], bool] | None = None) -> list[Service]:
        """All services of the Swarm, or those of the ids, as far as `keep` wants them.

        The others are not kept in memory: of a large Swarm that would be tens of megabytes for each push.
        """
        params = {"filters": json.dumps({"id": ids})} if ids else {}
        found = map(Service, self._each("/services", params=params))
        return [service for service in found if keep is None or keep(service)]

    def service(self, name: str) -> Service:
        """One service by its name or id.

        Raises:
            NoSuchServiceError: there is no such service.
            TemporaryError, PermanentError: see `_request`.
        """
        try:
            return Service(self._get(f"/services/{_path(name)}"))
        except NotFoundError as fault:
            raise NoSuchServiceError(f"no service {name!r} in this Swarm") from fault

    def info(self) -> Mapping[str, Any]:
        """What the engine says of itself (`GET /info`)."""
        told: Mapping[str, Any] = self._get("/info")
        return told

    def tasks(self, *service_ids: str) -> Sequence[Mapping[str, Any]]:
        """The tasks of services, with those of their recent past (the engine keeps five for each slot)."""
        filters = json.dumps({"service": service_ids})
        tasks: Sequence[Mapping[str, Any]] = self._get("/tasks", params={"filters": filters})
        return tasks

    def manifest(self, image: Image, credentials: Credentials | None) -> Manifest:
        """Ask the image's registry, through the engine, for the digest and the platforms of an image.

        `GET /distribution/{name}/json`: proves token and manifest good before anything is changed.

        Raises:
            NotFoundError: no such tag, digest or repository.
            AccessDeniedError: the registry refuses these credentials.
            TemporaryError: the registry cannot be reached or cannot answer now.
        """
        answer = self._get(
            f"/distribution/{image}/json",
            headers=_auth_header(credentials),
            missing=f"the registry has no {image}",
            whom=f"registry {image.host}",
        )
        return Manifest(str(answer["Descriptor"]["digest"]), answer.get("Platforms") or ())

    def update(self, service: Service, spec: Mapping[str, Any], credentials: Credentials | None) -> None:
        """Write a service's spec over the version that was read.

        Raises:
            StaleVersionError: the service has changed since it was read.
            TemporaryError, PermanentError: see `_request`.
        """
        self._request(
            "POST",
            f"/services/{_path(service.id)}/update",
            params={"version": service.version},
            headers=_auth_header(credentials),
            body=spec,
            missing=f"service {service.name} is gone",
        )

    def ledger(self) -> Ledger:
        """The labels of the deployer's config object; an empty ledger if there is no such object yet."""
        try:
            raw = self._get(f"/configs/{ledger.NAME}")
        except NotFoundError:
            return Ledger()
        return Ledger(raw["Spec"].get("Labels") or {}, raw["ID"], int(raw["Version"]["Index"]))

    def write_ledger(self, read: Ledger, labels: Mapping[str, str]) -> None:
        """Replace those labels; of a config object nothing else can be changed.

        Raises:
            StaleVersionError: somebody else wrote since the read.
        """
        # The engine wants content, and refuses a change of it.
        spec = {"Name": ledger.NAME, "Labels": dict(labels), "Data": base64.b64encode(b"deployer").decode()}
        if read.id is None:
            self._request("POST", "/configs/create", body=spec)
        else:
            self._request("POST", f"/configs/{read.id}/update", params={"version": read.version}, body=spec)

    def _get(self, path: str, **options: Any) -> Any:
        answer = self._request("GET", path, **options)
        try:
            return answer.json()
        except ValueError as fault:
            raise TemporaryError(f"{ENGINE} answers no JSON: {answer.message[:200]}") from fault

    def _each(self, path: str, params: Mapping[str, Any]) -> Iterator[Any]:
        """The elements of a list, read one after another; raises as `_request`."""
        try:
            found = self._engine.each(path, params)
            if isinstance(found, Answer):
                raise self._refusal(found)
            yield from found
        except NoAnswerError as fault:
            raise TemporaryError(f"{ENGINE} does not answer (DOCKER_HOST): {fault}") from fault

    def _request(
        self, method: str, path: str, *, missing: str = "", whom: str = ENGINE, **options: Any
    ) -> Answer:
        """One request to the engine.

        Raises:
            TemporaryError: the engine is down, has no leader, or answers 5xx.
            PermanentError: the engine refuses the request; what to do is in the message.
        """
        try:
            answer = self._engine.ask(method, path, **options)
        except NoAnswerError as fault:
            raise TemporaryError(f"{ENGINE} does not answer (DOCKER_HOST): {fault}") from fault
        if answer.status >= 300:
            raise self._refusal(answer, missing, whom)
        return answer

    def _refusal(self, answer: Answer, missing: str = "", whom: str = ENGINE) -> DeployerError:
        """What an answer that is an error means for us."""
        if answer.status == 400 and answer.message.startswith("client version "):
            # It was upgraded or downgraded since it was asked for the version of its API.
            self._engine.forget()
            return TemporaryError(f"{ENGINE} has changed its version, asking it anew: {answer.message}")
        return _error(answer, missing, whom)


def _path(name: str) -> str:
    return quote(name, safe="")


def _auth_header(credentials: Credentials | None) -> dict[str, str]:
    """`X-Registry-Auth`: URL-safe base64 of a JSON object (Engine API, section Authentication)."""
    if credentials is None:
        return {}
    fields = {
        "username": credentials.username,
        "password": credentials.password,
        "serveraddress": credentials.host,
    }
    return {"X-Registry-Auth": base64.urlsafe_b64encode(json.dumps(fields).encode()).decode()}


# What the engine says of a registry's answer comes with statuses of its own choice (a missing manifest is
# 404 in one release and 500 in another), so its words decide where they are known.
DENIED = (
    "unauthorized",
    "authentication required",
    "no basic auth",
    "access denied",
    "denied:",
    "forbidden",
)
UNREACHABLE = ("dial tcp", "no such host", "i/o timeout", "connection refused", "tls handshake timeout")
ABSENT = ("manifest unknown", "not found", "name unknown", "no such")


def _error(answer: Answer, missing: str, whom: str) -> DeployerError:
    status, message = answer.status, answer.message
    words = message.lower()
    if "update out of sequence" in words or (status == 409 and "already exists" in words):
        return StaleVersionError(message)
    if "not a swarm manager" in words:
        # A manager that starts, is promoted or is demoted says so too; another worker's may be well.
        return TemporaryError(
            f"this engine is not a Swarm manager; run workers on managers or set DOCKER_HOST ({message})"
        )
    if whom != ENGINE and any(word in words for word in UNREACHABLE):
        return TemporaryError(f"{whom} cannot be reached: {message}")
    if whom != ENGINE and (status in {401, 403} or any(word in words for word in DENIED)):
        return AccessDeniedError(f"{whom} refuses access: {message}")
    if status == 404 or (whom != ENGINE and any(word in words for word in ABSENT)):
        return NotFoundError(f"{missing} ({message})" if missing else message)
    if status == 403:
        return PermanentError(f"{ENGINE} forbids the request (a socket proxy?): {message}")
    if status >= 500 or status in {408, 429}:
        return TemporaryError(f"{whom} cannot answer now: {message}")
    return PermanentError(f"{whom} refuses the request: {message}")
