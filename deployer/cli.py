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

    from deployer import app, events
    from deployer.bridge import Bridge, run
    from deployer.settings import load
    from deployer.tasks import image_pushed, task_id

    settings = load()
    app.configure_logging(settings.log_level)
    # Celery knows its own queue only; the others are named in full.
    queues = [Queue(name, routing_key=name) for name in app.task_queues()]
    url = app.queue_url(settings.need("queue"))

    def send(event: events.Deploy) -> None:
        for queue in queues:
            image_pushed.apply_async(
                (event.event,), task_id=task_id(event.id), queue=queue, ignore_result=True
            )

    run(Bridge(app.sqs_client(), url, send, settings.accept_events))


@main.command()
@click.argument("service")
@click.option("--image", metavar="IMAGE", help="Another tag or digest of the service's repository.")
@click.option(
    "--force",
    is_flag=True,
    help="Restart also on the same digest; try a digest that failed before.",
)
@_plainly
def update(service: str, image: str | None, force: bool) -> None:
    """Bring SERVICE to what its tag means at the registry now.

    The update is a task for the workers; the id that is printed is the deployment's everywhere: in logs, in
    Flower, in the service's labels.
    """
    from deployer.tasks import update_service

    click.echo(update_service.delay(service, image=image, force=force).id)


@main.command()
@click.argument("service")
@_plainly
def rollback(service: str) -> None:
    """Bring SERVICE back to the image that it ran before.

    The digest that it leaves is remembered and not rolled out again by itself.
    """
    from deployer.tasks import rollback_service

    click.echo(rollback_service.delay(service).id)
