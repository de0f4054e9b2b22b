"""The hooks of registries: who sent one, and what it leads to.

`read` turns a delivery into verdicts of `events`; the event of each `Deploy` goes on the events queue as it
is. What a payload says is a hint: it names the image to look at, and the registry is asked what is there.
Pure.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from deployer.errors import InvalidReferenceError, SettingsError
from deployer.model.image import Image
from deployer.triggers import events
from deployer.triggers.envelope import UnreadableError, quote, unwrap
from deployer.triggers.forms import WEBHOOK
from deployer.triggers.verdict import Deploy, Ignore, Reject
from deployer.triggers.webhook import payloads
from deployer.triggers.webhook.payloads import Hint, Payload, Told

Verdict = Deploy | Ignore | Reject

MAX_PUSHES = 1000  # of one delivery
WINDOW = 300  # seconds within which an equal body with a digest, but without a time, is the same push
FORM = "application/x-www-form-urlencoded"
CALLBACK_HOST = "registry.hub.docker.com"
_YEAR_9000 = 221_845_392_000  # seconds since 1970
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")


@dataclass(frozen=True)
class Delivery:
    """One request of a sender, as it came: `headers` by names in lower case, `token` is that of the URL."""

    body: bytes
    headers: Mapping[str, str]
    token: str = ""


Proof = Callable[[str, Delivery], bool]


@dataclass(frozen=True)
class Sender:
    """A kind of sender.

    Attributes:
        title: its name, for people.
        read: what a payload tells.
        proofs: ways to show the secret, any of which will do.
        id_header: the header that has the delivery's id, if the sender has one.
        names_host: whether the payload says which registry it is.
        repeats: the sender repeats what we refuse before anything else, so one bad event must not be refused.
    """

    title: str
    read: Callable[[Payload], Iterator[Told]]
    proofs: tuple[Proof, ...]
    id_header: str = ""
    names_host: bool = True
    repeats: bool = False


def read(
    sender: str, delivery: Delivery, host: str | None = None, now: datetime | None = None
) -> list[Verdict]:
    """Return the verdicts of one delivery in its order, at least one; never raises.

    Args:
        sender: a key of SENDERS.
        delivery: the request, whose secret has been checked.
        host: the registry, in place of the one that the payload names; a path may follow. For JFrog `{repo}`
            in it stands for the key of the repository.
        now: when it came.
    """
    known, now = SENDERS[sender], now or datetime.now(UTC)
    try:
        told = list(known.read(_payload(delivery)))
    except UnreadableError as fault:
        return [Reject(fault.reason, fault.detail)]
    if sum(isinstance(one, Hint) for one in told) > MAX_PUSHES:
        return [Reject("too-many", f"more than {MAX_PUSHES} pushes")]
    verdicts: list[Verdict] = []
    ids: Counter[str] = Counter()
    for one in told:
        verdict = one if not isinstance(one, Hint) else _verdict(sender, one, delivery, host, now, ids)
        if isinstance(verdict, Reject) and known.repeats:
            verdict = Ignore("malformed", str(verdict))
        verdicts.append(verdict)
    return verdicts or [Ignore("no push")]


def proves(sender: str, secrets: Sequence[str], delivery: Delivery) -> bool:
    """Return whether a delivery shows one of a sender's secrets; every comparison takes the same time."""
    found = [proof(secret, delivery) for secret in secrets for proof in SENDERS[sender].proofs]
    return any(found)


def callback(delivery: Delivery) -> str | None:
    """Return the URL at which Docker Hub wants an answer, or None if it is not Docker Hub\'s own."""
    try:
        parts = urlsplit(str(_payload(delivery).get("callback_url")))
    except (UnreadableError, ValueError):
        return None
    # User and port would be in `netloc`, which must be the host and nothing else.
    wanted = (parts.scheme, parts.netloc) == ("https", CALLBACK_HOST) and parts.path.isascii()
    return f"https://{CALLBACK_HOST}{parts.path}" if wanted else None


def _verdict(
    sender: str, hint: Hint, delivery: Delivery, host: str | None, now: datetime, ids: Counter[str]
) -> Verdict:
    for name in ("repository", "tag", "digest"):
        value = getattr(hint, name)
        if value is not None and not isinstance(value, str):
            return Reject(f"{name} not a string", type(value).__name__)
    where = host.replace("{repo}", hint.key) if host else hint.host
    if not hint.repository or not isinstance(where, str):
        return Reject("unknown payload", "the repository or its registry is missing")
    name = f"{where}/{hint.repository}" if where else str(hint.repository)
    event = {
        "source": WEBHOOK,
        "detail-type": "Image Push",
        "id": _id(sender, hint, delivery, now, ids),
        "time": _time(hint.time, now),
        "detail": {
            "image": f"{name}:{hint.tag}" if hint.tag else name,
            "digest": hint.digest or None,
            "sender": sender,
        },
    }
    verdict = events.parse(event, now=now)
    if isinstance(verdict, Deploy) and where and verdict.image.host != where.partition("/")[0]:
        # Docker's clients take a first part without a dot or a port for a name on Docker Hub.
        return Reject("invalid host", quote(where))
    return verdict


def _id(sender: str, hint: Hint, delivery: Delivery, now: datetime, ids: Counter[str]) -> str:
    """Return an id that is the same for every delivery of one push, and no other push's.

    Two pushes must never share one, for the second would be taken for the first come again: a hook that tells
    neither id nor time nor digest is a new push each time, at the cost of a needless look at a repeated one.
    """
    own = hint.id or delivery.headers.get(SENDERS[sender].id_header)
    if not isinstance(own, str) or not _ID.fullmatch(own):
        own = hashlib.sha256(delivery.body).hexdigest()[:32]
        if not hint.time:
            at = now.timestamp()
            own += f"-{int(at / WINDOW) if hint.digest else int(at * 1_000_000):x}"
    ids[own] += 1
    return f"{sender}-{own}" if ids[own] == 1 else f"{sender}-{own}-{ids[own]}"


def _time(told: object, now: datetime) -> str:
    if isinstance(told, str):
        return told  # judged by `events`
    if isinstance(told, int | float) and 0 < told < _YEAR_9000:
        return datetime.fromtimestamp(told, UTC).isoformat()
    return now.isoformat()


def _payload(delivery: Delivery) -> dict[str, Any]:
    if not delivery.headers.get("content-type", "").startswith(FORM):
        return unwrap(delivery.body)
    # GitHub's first choice of a content type, easily left as it is.
    try:
        form = parse_qs(delivery.body.decode(), max_num_fields=10)
    except ValueError as fault:
        raise UnreadableError("not a form", quote(str(fault))) from None
    if "payload" not in form:  # `curl -d` without a header
        raise UnreadableError("no form", f"the Content-Type is {FORM}; send JSON as application/json")
    return unwrap(form["payload"][0])


# --- how a sender shows its secret ---


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "backslashreplace"), wanted.encode())


def bearer(secret: str, delivery: Delivery) -> bool:
    """Prove it by `Authorization: Bearer <secret>`."""
    scheme, _, given = delivery.headers.get("authorization", "").partition(" ")
    return _same(given.strip(), secret) and scheme.lower() == "bearer"


def whole_header(secret: str, delivery: Delivery) -> bool:
    """Prove it by `Authorization: <secret>`."""
    return _same(delivery.headers.get("authorization", ""), secret)


def url_token(secret: str, delivery: Delivery) -> bool:
    """`?token=<secret>` at the end of the URL"""
    return _same(delivery.token, secret)


def hub_signature(secret: str, delivery: Delivery) -> bool:
    """`X-Hub-Signature-256`: HMAC-SHA256 of the body with the secret"""
    return _same(delivery.headers.get("x-hub-signature-256", ""), f"sha256={_hmac(secret, delivery.body)}")


def jfrog_secret(secret: str, delivery: Delivery) -> bool:
    """`X-JFrog-Event-Auth: <secret>`"""
    return _same(delivery.headers.get("x-jfrog-event-auth", ""), secret)


def jfrog_signature(secret: str, delivery: Delivery) -> bool:
    """`X-JFrog-Event-Auth`: HMAC-SHA256 of the body with the secret"""
    return _same(delivery.headers.get("x-jfrog-event-auth", ""), _hmac(secret, delivery.body))


def nexus_signature(secret: str, delivery: Delivery) -> bool:
    """`X-Nexus-Webhook-Signature`: HMAC-SHA1 of the body with the secret"""
    made = hmac.new(secret.encode(), delivery.body, hashlib.sha1).hexdigest()
    return _same(delivery.headers.get("x-nexus-webhook-signature", ""), made)


def _hmac(secret: str, body: bytes) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


SENDERS: Mapping[str, Sender] = {
    "azure": Sender("Azure Container Registry", payloads.azure, (bearer,)),
    "distribution": Sender("distribution registry", payloads.distribution, (bearer,), repeats=True),
    "dockerhub": Sender("Docker Hub", payloads.dockerhub, (url_token,)),
    "ghcr": Sender(
        "GitHub Container Registry", payloads.ghcr, (hub_signature,), id_header="x-github-delivery"
    ),
    "gitlab": Sender("GitLab's registry", payloads.distribution, (bearer,), repeats=True),
    "harbor": Sender("Harbor", payloads.harbor, (bearer, whole_header)),
    "jfrog": Sender(
        "JFrog Artifactory", payloads.jfrog, (jfrog_secret, jfrog_signature, bearer), names_host=False
    ),
    "nexus": Sender(
        "Sonatype Nexus",
        payloads.nexus,
        (nexus_signature,),
        id_header="x-nexus-webhook-delivery",
        names_host=False,
    ),
    "plain": Sender("any other", payloads.plain, (bearer,)),
    "quay": Sender("Quay", payloads.quay, (url_token,)),
}


def check(secrets: Mapping[str, Sequence[str]], hosts: Mapping[str, str]) -> None:
    """See that the settings fit the senders.

    Raises:
        SettingsError: no sender, one that does not exist, or a registry that is missing or malformed.
    """
    known = ", ".join(SENDERS)
    if not secrets:
        raise SettingsError(f"DEPLOYER_WEBHOOK_SECRETS is not set: `sender=secret`; senders are {known}")
    for setting, names in (("SECRETS", secrets), ("HOSTS", hosts)):
        for name in names:
            if name not in SENDERS:
                # A secret without its sender's name must not be printed.
                raise SettingsError(f"DEPLOYER_WEBHOOK_{setting} names no known sender; they are {known}")
    for name, host in hosts.items():
        try:
            found = Image.parse(f"{host.replace('{repo}', 'x')}/x").host
        except InvalidReferenceError as fault:
            raise SettingsError(f"DEPLOYER_WEBHOOK_HOSTS, {name}: {fault}") from fault
        if found != host.replace("{repo}", "x").partition("/")[0]:
            raise SettingsError(
                f"DEPLOYER_WEBHOOK_HOSTS, {name}: {host} does not begin with a registry's host"
            )
    for name in secrets:
        if not SENDERS[name].names_host and name not in hosts:
            raise SettingsError(f"DEPLOYER_WEBHOOK_HOSTS must name the registry of {name}: {name}=<host>")
