"""The command approve."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from deployer.cli import options
from deployer.cli.faults import plainly
from deployer.cli.names import who
from deployer.errors import PermanentError, printable

if TYPE_CHECKING:
    from deployer.model.image import Image
    from deployer.rollouts.core import Core
    from deployer.rollouts.ledger.approvals import Approval


@click.command(short_help="Let the newest digest go out to SERVICE.")
@options.service_argument()
@click.option("--digest", metavar="DIGEST", help="Approve only if it is this one that waits.")
@click.option("--reason", default="", metavar="TEXT", help="Why; it is kept with the approval.")
@options.json_option
@plainly
def approve(service: str, digest: str | None, reason: str, as_json: bool) -> None:
    """Approve the digest that SERVICE waits with (label deployer.approve), and let it go out.

    It counts for that digest alone, and once for each person; a newer push voids it. It is kept where holds
    are. The roll-out still waits for windows, order and holds.
    """
    from deployer import app
    from deployer.cli.names import find_service
    from deployer.cli.views import output
    from deployer.policies.labels import ServiceLabels
    from deployer.rollouts.ledger import approvals

    core = app.deployer()
    found = find_service(service)
    labels = ServiceLabels.parse(found.labels)
    if not labels.approve:
        raise PermanentError(f"{found.name} needs no approval: it has no label deployer.approve")
    image = _wanted(core, found.id, digest)
    wanted = str(image.digest)
    now = datetime.now(UTC)
    word = approvals.Approval(who(), now.isoformat(timespec="seconds"), reason.strip())
    approvals.approve(core.target, found.name, wanted, word)
    given = approvals.of(core.target.ledger(), found.name).valid(wanted, now, labels.approve_within)
    missing = max(0, labels.approve - len(given))
    task = _send(found.name, image, word)
    told = {"service": found.name, "digest": wanted, "approved_by": given, "missing": missing, "task": task}
    if as_json:
        output.as_json(told)
        return
    more = (
        f"{len(given)} of {labels.approve} have approved it, {missing} more needed"
        if missing
        else "it goes out"
    )
    click.echo(printable(f"{found.name}: {wanted} approved by {word.by}; {more}"))


def _wanted(core: Core, service: str, digest: str | None) -> Image:
    """Return the image that waits for approval, with its digest.

    Raises:
        PermanentError: nothing does, or it is another one than the person means.
        TemporaryError: the registry cannot answer now.
    """
    from deployer.rollouts.fleet.survey import newest

    look = core.read(service)
    runs = look.service.image
    if runs is None:
        raise PermanentError(f"{look.service.name} runs no image")
    image, manifest = newest(core, look, core.target.ledger())
    wanted = manifest.digest
    if digest and digest.removeprefix("@") != wanted:
        raise PermanentError(
            f"{look.service.name} waits with {wanted}, and not with {digest}: look at it first"
        )
    if wanted == runs.digest:
        raise PermanentError(f"{look.service.name} runs {wanted} already, the newest that it follows")
    return image.with_digest(wanted)


def _send(service: str, image: Image, word: Approval) -> str | None:
    """Have a worker note the act, and begin where nobody's word is missing any more."""
    from deployer.tasks import update_service

    told = {"by": "release", "act": "approve", "image": str(image), "who": word.by, "why": word.reason}
    told = {name: text for name, text in told.items() if text}
    sent = update_service.apply_async((service,), {"deployment": told})
    return getattr(sent, "id", None)
