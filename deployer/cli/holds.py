"""The commands hold and release."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from deployer.cli import follow, options
from deployer.cli.faults import plainly
from deployer.cli.names import who
from deployer.errors import printable

if TYPE_CHECKING:
    from rich.text import Text

    from deployer.model.service import Service
    from deployer.rollouts.ledger import Hold, Ledger

DEFAULT_REASON = "no reason given"


@click.command(short_help="Deploy nothing to SERVICE until it is released.")
@options.service_argument(required=False)
@click.option("--all", "everything", is_flag=True, help="All services: a freeze.")
@click.option("--reason", default=DEFAULT_REASON, show_default=True, help="Why; every held push repeats it.")
@click.option("--for", "seconds", type=options.duration, metavar="DURATION", help="Until then: 90s, 15m, 2h.")
@options.json_option
@plainly
def hold(service: str | None, everything: bool, reason: str, seconds: float | None, as_json: bool) -> None:
    """Deploy nothing to SERVICE, or to any service, until `deployer release`.

    Without SERVICE and --all: list who holds what, why, and since when. The hold is kept in the Swarm that
    DOCKER_HOST names, or for DEPLOYER_ECS_CLUSTERS in the table of DEPLOYER_ECS_LEDGER. It outlives restarts
    and `docker stack deploy`, and leaves a roll-out that is under way alone. A rollback by hand goes through.
    """
    from deployer import app
    from deployer.cli.names import find_service
    from deployer.cli.views import output
    from deployer.rollouts.ledger import set_freeze, set_hold

    now = datetime.now(UTC)
    if not service and not everything:
        _list(app.deployer().target.ledger(), now, as_json)
        return
    name = _one(service, everything)
    new = _hold(reason.strip() or DEFAULT_REASON, now, seconds)
    ledger = app.deployer().target.ledger()
    if name is None:
        before = ledger.freeze(now)
        set_freeze(app.deployer().target, new)
    else:
        found = find_service(name)
        before = ledger.own_hold(found.name, found.id, now)
        set_hold(app.deployer().target, found.name, new, also=found.id)
    if as_json:
        output.as_json({"service": name, "hold": new, "replaced": before})
        return
    if before:
        click.echo(printable(f"this replaces a hold: {_told(before)}"), err=True)
    until = f" until {_time(new.until)}" if new.until else ""
    click.echo(printable(f"{name or 'all services'}: held{until}, {new.reason}"))


def _hold(reason: str, now: datetime, seconds: float | None) -> Hold:
    from deployer.rollouts.ledger import Hold

    until = None if seconds is None else (now + timedelta(seconds=seconds)).isoformat(timespec="seconds")
    return Hold(reason, who(), now.isoformat(timespec="seconds"), until)


def _told(hold: Hold) -> str:
    return f"{hold}, since {_time(hold.at)}" if hold.at else str(hold)


def _time(text: str | None) -> str:
    """Return a time as all commands print it; a label that a person wrote may hold anything."""
    from deployer.cli.views.words import when

    try:
        return when(datetime.fromisoformat(text)) if text else "-"
    except ValueError:
        return str(text)


def _list(ledger: Ledger, now: datetime, as_json: bool) -> None:
    """Print every hold by command."""
    from deployer.cli.views import output
    from deployer.rollouts.ledger import FREEZE, HOLD
    from deployer.rollouts.ledger.holds import decode

    found = [
        (None if key == FREEZE else key.removeprefix(HOLD), hold)
        for key in sorted(ledger.labels)
        if (key == FREEZE or key.startswith(HOLD))
        and (hold := decode(ledger.labels[key]))
        and hold.lasts(now)
    ]
    if as_json:
        output.as_json([{"service": name, "hold": hold, "replaced": None} for name, hold in found])
    elif found:
        output.show(*hold_lines(found, output.width()))
    else:
        click.echo("nothing is held by command")


def hold_lines(found: Sequence[tuple[str | None, Hold]], width: int) -> tuple[Text, ...]:
    """Return a table of holds.

    Args:
        found: services (None for all) with their holds.
        width: of the terminal, in characters.
    """
    from deployer.cli.views.table import Column, fit

    return fit(
        [
            Column("SERVICE", [name or "all services" for name, _ in found]),
            Column("BY", [hold.by or "-" for _, hold in found], cut=True),
            Column("SINCE", [_time(hold.at) for _, hold in found], drop=1),
            Column("UNTIL", [_time(hold.until) for _, hold in found]),
            Column("REASON", [hold.reason for _, hold in found], cut=True),
        ],
        width,
    ).lines


@click.command()
@options.service_argument(required=False)
@click.option("--all", "everything", is_flag=True, help="End the freeze of all services.")
@options.reason
@options.waiting
@plainly
def release(
    service: str | None,
    everything: bool,
    reason: str | None,
    wait: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """End a hold, and catch up with the newest push at once."""
    name = _one(service, everything)
    seconds = options.patience(wait, timeout)
    if wait and name is None:
        raise click.UsageError("--wait follows one service, not all of them")
    if seconds is not None:
        follow.require_redis()
    released, was_held = _end(name)
    told = [_release(found, held, was_held, name is None, reason) for found, held in released]
    _say(told, seconds, as_json, "nothing was frozen" if name is None and not was_held else None)


def _end(name: str | None) -> tuple[list[tuple[Service, str | None]], bool]:
    """End a hold; return the services that it held with what holds them still, and whether it was one."""
    from deployer import app
    from deployer.cli.names import find_service
    from deployer.rollouts.ledger import set_freeze, set_hold

    now, ledger = datetime.now(UTC), app.deployer().target.ledger()
    if name is None:
        was_held = ledger.freeze(now) is not None
        set_freeze(app.deployer().target, None)
        released = [found for found in app.deployer().target.services() if found.image]
    else:
        released = [find_service(name)]
        was_held = ledger.own_hold(released[0].name, released[0].id, now) is not None
        set_hold(app.deployer().target, released[0].name, None, also=released[0].id)
    left = app.deployer().target.ledger()
    holds = [left.hold(found.name, found.id, now) for found in released]
    return [(one, str(held) if held else None) for one, held in zip(released, holds, strict=True)], was_held


def _release(
    found: Any, held: str | None, was_held: bool, everything: bool, reason: str | None
) -> dict[str, Any]:
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

    told = {"by": "release", "who": who(), **({"why": reason} if reason else {})}
    sent = update_service.apply_async((found.name,), {"deployment": told})
    return said | {"released": True, "task": getattr(sent, "id", None), "note": "released", "sent": sent}


def _say(told: list[dict[str, Any]], seconds: float | None, as_json: bool, nothing: str | None) -> None:
    sent = [one.pop("sent") for one in told if "sent" in one]
    if seconds is not None and sent:
        follow.finish(sent[0], told[0]["service"], seconds, as_json)
    elif as_json:
        from deployer.cli.views import output

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
