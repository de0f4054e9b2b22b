"""`deployer webhook`: a hook of a registry comes in, its pushes go on the events queue.

A delivery is accepted only when the queue has it: nothing that we accept is lost, and what the queue does not
take the sender sends again. Nothing is deployed from here: the bridge makes tasks of the events as of ECR's.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import limits
import urllib3
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from deployer.errors import TemporaryError, brief
from deployer.observability import metrics
from deployer.observability.logs import about
from deployer.triggers.envelope import quote
from deployer.triggers.verdict import Deploy, Ignore, Reject
from deployer.triggers.webhook import openapi, senders
from deployer.triggers.webhook.queue import AT_ONCE, Outbox, in_thread

log = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]
MAX_BODY = 256 * 1024  # bytes
BODY_SECONDS = 10.0  # that a sender may take for its body
SEND_SECONDS = 8.0  # that the queue may take: GitHub gives a hook up after 10
ANSWER_SECONDS = 5.0  # that Docker Hub may take for our answer
LATER = {"Retry-After": "30"}  # seconds, when the queue does not answer
# The page is plain text and tables; whatever else a browser is made to load, it must not.
CSP = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}


class Receiver:
    """Judges deliveries and hands their events on.

    Args:
        outbox: where events go.
        secrets: of each sender that is let in.
        hosts: the registry of senders whose payload does not name it as services do.
        rate: requests in a minute of one address, and proven ones of one sender.
        answer: tells Docker Hub, at a URL of its own, what became of its hook: the JSON to post.

    Raises:
        SettingsError: no sender, one that does not exist, or a registry that is missing or malformed.
    """

    def __init__(
        self,
        outbox: Outbox,
        secrets: Mapping[str, Sequence[str]],
        hosts: Mapping[str, str] | None = None,
        rate: int = 120,
        answer: Callable[[str, Mapping[str, str]], None] | None = None,
    ) -> None:
        self._outbox, self._secrets, self._hosts = outbox, secrets, hosts or {}
        senders.check(self._secrets, self._hosts)
        self._answer = answer or _post
        self._rate = limits.parse(f"{rate}/minute")
        self._limiter = FixedWindowRateLimiter(MemoryStorage())
        self._sending = asyncio.Semaphore(AT_ONCE)

    def app(self, version: str) -> Starlette:
        """Return the ASGI application; its description tells the version."""
        document = openapi.document(version)
        page = HTMLResponse(openapi.page(document), headers=CSP)

        async def described(_: Request) -> Response:
            return JSONResponse(document)

        async def explained(_: Request) -> Response:
            return page

        routes = [
            Route("/hooks/{sender}", self._counted(_until_stopped(self.receive)), methods=["POST"]),
            Route("/healthz", _until_stopped(self.health)),
            Route("/openapi.json", described),
            Route("/", explained),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _refused, Exception: _broken})

    async def health(self, _: Request) -> Response:
        """Tell whether the events queue takes events; the reason why not is for the log only."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                ill = await in_thread(self._outbox.ill)
        except TimeoutError:
            ill = "it hangs"
        if ill:
            return JSONResponse({"status": "unhealthy", "error": "the events queue takes nothing"}, 503)
        return JSONResponse({"status": "healthy"})

    async def receive(self, request: Request) -> Response:
        """Take one delivery; the answer says what became of it."""
        sender, address = request.path_params["sender"], _address(request)
        self._slow_down("address", address)
        if sender not in self._secrets:
            log.debug("Hook of %s from %s: no such sender, or one without a secret", quote(sender), address)
            raise HTTPException(404, "no such sender, or none that is let in")
        token = request.query_params.get("token", "")
        delivery = senders.Delivery(await _body(request), dict(request.headers), token)
        if not senders.proves(sender, self._secrets[sender], delivery):
            log.warning("Hook of %s from %s: refused, without the right secret", sender, address)
            raise HTTPException(401, "the secret is missing or wrong", {"WWW-Authenticate": "Bearer"})
        self._slow_down("sender", sender)
        verdicts = senders.read(sender, delivery, self._hosts.get(sender), datetime.now(UTC))
        for verdict in verdicts:
            _tell(f"Hook of {sender} from {address}", verdict)
        pushes = [verdict for verdict in verdicts if isinstance(verdict, Deploy)]
        await self._send(pushes)
        return JSONResponse(
            *_answered(verdicts), background=self._callback(request, sender, delivery, pushes)
        )

    async def _send(self, pushes: Sequence[Deploy]) -> None:
        if not pushes:
            return
        try:
            async with asyncio.timeout(SEND_SECONDS), self._sending:
                await in_thread(lambda: self._outbox.send([push.event for push in pushes]))
        except (TemporaryError, TimeoutError) as fault:
            log.warning("%d pushes are left to their sender: %s", len(pushes), brief(fault))
            raise HTTPException(503, "the events queue does not answer", LATER) from fault

    def _counted(self, endpoint: Endpoint) -> Endpoint:
        """Count what is answered; whoever is not let in has no name of its own choice in the metrics."""

        async def wrapped(request: Request) -> Response:
            status = 500
            try:
                response = await endpoint(request)
                status = response.status_code
            except HTTPException as refusal:
                status = refusal.status_code
                raise
            finally:
                sender = request.path_params["sender"]
                metrics.HOOKS.labels(sender if sender in self._secrets else "unknown", status).inc()
            return response

        return wrapped

    def _slow_down(self, kind: str, name: str) -> None:
        if self._limiter.hit(self._rate, kind, name):
            return
        wait = self._limiter.get_window_stats(self._rate, kind, name).reset_time - time.time()
        log.debug("Too many hooks of %s %s", kind, name)
        raise HTTPException(429, "too many hooks", {"Retry-After": str(max(1, math.ceil(wait)))})

    def _callback(
        self, request: Request, sender: str, delivery: senders.Delivery, pushes: Sequence[Deploy]
    ) -> BackgroundTask | None:
        url = senders.callback(delivery) if sender == "dockerhub" and pushes else None
        if not url:
            return None
        told = {
            "state": "success",
            "description": f"{pushes[0].image} is looked at by all services that follow it",
            "context": "swarm-ecr-deployer",
            "target_url": str(request.base_url),
        }

        async def answer() -> None:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await in_thread(lambda: self._answer(url, told))
            except (urllib3.exceptions.HTTPError, TimeoutError, asyncio.CancelledError) as fault:
                log.warning("Docker Hub does not take our answer: %s", type(fault).__name__)

        return BackgroundTask(answer)


def _until_stopped(endpoint: Endpoint) -> Endpoint:
    """Answer also what is not done when the server ends, and is cancelled: nothing of it was accepted."""

    async def wrapped(request: Request) -> Response:
        try:
            return await endpoint(request)
        except asyncio.CancelledError:
            return JSONResponse({"error": "the service is stopping"}, 503, headers=LATER)

    return wrapped


async def _body(request: Request) -> bytes:
    body = bytearray()
    try:
        if int(request.headers.get("content-length", 0)) > MAX_BODY:
            raise HTTPException(413, f"more than {MAX_BODY} bytes")
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise HTTPException(413, f"more than {MAX_BODY} bytes")
    except (ClientDisconnect, TimeoutError) as fault:
        raise HTTPException(408, "the body did not come") from fault
    return bytes(body)


def _address(request: Request) -> str:
    """Return the client\'s address, as limits count it: an IPv6 address stands for its network."""
    host = request.client.host if request.client else "?"
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return ascii(host[:64])
    if isinstance(address, ipaddress.IPv6Address):
        mapped = address.ipv4_mapped
        return str(mapped or ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def _tell(whose: str, verdict: senders.Verdict) -> None:
    match verdict:
        case Deploy():
            with about(event=verdict.id):
                log.info("%s: push of %s, %s", whose, verdict.image, verdict.digest or "no digest")
        case Ignore():
            log.debug("%s: ignored, %s", whose, verdict)
        case Reject():
            log.warning("%s: cannot be read, %s", whose, verdict)


def _answered(verdicts: Sequence[senders.Verdict]) -> tuple[dict[str, Any], int]:
    """Return the answer to a sender, and the status: 202 if anything is on the queue."""
    accepted = [
        {"image": str(one.image), "digest": one.digest, "id": one.id}
        for one in verdicts
        if isinstance(one, Deploy)
    ]
    ignored = [{"reason": one.reason, "detail": one.detail} for one in verdicts if isinstance(one, Ignore)]
    rejected = [{"reason": one.reason, "detail": one.detail} for one in verdicts if isinstance(one, Reject)]
    if rejected and not accepted:
        first = next(one for one in verdicts if isinstance(one, Reject))
        return {"error": str(first), "rejected": rejected}, 422
    return {"accepted": accepted, "ignored": ignored, "rejected": rejected}, 202 if accepted else 200


async def _refused(_: Request, fault: Exception) -> Response:
    assert isinstance(fault, HTTPException)  # noqa: S101 - for the type checker
    return JSONResponse({"error": fault.detail}, fault.status_code, headers=fault.headers)


async def _broken(_: Request, __: Exception) -> Response:
    return JSONResponse({"error": "this is our fault, see the log"}, 500)


def _post(url: str, told: Mapping[str, str]) -> None:
    timeout = urllib3.Timeout(connect=2, total=ANSWER_SECONDS)
    # Not where the answer would redirect to: it is ours to choose whom we call.
    answer = urllib3.request("POST", url, json=dict(told), redirect=False, retries=False, timeout=timeout)
    if answer.status >= 300:
        log.warning("Docker Hub does not take our answer: HTTP %d", answer.status)
