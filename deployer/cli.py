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


WAIT = click.option(
    "--wait", is_flag=True, help="Wait for the end of the roll-out (needs DEPLOYER_REDIS_URL)."
)


@main.command()
@click.argument("service")
@click.option("--image", metavar="IMAGE", help="Another tag or digest of the service's repository.")
@click.option(
    "--force", is_flag=True, help="Restart also on the same digest; try a digest that failed before."
)
@WAIT
@_plainly
def update(service: str, image: str | None, force: bool, wait: bool) -> None:
    """Bring SERVICE to what its tag means at the registry now.

    The update is a task for the workers; the id that is printed is the deployment's everywhere: in logs and
    in the service's labels. With --wait the exit code is 1 if the roll-out failed or was rolled back.
    """
    from deployer.tasks import update_service

    _sent(update_service.delay(service, image=image, force=force), wait)


@main.command()
@click.argument("service")
@WAIT
@_plainly
def rollback(service: str, wait: bool) -> None:
    """Bring SERVICE back to the image that it ran before.

    The digest that it leaves is remembered and not rolled out again by itself.
    """
    from deployer.tasks import rollback_service

    _sent(rollback_service.delay(service), wait)


def _sent(result: Any, wait: bool) -> None:
    from redis.exceptions import RedisError

    from deployer.settings import load

    click.echo(result.id)
    if not wait:
        return
    if load().redis is None:
        raise click.ClickException("--wait asks Redis how the deployment ended: set DEPLOYER_REDIS_URL")
    try:
        report = result.get()
    except RedisError as fault:
        raise click.ClickException(f"Redis does not answer (DEPLOYER_REDIS_URL): {fault}") from fault
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
