"""The `deployer` command. What needs Celery or AWS is imported by the command that needs it, so that
`deployer --help` stays quick."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from deployer import __version__
from deployer.cli import look
from deployer.cli.look import plainly
from deployer.errors import printable

DEFAULT_REASON = "held by hand"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="deployer")
def main() -> None:
    """Roll out what is pushed to AWS ECR on Docker Swarm.

    The worker is started with `celery -A deployer worker`; settings are DEPLOYER_* variables (README).
    """


for _view in (look.status, look.history, look.explain, look.doctor, look.policy):
    main.add_command(_view)


@main.command()
@plainly
def bridge() -> None:
    """Hand ECR events on from the events queue to the workers' task queues.

    Needs DEPLOYER_QUEUE and DEPLOYER_TASK_QUEUE; several task queues, one for each Swarm, are separated by
    commas, and an event is deleted only when all of them have its task. Ends on SIGTERM.
    """
    from kombu import Queue

    from deployer import app
    from deployer.broker.batching import Parcel
    from deployer.observability import logs
    from deployer.settings import load
    from deployer.tasks import image_pushed, task_id
    from deployer.triggers import events
    from deployer.triggers.bridge import Bridge, run

    settings = load()
    logs.configure(settings.log_level, settings.log_format)
    # Celery knows its own queue only; the others are named in full.
    queues = [Queue(name, routing_key=name) for name in app.task_queues()]
    url = app.queue_url(settings.need("queue"))

    def send(pushed: Sequence[events.Deploy]) -> dict[int, Exception]:
        failed: dict[int, Exception] = {}
        for queue in queues:
            parcel = Parcel()
            for key, event in enumerate(pushed):
                try:
                    with parcel.gather(key):
                        image_pushed.apply_async(
                            (event.event,), task_id=task_id(event.id), queue=queue, ignore_result=True
                        )
                except Exception as fault:  # noqa: BLE001 - the others of the batch must not wait for it
                    failed[key] = fault
            failed |= parcel.send()
        return failed

    made = Bridge(app.sqs_client(), url, send, settings.accept_events, app.count_event)
    app.show_bridge(made)
    run(made)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 for any.")
@plainly
def webhook(host: str, port: int) -> None:
    """Take the hooks of other registries, and put their pushes on the events queue.

    Needs DEPLOYER_QUEUE and DEPLOYER_WEBHOOK_SECRETS, and a proxy in front of it that speaks TLS; see
    docs/webhooks.md. Ends on SIGTERM.
    """
    try:
        from deployer.triggers.webhook.server import Receiver, run
    except ModuleNotFoundError as fault:
        raise click.ClickException(f"{fault}; pip install 'swarm-ecr-deployer[webhook]'") from fault
    from deployer import app
    from deployer.observability import logs, metrics
    from deployer.observability.health import Heart
    from deployer.settings import load, pairs
    from deployer.triggers.webhook.queue import Outbox

    settings = load()
    logs.configure(settings.log_level, settings.log_format)
    hosts = {name: found[-1] for name, found in pairs(settings.webhook_hosts).items()}
    outbox = Outbox(app.sqs_client(read_timeout=3.0), app.queue_url(settings.need("queue")))
    receiver = Receiver(outbox, settings.hook_secrets, hosts, settings.webhook_rate)
    if settings.metrics_address:
        metrics.serve(settings.metrics_address)
    if settings.health_file:
        Heart(settings.health_file, "webhook", outbox.ill).start()
    run(receiver.app(__version__), host, port, settings.webhook_proxies)


@main.command()
@plainly
def health() -> None:
    """Say whether the worker or the bridge of this container is well; the exit code is 1 if it is not.

    For HEALTHCHECK: reads DEPLOYER_HEALTH_FILE, which the process writes every few seconds. A bridge that SQS
    does not answer and a worker that is stuck are not well; one that has nothing to do is.
    """
    import time

    from deployer.errors import SettingsError
    from deployer.observability.health import read
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
@plainly
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
@plainly
def rollback(service: str, wait: bool, timeout: float | None) -> None:
    """Bring SERVICE back to the image that it ran before.

    The digest that it leaves is remembered and not rolled out again by itself.
    """
    from deployer.tasks import rollback_service

    _sent(rollback_service.delay(service), wait, timeout)


def _sent(result: Any, wait: bool, timeout: float | None) -> None:
    from redis.exceptions import RedisError

    from deployer.cli import render
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
        if not render.follow(state, timeout):
            click.echo(f"not ended after {timeout:g} s; the roll-out goes on", err=True)
            raise SystemExit(2)
        report = result.get()
    except RedisError as fault:
        name = type(fault).__name__  # its text may hold the URL with the password
        raise click.ClickException(f"Redis does not answer (DEPLOYER_REDIS_URL): {name}") from fault
    ended = f"{report['service']}: {report['outcome']}, {report['reason']} ({report['duration']:.1f} s)"
    click.echo(printable(ended))


@main.command()
@click.argument("service", required=False)
@click.option("--all", "everything", is_flag=True, help="All services: a freeze.")
@click.option("--reason", default=DEFAULT_REASON, show_default=True, help="Why; every held push repeats it.")
@plainly
def hold(service: str | None, everything: bool, reason: str) -> None:
    """Roll nothing out to SERVICE, or to any service, until `deployer release`.

    Asks the Swarm manager that DOCKER_HOST names. The hold is kept in the Swarm, outlives restarts and
    `docker stack deploy`, and leaves a roll-out that is under way alone. A rollback by hand goes through.
    """
    from deployer import app
    from deployer.rollouts import ledger

    name, reason = _one(service, everything), reason.strip() or DEFAULT_REASON
    if name is None:
        ledger.set_freeze(app.swarm(), reason)
    else:
        ledger.set_hold(app.swarm(), app.swarm().service(name).id, reason)
    click.echo(f"{service or 'all services'}: held, {reason}")


@main.command()
@click.argument("service", required=False)
@click.option("--all", "everything", is_flag=True, help="End the freeze of all services.")
@plainly
def release(service: str | None, everything: bool) -> None:
    """End a hold, and catch up with the newest push at once."""
    from deployer import app
    from deployer.rollouts import ledger
    from deployer.tasks import update_service

    name = _one(service, everything)
    if name is None:
        ledger.set_freeze(app.swarm(), None)
        released = [found for found in app.swarm().services() if found.image]
    else:
        released = [app.swarm().service(name)]
        ledger.set_hold(app.swarm(), released[0].id, None)
    read = app.swarm().ledger()
    for found in released:
        if reason := read.hold(found.id):
            other = found.name if name is None else "--all"
            click.echo(f"{found.name}: still held: {reason} (end it with `deployer release {other}`)")
        elif found.hold:
            click.echo(f"{found.name}: still held by its label deployer.hold; take it out of the stack file")
        else:
            update_service.apply_async((found.name,), {"deployment": {"by": "release"}})
            click.echo(f"{found.name}: released")


def _one(service: str | None, everything: bool) -> str | None:
    """The service that is named, None for all of them."""
    if bool(service) == everything:
        raise click.UsageError("name a service, or use --all for all of them")
    return service


@main.command()
@click.option("--dry-run", is_flag=True, help="Only list what would be done.")
@plainly
def reconcile(dry_run: bool) -> None:
    """Look for services that are behind their registry, and have the workers update them.

    Celery beat does it every DEPLOYER_RECONCILE_INTERVAL seconds, and every worker when it starts.
    """
    from rich.console import Console

    from deployer import app
    from deployer.cli import render
    from deployer.rollouts.survey import survey

    if not dry_run:
        from deployer.tasks import reconcile as task

        click.echo(task.delay().id)
        return
    found = survey(app.deployer())
    Console().print(render.behind_table(found))
    click.echo(f"{found.services} services, {found.images} images asked; {found.missed} pushes missed")
    for service, fault in found.faults:
        click.echo(printable(f"{service}: {fault}"), err=True)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes this command in SHELL; docs/install.md says where it goes."""
    from click.shell_completion import get_completion_class

    if made := get_completion_class(shell):
        click.echo(made(main, {}, "deployer", "_DEPLOYER_COMPLETE").source())
