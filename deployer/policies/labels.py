"""Which pushes concern a service by its labels, and whether its labels can be understood. Pure."""

from __future__ import annotations

from deployer.model.image import Image
from deployer.model.service import LabelError, Service
from deployer.policies.tag_policy import Policy
from deployer.policies.window import Window


def concerns(service: Service, pushed: Image) -> bool:
    """Whether a push could matter to a service: it follows this tag, or its policy might want to.

    Args:
        service: any service.
        pushed: the pushed image, with a tag.
    """
    current = service.image
    if current is None or pushed.tag is None or not current.same_repository(pushed):
        return False
    if current.same_tag(pushed):
        return True
    try:
        policy = Policy.of(service.labels)
    except LabelError:
        return True  # its deployment says so
    return current.tag is not None and policy.may_follow(current.tag, pushed.tag)


def check(service: Service) -> None:
    """See that the labels of a service can be understood.

    Raises:
        LabelError: one cannot.
    """
    for flag in ("deployer.enable", "deployer.rollback", "deployer.replace", "deployer.run-job"):
        service.flag(flag, default=True)
    for seconds in ("deployer.timeout", "deployer.settle"):
        service.seconds(seconds, 1)
    Policy.of(service.labels)
    if text := service.labels.get("deployer.window", "").strip():
        Window.parse(text)


def complaint(service: Service) -> str | None:
    """What is wrong with a service's labels; None if all of them can be understood."""
    try:
        check(service)
    except LabelError as fault:
        return str(fault)
    return None


def misplaced(service: Service) -> str | None:
    """What is said of labels that are the container's, where nobody reads them; None if there is none."""
    found = [name for name in service.container_labels if name.startswith("deployer.")]
    return f"{min(found)} is a label of the container; it belongs under deploy.labels" if found else None
