"""The edge to the Docker engine: the only module that knows its API and its errors.

Works on raw specs: docker-py's high-level `Service.update` writes back a spec that was read with
`insertDefaults` and changes nothing when only the digest moved.
"""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from deployer.observability import metrics
from deployer.rollouts.ports import Credentials
from deployer.targets.swarm.engine import Answer, Engine, NoAnswerError, VersionChangedError
from deployer.targets.swarm.target import SwarmTarget

Raw = Mapping[str, Any]

ENGINE = "Docker engine"


class DockerEngine:
    """A Swarm manager's engine, found as the `docker` command finds it (DOCKER_HOST, DOCKER_TLS_VERIFY, …).

    Safe for several threads. Nothing is connected until the first call. Every method raises TemporaryError
    or PermanentError as `_request` does.
    """

    def __init__(self) -> None:
        self._engine = Engine()

    def services(self, ids: Sequence[str] = ()) -> Iterator[Raw]:
        """Yield all services of the Swarm, or those of the ids, as they come in."""
        return self._each("/services", params={"filters": json.dumps({"id": list(ids)})} if ids else {})

    def service(self, name: str) -> Raw:
        """Return one service by its name or id.

        Raises:
            NoSuchServiceError: there is no such service.
        """
        try:
            raw: Raw = self._get(f"/services/{_path(name)}")
        except NotFoundError as fault:
            raise NoSuchServiceError(f"no service {name!r} in this Swarm") from fault
        return raw

    def info(self) -> Raw:
        """Return what the engine says of itself (`GET /info`)."""
        told: Raw = self._get("/info")
        return told

    def logs(self, service_id: str, seconds: float) -> str:
        """Return what the tasks of a service have logged in the last seconds."""
        return self._logs(f"/services/{_path(service_id)}/logs", since=int(time.time() - seconds))

    def task_logs(self, task_id: str, number: int) -> str:
        """Return the last lines that a task has logged."""
        return self._logs(f"/tasks/{_path(task_id)}/logs", tail=number)

    def _logs(self, path: str, **wanted: int) -> str:
        with _translated():
            answer = self._engine.ask(path, params={"stdout": 1, "stderr": 1, **wanted})
        if answer.status >= 300:
            raise self._refusal(answer)
        return _frames(answer.body)

    def tasks(self, service_ids: Sequence[str]) -> Sequence[Raw]:
        """Return the tasks of services, with those of their recent past (five for each slot by default)."""
        filters = json.dumps({"service": list(service_ids)})
        tasks: Sequence[Raw] = self._get("/tasks", params={"filters": filters})
        return tasks

    def distribution(self, image: str, credentials: Credentials | None) -> Raw:
        """Return the registry's answer about an image (`GET /distribution/{name}/json`).

        Raises:
            NotFoundError: no such tag, digest or repository.
            AccessDeniedError: the registry refuses these credentials.
            TemporaryError: the registry cannot be reached or cannot answer now.
        """
        answer: Raw = self._get(
            f"/distribution/{image}/json",
            headers=_auth_header(credentials),
            missing=f"the registry has no {image}",
            registry=f"registry {Image.parse(image).host}",
        )
        return answer

    def update_service(
        self, service_id: str, version: int, spec: Raw, credentials: Credentials | None
    ) -> None:
        """Write a service's spec over the version that was read.

        Raises:
            StaleVersionError: the service has changed since it was read.
        """
        path, headers = f"/services/{_path(service_id)}/update", _auth_header(credentials)
        self._write(path, spec, {"version": version}, headers, missing=f"service {spec['Name']} is gone")

    def config(self, name: str) -> Raw | None:
        """Return a config object, None if there is none of this name."""
        try:
            raw: Raw = self._get(f"/configs/{_path(name)}")
        except NotFoundError:
            return None
        return raw

    def create_config(self, spec: Raw) -> None:
        """Create a config object; StaleVersionError if there is one already."""
        self._write("/configs/create", spec)

    def update_config(self, config_id: str, version: int, spec: Raw) -> None:
        """Write the labels of a config object; StaleVersionError if it has changed since it was read."""
        self._write(f"/configs/{_path(config_id)}/update", spec, {"version": version})

    def _get(self, path: str, *, missing: str = "", registry: str | None = None, **options: Any) -> Any:
        """Return what the engine has.

        Raises:
            TemporaryError: the engine is down, has no leader, answers 5xx, or has changed its version.
            PermanentError: the engine refuses the request; what to do is in the message.
        """
        with _translated():
            answer = self._engine.ask(path, **options)
        if answer.status >= 300:
            raise self._refusal(answer, missing, registry)
        try:
            return answer.json()
        except ValueError as fault:
            raise TemporaryError(f"{ENGINE} answers no JSON: {answer.message[:200]}") from fault

    def _each(self, path: str, params: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the elements of a list, read one after another; raises as `_get`."""
        with _translated():
            found = self._engine.each(path, params)
            if isinstance(found, Answer):
                raise self._refusal(found)
            yield from found

    def _write(
        self,
        path: str,
        body: Raw,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        missing: str = "",
    ) -> None:
        """Write something; raises as `_get`."""
        with _translated():
            answer = self._engine.write(path, params or {}, headers or {}, body)
        if answer.status >= 300:
            raise self._refusal(answer, missing)

    def _refusal(self, answer: Answer, missing: str = "", registry: str | None = None) -> DeployerError:
        """Return what an answer that is an error means for us."""
        if answer.status == 400 and answer.message.startswith("client version "):
            # It was upgraded or downgraded since it was asked for the version of its API.
            self._engine.forget()
            return TemporaryError(f"{ENGINE} has changed its version, asking it anew: {answer.message}")
        return _error(answer, missing, registry)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the faults of a connection into ours."""
    try:
        yield
    except NoAnswerError as fault:
        raise TemporaryError(f"{ENGINE} does not answer ({_where()}): {fault}") from fault
    except VersionChangedError as fault:
        # What was read is not written any more: the next look reads it as this engine has it.
        raise TemporaryError(f"{ENGINE} has changed, asking it anew: {fault}") from fault


def _where() -> str:
    host = os.environ.get("DOCKER_HOST")
    return f"DOCKER_HOST={host}" if host else "DOCKER_HOST is not set, so its socket is asked"


def _frames(body: bytes) -> str:
    """Return the text of a stream of frames; each has eight bytes before it, its length in the last four."""
    text, at = [], 0
    while at + 8 <= len(body) and body[at] in (0, 1, 2):
        end = at + 8 + int.from_bytes(body[at + 4 : at + 8])
        text.append(body[at + 8 : end])
        at = end
    # A container with a terminal sends its text as it is.
    return b"".join(text or [body]).decode(errors="replace")


def _path(name: str) -> str:
    return quote(name, safe="")


def _auth_header(credentials: Credentials | None) -> dict[str, str]:
    """Return `X-Registry-Auth`: URL-safe base64 of a JSON object (Engine API, section Authentication)."""
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


def _error(answer: Answer, missing: str, registry: str | None) -> DeployerError:
    """Return what an answer means: the engine's own, or that of the registry which it asked for us."""
    status, message, whom = answer.status, answer.message, registry or ENGINE
    words, absent = message.lower(), status == 404
    if "update out of sequence" in words or (status == 409 and "already exists" in words):
        return StaleVersionError(message)
    if "not a swarm manager" in words:
        # A manager that starts, is promoted or is demoted says so too; another worker's may be well.
        return TemporaryError(
            f"this engine is not a Swarm manager; run workers on managers or set DOCKER_HOST ({message})"
        )
    if registry:
        if any(word in words for word in UNREACHABLE):
            return TemporaryError(f"{registry} cannot be reached: {message}")
        if status in {401, 403} or any(word in words for word in DENIED):
            return AccessDeniedError(f"{registry} refuses access: {message}")
        absent = absent or any(word in words for word in ABSENT)
    if absent:
        said = ": ".join(dict.fromkeys(message.split(": ")))  # "manifest unknown: manifest unknown"
        return NotFoundError(f"{missing} ({said})" if missing else message)
    if status == 403:
        return PermanentError(f"{ENGINE} forbids the request (a socket proxy?): {message}")
    if status >= 500 or status in {408, 429}:
        return TemporaryError(f"{whom} cannot answer now: {message}")
    return PermanentError(f"{whom} refuses the request: {message}")


class DockerSwarm(SwarmTarget):
    """The Swarm of the engine that DOCKER_HOST names.

    Args:
        policy: of services that have none of their own.
    """

    def __init__(self, policy: str | None = None) -> None:
        engine = DockerEngine()
        super().__init__(engine, metrics.LEDGER_LOST.inc, policy)
        self.info = engine.info
        self.logs = engine.logs
