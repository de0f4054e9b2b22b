"""Is everything there that the deployer needs? Each check tells what it found and, if it is wrong, the fix.

Nothing is changed and no message is taken: permissions on queues are asked with requests that SQS refuses
for their form, and for lack of permission before that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from deployer.errors import DeployerError, PermanentError
from deployer.policies.labels import complaint, misplaced
from deployer.rollouts.core import Core

Level = Literal["ok", "warn", "fail"]
VISIBILITY = 120  # seconds, the least that a look and its retries need
RECEIVES = 3  # before redrive: fewer, and an outage fills the dead-letter queue
CLOCK_WARN, CLOCK_FAIL = 30.0, 240.0  # seconds; AWS refuses signatures that are 5 minutes off
DENIED = ("AccessDenied", "AuthorizationError", "NotAuthorized")
ABSENT = ("NonExistentQueue", "QueueDoesNotExist")


@dataclass(frozen=True)
class Finding:
    """What a check found; `fix` says what to do where it is not well."""

    check: str
    level: Level
    found: str
    fix: str = ""


Findings = Iterator[Finding]


def identity(sts: Any) -> tuple[Finding, datetime | None]:
    """Who AWS takes us for, and what time it is there."""
    fix = "AWS_SHARED_CREDENTIALS_FILE, AWS_REGION or an instance role"
    try:
        answer = sts.get_caller_identity()
    except (ClientError, BotoCoreError) as fault:
        fix = "renew the AWS credentials" if "Expired" in str(fault) else fix
        return Finding("AWS identity", "fail", _brief(fault), fix), None
    said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    theirs = parsedate_to_datetime(said) if said else None
    return Finding("AWS identity", "ok", answer["Arn"]), theirs


def clock(name: str, theirs: datetime | None, now: datetime) -> Finding:
    """How far our clock is from another one."""
    check = f"clock against {name}"
    if theirs is None:
        return Finding(check, "warn", "it was not told")
    off = abs((now - theirs).total_seconds())
    level: Level = "ok" if off < CLOCK_WARN else "warn" if off < CLOCK_FAIL else "fail"
    fix = (
        "" if level == "ok" else "run an NTP client on this host; AWS refuses requests that are 5 minutes off"
    )
    return Finding(check, level, f"{off:.0f} s apart", fix)


def queue(sqs: Any, role: str, url: str, actions: Mapping[str, Callable[[Any, str], Any]]) -> Findings:
    """Whether a queue is there, is set up to lose nothing, and lets us do what we do with it.

    Args:
        sqs: a boto3 client.
        role: `events queue` or `task queue`, for people.
        url: the queue's URL.
        actions: permissions by name, each with a request that tells whether we have it.
    """
    try:
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    except ClientError as fault:
        attributes = None
        if not _says(fault, DENIED):
            setting = "DEPLOYER_QUEUE" if role == "events queue" else "DEPLOYER_TASK_QUEUE"
            yield Finding(role, "fail", _brief(fault), f"set {setting} to the URL of a queue that exists")
            return
        yield Finding(
            role, "warn", "its attributes may not be read", "allow sqs:GetQueueAttributes to check them"
        )
    except BotoCoreError as fault:
        yield Finding(
            role, "fail", _brief(fault), "let this host reach SQS (AWS_ENDPOINT_URL, proxy, network)"
        )
        return
    if attributes is not None:
        yield Finding(
            role, "ok", f"{url}, {attributes.get('ApproximateNumberOfMessages', '?')} messages wait"
        )
        yield from _set_up(role, attributes, sqs)
    for action, ask in actions.items():
        yield _allowed(role, action, partial(ask, sqs, url))


def _set_up(role: str, attributes: Mapping[str, str], sqs: Any) -> Findings:
    if attributes.get("FifoQueue") == "true":
        yield Finding(role, "fail", "it is a FIFO queue, which takes no delays", "use a standard queue")
    visible = int(attributes.get("VisibilityTimeout", 0))
    level: Level = "ok" if visible >= VISIBILITY else "fail"
    yield Finding(
        f"{role}: visibility timeout",
        level,
        f"{visible} s",
        "" if level == "ok" else f"set VisibilityTimeout to {VISIBILITY} or more: work is done twice",
    )
    yield from _redrive(role, attributes, sqs)
    if role == "events queue":
        yield _sender(role, attributes)


def _redrive(role: str, attributes: Mapping[str, str], sqs: Any) -> Findings:
    check = f"{role}: dead-letter queue"
    try:
        policy = json.loads(attributes.get("RedrivePolicy") or "null")
        target, receives = policy["deadLetterTargetArn"], int(policy["maxReceiveCount"])
    except (ValueError, TypeError, KeyError):
        yield Finding(
            check, "fail", "there is none", "give the queue a RedrivePolicy: poison goes round for ever"
        )
        return
    if receives < RECEIVES:
        yield Finding(
            check,
            "warn",
            f"after {receives} receives",
            f"set maxReceiveCount to {RECEIVES} or more: an outage fills it",
        )
        return
    name = target.rpartition(":")[2]
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        dead = int(told["Attributes"]["ApproximateNumberOfMessages"])
    except ClientError as fault:
        if _says(fault, ABSENT):
            yield Finding(check, "fail", f"{name} does not exist", "create it, or correct the RedrivePolicy")
        else:
            yield Finding(check, "ok", f"{name}, after {receives} receives")
        return
    fix = "look at them; the log says why (“left for the dead-letter queue”)" if dead else ""
    yield Finding(check, "warn" if dead else "ok", f"{name}, {dead} messages in it", fix)


def _sender(role: str, attributes: Mapping[str, str]) -> Finding:
    """Whether EventBridge or SNS may send to the events queue."""
    check, fix = f"{role}: who may send", "let events.amazonaws.com send (queue policy): no event arrives"
    try:
        policy = json.loads(attributes.get("Policy") or "{}")
        statements = policy.get("Statement") or []
        allowed = [json.dumps(s.get("Principal")) for s in statements if s.get("Effect") == "Allow"]
    except (ValueError, AttributeError):
        return Finding(check, "fail", "the queue's policy cannot be read", fix)
    services = [name for name in ("events", "sns") if any(f"{name}.amazonaws.com" in who for who in allowed)]
    if any(who in {'"*"', '{"AWS": "*"}'} for who in allowed) and not services:
        return Finding(check, "warn", "anybody", "let only events.amazonaws.com (or sns) send")
    if not services:
        return Finding(check, "fail", "neither EventBridge nor SNS", fix)
    return Finding(check, "ok", ", ".join(f"{name}.amazonaws.com" for name in services))


def _allowed(role: str, action: str, ask: Callable[[], Any]) -> Finding:
    try:
        ask()
    except ClientError as fault:
        if _says(fault, DENIED):
            return Finding(f"{role}: {action}", "fail", "denied", f"allow {action} on this queue")
        if _says(fault, ABSENT):
            return Finding(f"{role}: {action}", "fail", "there is no such queue", "correct the setting")
    except BotoCoreError as fault:
        return Finding(f"{role}: {action}", "fail", _brief(fault), "let this host reach SQS")
    return Finding(f"{role}: {action}", "ok", "allowed")


def _refused(call: str, **arguments: Any) -> Callable[[Any, str], Any]:
    """A request that SQS refuses for its form, once it has seen that we may make it."""

    def ask(sqs: Any, url: str) -> Any:
        return getattr(sqs, call)(QueueUrl=url, **arguments)

    return ask


SEND = {"sqs:SendMessage": _refused("send_message_batch", Entries=[])}
TAKE = {
    "sqs:ReceiveMessage": _refused("receive_message", MaxNumberOfMessages=11, VisibilityTimeout=0),
    "sqs:DeleteMessage": _refused("delete_message_batch", Entries=[]),
}
RETURN = {"sqs:ChangeMessageVisibility": _refused("change_message_visibility_batch", Entries=[])}


def engine(core: Core, info: Callable[[], Mapping[str, Any]], now: datetime) -> Findings:
    """Whether the engine is a manager that lets us do what we do."""
    try:
        told = info()
    except DeployerError as fault:
        yield Finding("Docker engine", "fail", str(fault), "set DOCKER_HOST, or mount the engine's socket")
        return
    swarm = told.get("Swarm") or {}
    if not swarm.get("ControlAvailable"):
        found = f"{told.get('Name', 'it')} is no manager ({swarm.get('LocalNodeState', 'no Swarm')})"
        yield Finding(
            "Docker engine", "fail", found, "run workers on managers (placement node.role == manager)"
        )
        return
    yield Finding("Docker engine", "ok", f"{told.get('ServerVersion')}, manager {told.get('Name')}")
    if told.get("SystemTime"):
        yield clock("the engine", datetime.fromisoformat(told["SystemTime"]), now)
    for check, ask in (("services", core.target.services), ("configs", core.target.ledger)):
        try:
            ask()
        except DeployerError as fault:
            yield Finding(f"engine: {check}", "fail", str(fault), f"let a socket proxy allow /{check}")
            continue
        yield Finding(f"engine: {check}", "ok", "readable")


def registries(core: Core) -> Findings:
    """Whether each registry of our services takes our login, asked through the engine."""
    try:
        services = [s for s in core.target.services() if s.carries(core.rules.filter_label)]
    except DeployerError:
        return  # `engine` has said it
    ours = [s for s in services if s.image and s.image.followed_tag]
    if not ours:
        label = core.rules.filter_label
        why = f"no service carries {label} (DEPLOYER_FILTER_LABEL)" if label else "no service follows a tag"
        yield Finding("services", "warn", why, "deploy one by tag, or correct the filter")
        return
    yield Finding("services", "ok", f"{len(ours)} follow a tag")
    examples = {(s.image.host, s.login or ""): s for s in reversed(ours) if s.image}
    for (host, login), service in sorted(examples.items()):
        name = f"{host} as {login}" if login else host
        image = service.image
        assert image is not None  # noqa: S101 - of those with an image
        try:
            manifest, _ = core.manifest(image.without_digest(), service.login)
        except DeployerError as fault:
            fix = (
                "correct login or permissions"
                if isinstance(fault, PermanentError)
                else "let this engine reach the registry, and a socket proxy allow /distribution"
            )
            yield Finding(f"registry {name}", "fail", str(fault), fix)
            continue
        yield Finding(f"registry {name}", "ok", f"{image.without_digest()} is {manifest.digest[:19]}…")


def labels(core: Core) -> Findings:
    """Whether the labels of our services can be understood."""
    try:
        services = core.target.services()
    except DeployerError:
        return
    for service in sorted(services, key=lambda one: one.name):
        wrong = complaint(service)
        if wrong:
            yield Finding(
                f"labels of {service.name}", "fail", wrong, "correct the label; updates are off until then"
            )
        if nowhere := misplaced(service):
            yield Finding(
                f"labels of {service.name}",
                "fail",
                nowhere,
                "move it under deploy.labels; nobody reads it there",
            )


def redis(url: str | None) -> Finding:
    """Whether Redis answers, if there is one."""
    if not url:
        found = "none is set: no history, no Flower, no remote control"
        return Finding("Redis", "warn", found, "set DEPLOYER_REDIS_URL")
    import redis as client
    from redis.exceptions import RedisError

    try:
        with client.Redis.from_url(url, socket_timeout=2, socket_connect_timeout=2) as connection:
            info = connection.info("persistence")
    except (RedisError, OSError, ValueError) as fault:
        # The text of the error may hold the URL with its password.
        fix = "correct the password in DEPLOYER_REDIS_URL" if "Authentication" in type(fault).__name__ else ""
        return Finding(
            "Redis", "fail", type(fault).__name__, fix or "start it, or correct DEPLOYER_REDIS_URL"
        )
    kept = info.get("aof_enabled") or info.get("rdb_last_save_time")
    return Finding("Redis", "ok", "answers" if kept else "answers, keeps nothing on disk")


def workers(ping: Callable[[], Mapping[str, Any] | None]) -> Finding:
    """Whether a worker answers."""
    try:
        answers = ping() or {}
    except Exception as fault:  # noqa: BLE001 - whatever kombu and Redis raise
        return Finding("workers", "warn", type(fault).__name__, "they are asked through Redis")
    if not answers:
        return Finding("workers", "warn", "none answers", "start `celery -A deployer worker` on a manager")
    return Finding("workers", "ok", ", ".join(sorted(answers)))


def now() -> datetime:
    """The time of this host."""
    return datetime.now(UTC)


def worst(findings: Sequence[Finding]) -> Level:
    """The worst level of all."""
    levels = {finding.level for finding in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"


def _says(fault: ClientError, words: Sequence[str]) -> bool:
    code = str(fault.response.get("Error", {}).get("Code", ""))
    return any(word in code for word in words)


def _brief(fault: Exception) -> str:
    return str(fault).split("\n", 1)[0][:200]
