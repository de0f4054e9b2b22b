"""The commands that stay: bridge and webhook, and health, which asks how they are."""

from __future__ import annotations

from collections.abc import Sequence

import click

from deployer import __version__
from deployer.cli import options
from deployer.cli.faults import plainly
from deployer.cli.views import output


@click.command(short_help="Hand ECR events on to the workers.")
@plainly
def bridge() -> None:
    """Hand ECR events on from the events queue to the workers' task queues.

    Needs DEPLOYER_QUEUE and DEPLOYER_TASK_QUEUE; several task queues, one for each Swarm, are separated by
    commas, and an event is deleted only when all of them have its task. Ends on SIGTERM, after its last
    poll (DEPLOYER_POLL_WAIT).
    """
    from kombu import Queue

    from deployer import app
    from deployer.aws import sqs
    from deployer.broker.batching import SendBatch
    from deployer.observability import logs
    from deployer.settings import load
    from deployer.tasks import image_pushed
    from deployer.tasks.message import task_id
    from deployer.triggers.bridge import Bridge, run
    from deployer.triggers.verdict import Deploy

    settings = load()
    logs.configure(settings.log_level, settings.log_format)
    # Celery knows its own queue only; the others are named in full.
    queues = [Queue(name, routing_key=name) for name in app.task_queues()]
    url = sqs.queue_url(settings.need("queue"))

    def send(pushed: Sequence[Deploy]) -> dict[int, Exception]:
        failed: dict[int, Exception] = {}
        for queue in queues:
            batch = SendBatch()
            for key, event in enumerate(pushed):
                try:
                    with batch.gather(key):
                        image_pushed.apply_async(
                            (event.event,), task_id=task_id(event.id), queue=queue, ignore_result=True
                        )
                except Exception as fault:  # noqa: BLE001 - the others of the batch must not wait for it
                    failed[key] = fault
            failed |= batch.send()
        return failed

    made = Bridge(sqs.client(), url, send, settings.accept_events, app.count_event, settings.poll_wait)
    app.show_bridge(made)
    run(made)


@click.command(short_help="Take the hooks of other registries.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 for any.")
@plainly
def webhook(host: str, port: int) -> None:
    """Take the hooks of other registries, and put their pushes on the events queue.

    Needs DEPLOYER_QUEUE and DEPLOYER_WEBHOOK_SECRETS, and a proxy in front of it that speaks TLS; see
    docs/webhooks.md. Ends on SIGTERM.
    """
    try:
        from deployer.triggers.webhook.serve import run
        from deployer.triggers.webhook.server import Receiver
    except ModuleNotFoundError as fault:
        raise click.ClickException(f"{fault}; pip install 'swarm-ecr-deployer[webhook]'") from fault
    from deployer.aws import sqs
    from deployer.observability import logs, metrics
    from deployer.observability.health import HealthWriter
    from deployer.settings import load
    from deployer.settings.values import pairs
    from deployer.triggers.webhook.queue import Outbox

    settings = load()
    logs.configure(settings.log_level, settings.log_format)
    hosts = {name: found[-1] for name, found in pairs(settings.webhook_hosts).items()}
    outbox = Outbox(sqs.client(read_timeout=3.0), sqs.queue_url(settings.need("queue")))
    receiver = Receiver(outbox, settings.hook_secrets, hosts, settings.webhook_rate)
    if settings.metrics_address:
        metrics.serve(settings.metrics_address)
    if settings.health_file:
        HealthWriter(settings.health_file, "webhook", outbox.ill).start()
    run(receiver.app(__version__), host, port, settings.webhook_proxies)


@click.command(short_help="Say if this container's worker or bridge is well.")
@options.json_option
@plainly
def health(as_json: bool) -> None:
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
    said = read(path, time.time())
    output.as_json({"well": True, "said": said}) if as_json else click.echo(said)
