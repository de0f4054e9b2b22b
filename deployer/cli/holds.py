"""The commands hold and release."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from deployer.cli import follow, options
from deployer.cli.faults import plainly
from deployer.errors import printable

DEFAULT_REASON = "held by hand"


@click.command()
@options.service_argument(required=False)
@click.option("--all", "everything", is_flag=True, help="All services: a freeze.")
@click.option("--reason", default=DEFAULT_REASON, show_default=True, help="Why; every held push repeats it.")
@options.json_option
@plainly
def hold(service: str | None, everything: bool, reason: str, as_json: bool) -> None:
    """Deploy nothing to SERVICE, or to any service, until `deployer release`.

    Asks the Swarm manager that DOCKER_HOST names. The hold is kept in the Swarm, outlives restarts and
    `docker stack deploy`, and leaves a roll-out that is under way alone. A rollback by hand goes through.
    """
    from deployer import app
    from deployer.cli import output
    from deployer.cli.names import find_service
    from deployer.rollouts import ledger

    name, reason = _one(service, everything), reason.strip() or DEFAULT_REASON
    labels = app.swarm().ledger().labels
    if name is None:
        before = labels.get(ledger.FREEZE)
        ledger.set_freeze(app.swarm(), reason)
    else:
        found = find_service(name)
        before = labels.get(ledger.HOLD + found.id)
        ledger.set_hold(app.swarm(), found.name, reason, also=found.id)
    if as_json:
        output.as_json({"service": name, "reason": reason, "replaced": before})
        return
    if before and before != reason:
        click.echo(printable(f"this replaces the hold {before!r}"), err=True)
    click.echo(printable(f"{name or 'all services'}: held, {reason}"))


@click.command()
@options.service_argument(required=False)
@click.option("--all", "everything", is_flag=True, help="End the freeze of all services.")
@options.waiting
@plainly
def release(service: str | None, everything: bool, wait: bool, timeout: float | None, as_json: bool) -> None:
    """End a hold, and catch up with the newest push at once."""
    from deployer import app
    from deployer.cli.names import find_service
    from deployer.rollouts import ledger

    name = _one(service, everything)
    seconds = options.patience(wait, timeout)
    if wait and name is None:
        raise click.UsageError("--wait follows one service, not all of them")
    if seconds is not None:
        follow.require_redis()
    labels = app.swarm().ledger().labels
    if name is None:
        was_held = ledger.FREEZE in labels
        ledger.set_freeze(app.swarm(), None)
        released = [found for found in app.swarm().services() if found.image]
    else:
        released = [find_service(name)]
        was_held = any(ledger.HOLD + key in labels for key in (released[0].name, released[0].id))
        ledger.set_hold(app.swarm(), released[0].name, None, also=released[0].id)
    read = app.swarm().ledger()
    now = datetime.now(UTC)
    held = {found.id: read.hold(found.name, found.id, now) for found in released}
    told = [_release(found, _text(held[found.id]), was_held, name is None) for found in released]
    _say(told, seconds, as_json, "nothing was frozen" if name is None and not was_held else None)


def _text(hold: object) -> str | None:
    return str(hold) if hold else None


def _release(found: Any, held: str | None, was_held: bool, everything: bool) -> dict[str, Any]:
    """Catch up with a service that nothing holds any more, and return what to say of it."""
    said: dict[str, Any] = {"service": found.name, "released": False, "held": None, "task": None}
    if held:
        other = found.name if everything else "--all"
        return said | {"held": held, "note": f"still held: {held} (end it with `deployer release {other}`)"}
    from deployer.policies.labels import ServiceLabels

    if label := ServiceLabels.parse(found.labels).hold:
        note = "still held by its label deployer.hold; take it out of the stack file"
        return said | {"held": label, "note": note}
    if not was_held:
        return said | {"note": "was not held"}
    from deployer.tasks import update_service

    sent = update_service.apply_async((found.name,), {"deployment": {"by": "release"}})
    return said | {"released": True, "task": getattr(sent, "id", None), "note": "released", "sent": sent}


def _say(told: list[dict[str, Any]], seconds: float | None, as_json: bool, nothing: str | None) -> None:
    sent = [one.pop("sent") for one in told if "sent" in one]
    if seconds is not None and sent:
        follow.finish(sent[0], told[0]["service"], seconds, as_json)
    elif as_json:
        from deployer.cli import output

        output.as_json(told)
    elif nothing and not any(one["held"] for one in told):
        click.echo(nothing)
    else:
        for one in told:
            click.echo(printable(f"{one['service']}: {one['note']}"))


def _one(service: str | None, everything: bool) -> str | None:
    """Return the service that is named, None for all of them."""
    if bool(service) == everything:
        raise click.UsageError("name a service, or use --all for all of them")
    return service
