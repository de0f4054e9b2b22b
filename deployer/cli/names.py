"""Services and images as people name them: with suggestions, completed, and without the registry's host."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deployer.errors import DeployerError, InvalidReferenceError, NoSuchServiceError
from deployer.model.image import Image, is_digest, is_tag
from deployer.model.service import Service
from deployer.model.suggest import did_you_mean

if TYPE_CHECKING:
    from deployer.rollouts.core import Core


def find_service(name: str, core: Core | None = None) -> Service:
    """Read a service of the target.

    Args:
        name: the service's name or id.
        core: over the target; None for that of the settings.

    Raises:
        NoSuchServiceError: there is none of this name; the message suggests another.
        TemporaryError, PermanentError: the engine does not answer, or is no manager.
    """
    if core is None:
        from deployer import app

        core = app.deployer()
    try:
        return core.read(name).service
    except NoSuchServiceError as fault:
        known = [service.name for service in core.target.services()]
        raise NoSuchServiceError(f"{fault}{did_you_mean(name, known)}") from fault


def who() -> str:
    """Return the person at this command line as the system knows them: `alice@bastion`."""
    import getpass
    import os
    import socket

    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def complete(incomplete: str) -> list[str]:
    """Return the names of services that begin with a text; none if the target does not answer."""
    from deployer import app

    try:
        found = app.deployer().target.services(keep=lambda service: service.name.startswith(incomplete))
    except DeployerError:
        return []
    return sorted(service.name for service in found)


def image_of(text: str, current: Image | None) -> Image:
    """Return the image that a person means by a text, for a service that runs `current`.

    `v7`, `:v7`, `sha256:…`, `web:v7` and `team/web:v7` mean the service's own repository; a text with a host
    means what it says.

    Args:
        text: as it was typed.
        current: the image of the service; None if nobody knows it.

    Raises:
        InvalidReferenceError: it is no image, or needs the service's repository and nobody knows that.
    """
    if current is None:
        if _is_short(text):
            raise InvalidReferenceError(
                f"{text!r} is short for the service's own repository, which is not known here; "
                "give the whole reference: HOST/REPOSITORY:TAG"
            )
        return Image.parse(text)
    own = current.without_digest()
    bare = text.removeprefix("@").removeprefix(":")
    if is_digest(bare):
        return own.with_digest(bare)
    if is_tag(bare) and bare != own.repository.rpartition("/")[2]:
        return own.with_tag(bare)
    named = Image.parse(text)
    written = text.partition("@")[0]
    hosted = written.startswith(f"{named.host}/")
    if not hosted and f"/{own.repository}".endswith(f"/{named.repository.removeprefix('library/')}"):
        short = Image(own.host, own.repository, named.tag, named.digest)
        return short if short.digest else short.with_tag(named.followed_tag or "latest")
    return named


def _is_short(text: str) -> bool:
    return is_tag(text.removeprefix(":")) or is_digest(text.removeprefix("@"))
