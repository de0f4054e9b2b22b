"""Checks of everything that the deployer needs but its queues; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, NoRegionError

from deployer.errors import DeployerError, PermanentError
from deployer.model.image import Image
from deployer.model.service import Service
from deployer.policies.labels import ServiceLabels, misplaced
from deployer.reports.finding import Finding, Findings, Level, brief_of
from deployer.rollouts.core import Core
from deployer.rollouts.fleet.survey import asked_once, side_by_side
from deployer.rollouts.ledger import NAME
from deployer.rollouts.ledger.loss import contents

CLOCK_WARN, CLOCK_FAIL = 30.0, 240.0  # seconds; AWS refuses signatures that are 5 minutes off


def identity(sts: Any) -> tuple[Finding, datetime | None]:
    """Check the AWS identity, and return AWS's time."""
    try:
        answer = sts.get_caller_identity()
    except (ClientError, BotoCoreError) as fault:
        return no_identity(fault), None
    said = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    theirs = parsedate_to_datetime(said) if said else None
    return Finding("AWS identity", "ok", answer["Arn"]), theirs


def no_identity(fault: Exception) -> Finding:
    """Return what it means that AWS cannot be asked who we are."""
    if isinstance(fault, NoRegionError):
        return Finding("AWS identity", "fail", "no region is set", "set AWS_REGION, to eu-central-1 say")
    if isinstance(fault, EndpointConnectionError):  # a misspelt region is a host that does not exist
        return Finding(
            "AWS identity", "fail", brief_of(fault), "is AWS_REGION right, and does the network reach AWS?"
        )
    expired = "Expired" in str(fault)
    fix = "renew the AWS credentials" if expired else "AWS_SHARED_CREDENTIALS_FILE or an instance role"
    return Finding("AWS identity", "fail", brief_of(fault), fix)


def clock(name: str, theirs: datetime | None, now: datetime) -> Finding:
    """Check our clock against another one."""
    check = f"clock against {name}"
    if theirs is None:
        return Finding(check, "warn", "it was not told")
    off = abs((now - theirs).total_seconds())
    level: Level = "ok" if off < CLOCK_WARN else "warn" if off < CLOCK_FAIL else "fail"
    fix = (
        "" if level == "ok" else "run an NTP client on this host; AWS refuses requests that are 5 minutes off"
    )
    return Finding(check, level, f"{off:.0f} s apart", fix)


def engine(core: Core, info: Callable[[], Mapping[str, Any]], now: datetime) -> Findings:
    """Check that the engine is a manager and grants the requests that we need."""
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
    try:
        services = core.target.services()
    except DeployerError as fault:
        yield Finding("engine: services", "fail", str(fault), "let a socket proxy allow /services")
        services = ()
    else:
        yield Finding("engine: services", "ok", "readable")
    yield _ledger(core, services)


def _ledger(core: Core, services: Sequence[Service]) -> Finding:
    """Tell what the ledger holds, and whether it has been removed."""
    try:
        ledger = core.target.ledger()
    except DeployerError as fault:
        return Finding("engine: configs", "fail", str(fault), "let a socket proxy allow /configs")
    remember = [service.name for service in services if service.state.failures]
    if ledger.id is None and remember:
        found = f"{NAME} is gone, though {', '.join(remember[:5])} had failures that it kept"
        return Finding("engine: configs", "warn", found, "hold again what was held; no script may remove it")
    return Finding("engine: configs", "ok", contents(ledger, core.clock()) or "readable; nothing is held")


BY_ENGINE = "let this engine reach the registry, and a socket proxy allow /distribution"
BY_WORKER = "let this worker reach the registry (network, proxy)"


def registries(core: Core, unreachable: str = BY_ENGINE) -> Findings:
    """Check that each registry of our services accepts our login, from where it is asked.

    Args:
        core: the core.
        unreachable: what to do about a registry that cannot be reached.
    """
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
    yield Finding("services", "ok", f"{len(ours)} {'follows' if len(ours) == 1 else 'follow'} a tag")
    first = {
        (s.image.host, s.login or ""): (s.image.without_digest(), s.login) for s in reversed(ours) if s.image
    }
    asked = sorted(first.items(), key=lambda one: one[0])
    answers = side_by_side(lambda one: core.manifest(*one[1])[0].digest, asked)
    for ((host, login), (image, _)), answer in zip(asked, answers, strict=True):
        yield _registry(f"{host} as {login}" if login else host, image, answer, unreachable)


def _registry(name: str, image: Image, answer: str | DeployerError, unreachable: str) -> Finding:
    if isinstance(answer, str):
        return Finding(f"registry {name}", "ok", f"{image} is {answer[:19]}…")
    fix = "correct login or permissions" if isinstance(answer, PermanentError) else unreachable
    return Finding(f"registry {name}", "fail", str(answer), fix)


def labels(core: Core) -> Findings:
    """Check the labels of our services."""
    try:
        services = core.target.services()
    except DeployerError:
        return
    names = {name for service in services for name in (service.name, service.id)}
    for service in sorted(services, key=lambda one: one.name):
        parsed = ServiceLabels.parse(service.labels, core.rules.filter_label)
        wrong = parsed.problem or parsed.missing_service(names)
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


def ways_back(core: Core) -> Findings:
    """Check that the images that our services would go back to are still in their registries."""
    try:
        services = [s for s in core.target.services() if s.carries(core.rules.filter_label)]
    except DeployerError:
        return  # `engine` has said it
    ours = [s for s in services if s.state.previous and not s.is_job]
    asking = asked_once(core)
    answers = side_by_side(lambda s: asking.way_back_problem(s, s.state.previous), ours)
    for service, problem in zip(ours, answers, strict=True):
        if isinstance(problem, str):
            fix = "let the lifecycle rule keep it, or demand a way back: label deployer.require-way-back=true"
            yield Finding(f"way back of {service.name}", "warn", problem, fix)


def redis(url: str | None) -> Finding:
    """Check that Redis answers, if it is set."""
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
            "Redis",
            "fail",
            f"does not answer ({type(fault).__name__})",
            fix or "start it, or correct DEPLOYER_REDIS_URL",
        )
    kept = info.get("aof_enabled") or info.get("rdb_last_save_time")
    return Finding("Redis", "ok", "answers" if kept else "answers, keeps nothing on disk")


def workers(ping: Callable[[], Mapping[str, Any] | None], waiting: Callable[[], int]) -> Finding:
    """Check that a worker answers.

    Before the first start none is there, and all may be well. It is a fault as soon as tasks wait for one.

    Args:
        ping: asks all workers for a sign of life.
        waiting: returns how many tasks wait in the queue; asked only if no worker answers.
    """
    start = "start `celery -A deployer worker` on a manager"
    try:
        answers = ping() or {}
    except DeployerError as fault:
        return Finding("workers", "warn", f"they cannot be asked: {fault}")
    except Exception as fault:  # noqa: BLE001 - whatever kombu and Redis raise
        found = f"they cannot be asked ({type(fault).__name__})"
        return Finding("workers", "warn", found, "they are asked through Redis: see what is said of it")
    if answers:
        return Finding("workers", "ok", ", ".join(sorted(answers)))
    if number := waiting():
        return Finding("workers", "fail", f"none answers, and tasks wait for one: about {number}", start)
    return Finding("workers", "warn", "none answers", start)


def now() -> datetime:
    """Return the time of this host."""
    return datetime.now(UTC)


def worst(findings: Sequence[Finding]) -> Level:
    """Return the worst level of all."""
    levels = {finding.level for finding in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "ok"
