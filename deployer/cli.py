"""The `deployer` command. What needs Celery or AWS is imported by the command that needs it, so that
`deployer --help` stays quick."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from deployer import __version__
from deployer.errors import DeployerError


def _plainly(command: Callable[..., Any]) -> Callable[..., Any]:
    """Say what went wrong in one line: a stack trace helps nobody with a wrong setting."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        from kombu.exceptions import OperationalError

        try:
            return command(*args, **kwargs)
        except DeployerError as fault:
            raise click.ClickException(str(fault)) from fault
        except OperationalError as fault:
            raise click.ClickException(f"the task queue does not take the task: {fault}") from fault

    return wrapper


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deployer")
def main() -> None:
    """Roll out what is pushed to AWS ECR on Docker Swarm.

    The worker is started with `celery -A deployer worker`; settings are DEPLOYER_* variables (README).
    """


@main.command()
@_plainly
def bridge() -> None:
    """Hand ECR events on from the events queue to the workers' task queues.

    Needs DEPLOYER_QUEUE and DEPLOYER_TASK_QUEUE; several task queues, one for each Swarm, are separated by
    commas, and an event is deleted only when all of them have its task. Ends on SIGTERM.
    """
    from kombu import Queue

    from deployer import app, events, logs
    from deployer.bridge import Bridge, run
    from deployer.settings import load
    from deployer.tasks import image_pushed, task_id

    settings = load()
    logs.configure(settings.log_level, settings.log_format)
    # Celery knows its own queue only; the others are named in full.
    queues = [Queue(name, routing_key=name) for name in app.task_queues()]
    url = app.queue_url(settings.need("queue"))

    def send(event: events.Deploy) -> None:
        for queue in queues:
            image_pushed.apply_async(
                (event.event,), task_id=task_id(event.id), queue=queue, ignore_result=True
            )

    made = Bridge(app.sqs_client(), url, send, settings.accept_events, app.count_event)
    app.show_bridge(made)
    run(made)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 for any.")
@_plainly
def webhook(host: str, port: int) -> None:
    """Take the hooks of other registries, and put their pushes on the events queue.

    Needs DEPLOYER_QUEUE and DEPLOYER_WEBHOOK_SECRETS, and a proxy in front of it that speaks TLS; see
    docs/webhooks.md. Ends on SIGTERM.
    """
    try:
        from deployer.webhook import Receiver, run
    except ModuleNotFoundError as fault:
        raise click.ClickException(f"{fault}; pip install 'swarm-ecr-deployer[webhook]'") from fault
    from deployer import app, logs
    from deployer.health import Heart
    from deployer.outbox import Outbox
    from deployer.settings import load, pairs

    settings = load()
    logs.configure(settings.log_level, settings.log_format)
    hosts = {name: found[-1] for name, found in pairs(settings.webhook_hosts).items()}
    outbox = Outbox(app.sqs_client(read_timeout=3.0), app.queue_url(settings.need("queue")))
    receiver = Receiver(outbox, settings.hook_secrets, hosts, settings.webhook_rate)
    if settings.health_file:
        Heart(settings.health_file, "webhook", outbox.ill).start()
    run(receiver.app(__version__), host, port, settings.webhook_proxies)


@main.command()
@_plainly
def health() -> None:
    """Say whether the worker or the bridge of this container is well; the exit code is 1 if it is not.

    For HEALTHCHECK: reads DEPLOYER_HEALTH_FILE, which the process writes every few seconds. A bridge that SQS
    does not answer and a worker that is stuck are not well; one that has nothing to do is.
    """
    import time

    from deployer.errors import SettingsError
    from deployer.health import read
    from deployer.settings import load

    path = load().health_file
    if path is None:
        raise SettingsError(
            "DEPLOYER_HEALTH_FILE is not set (the same file for the process and for this command)"
        )
    click.echo(read(path, time.time()))


def _waiting(command: Callable[..., Any]) -> Callable[..., Any]:
    wait = click.option("--wait", is_flag=True, help="Show the roll-out until its end (needs Redis).")
    timeout = click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="Wait no longer; the exit code is 2.",
    )
    return wait(timeout(command))


@main.command()
@click.argument("service")
@click.option("--image", metavar="IMAGE", help="Another tag or digest of the service's repository.")
@click.option(
    "--force", is_flag=True, help="Restart also on the same digest; try a digest that failed before."
)
@_waiting
@_plainly
def update(service: str, image: str | None, force: bool, wait: bool, timeout: float | None) -> None:
    """Bring SERVICE to what its tag means at the registry now.

    The update is a task for the workers; the id that is printed is the deployment's everywhere: in logs, in
    Flower and in the service's labels. With --wait the exit code is 1 if the roll-out failed or was rolled
    back, and 2 if --timeout has passed before its end: the roll-out goes on.
    """
    from deployer.tasks import update_service

    _sent(update_service.delay(service, image=image, force=force), wait, timeout)


@main.command()
@click.argument("service")
@_waiting
@_plainly
def rollback(service: str, wait: bool, timeout: float | None) -> None:
    """Bring SERVICE back to the image that it ran before.

    The digest that it leaves is remembered and not rolled out again by itself.
    """
    from deployer.tasks import rollback_service

    _sent(rollback_service.delay(service), wait, timeout)


def _sent(result: Any, wait: bool, timeout: float | None) -> None:
    from redis.exceptions import RedisError

    from deployer import screens
    from deployer.settings import load

    click.echo(result.id)
    if not wait:
        return
    if load().redis is None:
        raise click.ClickException("--wait asks Redis how the deployment ended: set DEPLOYER_REDIS_URL")

    def state() -> tuple[bool, str]:
        meta = result.backend.get_task_meta(result.id, cache=False)
        ended = meta["status"] in result.backend.READY_STATES
        return ended, str(meta["result"]) if meta["status"] == "RETRY" else ""

    try:
        if not screens.follow(state, timeout):
            click.echo(f"not ended after {timeout:g} s; the roll-out goes on", err=True)
            raise SystemExit(2)
        report = result.get()
    except RedisError as fault:
        name = type(fault).__name__  # its text may hold the URL with the password
        raise click.ClickException(f"Redis does not answer (DEPLOYER_REDIS_URL): {name}") from fault
    click.echo(f"{report['service']}: {report['outcome']}, {report['reason']} ({report['duration']:.1f} s)")


@main.command()
@click.argument("service", required=False)
@click.option("--all", "everything", is_flag=True, help="All services: a freeze.")
@click.option("--reason", default="held by hand", show_default=True, help="Why; every held push repeats it.")
@_plainly
def hold(service: str | None, everything: bool, reason: str) -> None:
    """Roll nothing out to SERVICE, or to any service, until `deployer release`.

    Asks the Swarm manager that DOCKER_HOST names. The hold is kept in the Swarm, outlives restarts and
    `docker stack deploy`, and leaves a roll-out that is under way alone. A rollback by hand goes through.
    """
    from deployer import app, limits

    if everything:
        limits.set_freeze(app.swarm(), reason)
    else:
        limits.set_hold(app.swarm(), app.swarm().service(_one(service)).id, reason)
    click.echo(f"{service or 'all services'}: held, {reason}")


@main.command()
@click.argument("service", required=False)
@click.option("--all", "everything", is_flag=True, help="End the freeze of all services.")
@_plainly
def release(service: str | None, everything: bool) -> None:
    """End a hold, and catch up with the newest push at once."""
    from deployer import app, limits
    from deployer.tasks import update_service

    if everything:
        limits.set_freeze(app.swarm(), None)
        released = [found for found in app.swarm().services() if found.image]
    else:
        released = [app.swarm().service(_one(service))]
        limits.set_hold(app.swarm(), released[0].id, None)
    for found in released:
        if found.hold:
            click.echo(f"{found.name}: still held by its label deployer.hold; take it out of the stack file")
        else:
            update_service.apply_async((found.name,), {"deployment": {"by": "release"}})
            click.echo(f"{found.name}: released")


def _one(service: str | None) -> str:
    if not service:
        raise click.UsageError("name a service, or use --all")
    return service


JSON = click.option("--json", "as_json", is_flag=True, help="For scripts.")


@main.command()
@click.argument("services", nargs=-1)
@click.option("--watch", "live", is_flag=True, help="Keep the table live.")
@click.option(
    "--interval", type=click.FloatRange(min=0.5), default=5.0, show_default=True, help="Of --watch."
)
@click.option("--offline", is_flag=True, help="Do not ask the registries what is newer.")
@JSON
@_plainly
def status(services: tuple[str, ...], live: bool, interval: float, offline: bool, as_json: bool) -> None:
    """Show how all SERVICES stand that are looked after, or the named ones.

    Reads the Swarm manager that DOCKER_HOST names, and the registries. LOGIN is the age of the registry
    credentials that the Swarm keeps with the service; those of ECR live for 12 hours.
    """
    from rich.console import Console

    from deployer import app, screens
    from deployer.errors import NoSuchServiceError
    from deployer.status import survey

    def read() -> Any:
        found = survey(app.deployer(), services, ask=not offline)
        if missing := set(services) - {one.service for one in found}:
            raise NoSuchServiceError(f"no service {sorted(missing)[0]!r} that is looked after in this Swarm")
        return found

    if as_json:
        screens.as_json(read())
    elif live:
        read()
        screens.watch(read, interval)
    else:
        Console().print(screens.status_table(read()))


@main.command()
@click.argument("service", required=False)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="How many.")
@JSON
@_plainly
def history(service: str | None, limit: int, as_json: bool) -> None:
    """List the last deployments of SERVICE, or of all services.

    From the results in Redis, where they are kept for 30 days. Without Redis: what the labels of the service
    and the Swarm's task history know.
    """
    from redis import Redis
    from redis.exceptions import RedisError
    from rich.console import Console

    from deployer import app, screens
    from deployer.history import recorded, remembered
    from deployer.settings import load

    entries, why = [], "DEPLOYER_REDIS_URL is not set"
    if url := load().redis:
        try:
            with Redis.from_url(url, socket_timeout=5, socket_connect_timeout=2) as redis:
                entries, why = recorded(redis, service), "Redis has none of it"
        except (RedisError, OSError, ValueError) as fault:
            why = f"Redis does not answer ({type(fault).__name__})"
    if not entries:
        click.echo(f"{why}; this is what the services themselves know:", err=True)
        names = [_one(service)] if service else [s.name for s in app.swarm().services() if s.state.at]
        entries = [entry for name in names for entry in remembered(app.deployer().look(name))]
    if as_json:
        screens.as_json(entries[:limit])
    else:
        Console().print(screens.history_table(entries[:limit]))


@main.command()
@click.argument("service")
@click.argument("image", required=False)
@click.option(
    "--events", type=click.IntRange(min=0), default=3, show_default=True, help="How many past ones."
)
@JSON
@_plainly
def explain(service: str, image: str | None, events: int, as_json: bool) -> None:
    """Say what a push of IMAGE would do to SERVICE now, rule by rule, and do nothing.

    Without IMAGE: the push of the tag that the service follows. Then how the last events ended for it, if
    Redis knows them.
    """
    from deployer import app, screens
    from deployer.explain import explain as explained
    from deployer.images import Image

    found = explained(app.deployer(), service, Image.parse(image) if image else None)
    past = [] if image else _past(found.service, events)
    if as_json:
        screens.as_json({"now": found, "past": past})
        return
    screens.explanation(found)
    for entry in past:
        click.echo(f"  event {entry.event}: {entry.outcome}, {entry.reason}")


def _past(service: str, count: int) -> list[Any]:
    from redis import Redis
    from redis.exceptions import RedisError

    from deployer.history import recorded
    from deployer.settings import load

    url = load().redis
    try:
        with Redis.from_url(url or "redis://", socket_timeout=5, socket_connect_timeout=2) as redis:
            return [entry for entry in recorded(redis, service) if entry.event][:count] if url else []
    except (RedisError, OSError, ValueError):
        return []


@main.command()
@JSON
@_plainly
def doctor(as_json: bool) -> None:
    """Check all that the deployer needs, and name the fix for what is wrong.

    AWS identity and permissions, both queues, the engine, registries, Redis, workers, clocks, labels. Changes
    nothing and takes no message. Run it where a worker runs, with the worker's settings; the exit code is 1
    if anything fails.
    """
    from rich.console import Console

    from deployer import app, doctor, screens

    console, findings = Console(), []
    for found in app.checks():
        findings.append(found)
        if not as_json:
            screens.finding(console, found)
    if as_json:
        screens.as_json(findings)
    if doctor.worst(findings) == "fail":
        raise SystemExit(1)


@main.command()
@click.option("--dry-run", is_flag=True, help="Only list what would be done.")
@_plainly
def reconcile(dry_run: bool) -> None:
    """Look for services that are behind their registry, and have the workers update them.

    Celery beat does it every DEPLOYER_RECONCILE_INTERVAL seconds, and every worker when it starts.
    """
    from rich.console import Console

    from deployer import app, screens
    from deployer.catchup import survey

    if not dry_run:
        from deployer.tasks import reconcile as task

        click.echo(task.delay().id)
        return
    found = survey(app.deployer())
    Console().print(screens.behind_table(found))
    click.echo(f"{found.services} services, {found.images} images asked; {found.missed} pushes missed")
    for service, fault in found.faults:
        click.echo(f"{service}: {fault}", err=True)


@main.group()
def policy() -> None:
    """Try tag policies (label deployer.policy)."""


@policy.command("test")
@click.argument("policy")
@click.argument("tags", nargs=-1, required=True, metavar="TAG...")
@click.option("--current", help="The tag that runs; the first TAG if not given.")
@click.option("--order", help="Label deployer.order.")
@click.option("--allow-tags", help="Label deployer.allow-tags.")
@click.option("--ignore-tags", help="Label deployer.ignore-tags.")
@click.option("--prerelease", help="Label deployer.prerelease.")
@_plainly
def policy_test(policy: str, tags: tuple[str, ...], current: str | None, **labels: str | None) -> None:
    """Show which of the tags POLICY would follow, and why; they count as pushed in the order given.

    For instance: deployer policy test "semver:^1.2" 1.2.0 1.10.0 2.0.0
    """
    from deployer.policy import Policy, explain

    given = {f"deployer.{name.replace('_', '-')}": value for name, value in labels.items() if value}
    for line in explain(Policy.of({"deployer.policy": policy} | given), current or tags[0], tags):
        click.echo(line)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes this command in SHELL; docs/install.md says where it goes."""
    from click.shell_completion import get_completion_class

    if made := get_completion_class(shell):
        click.echo(made(main, {}, "deployer", "_DEPLOYER_COMPLETE").source())
