"""Watches every write and every end, and knows what must never happen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from deployer.model.deployment import Outcome, Report, Request
from deployer.model.image import Image
from deployer.model.service import Service
from deployer.rollouts.ports import Change

if TYPE_CHECKING:
    from lab.simulate.world import World

AUTOMATIC = {"event", "reconcile", "release"}


class BrokenError(AssertionError):
    """An invariant does not hold; `log` is the story so far."""

    log: Sequence[str] = ()


class Oracle:
    """What is known from the outside: whose word was last, what failed, what was asked for."""

    def __init__(self) -> None:
        self.gone_from: dict[str, set[str]] = defaultdict(
            set
        )  # by service: digests nobody may try by himself
        # Left by hand since the last look: a stack deploy before it takes all traces off.
        self.unseen: dict[str, set[str]] = defaultdict(set)
        self.operators: dict[str, bool] = {}  # by service: whether an operator wrote its template last
        self.newest: dict[str, str] = {}  # by tag
        self.written: dict[str, str] = {}  # by service: the digest of the last write of any template, if ours
        self.open: set[str] = set()
        self.gated: set[str] = set()  # services whose digests people have to approve
        self.approved: set[str] = set()
        self.proved: set[str] = set()  # services whose images have to be signed

    # -- what operators do

    def operator_wrote(self, service: str, left: str | None = None) -> None:
        """Note an operator's change of what the tasks run, and the digest that it leaves."""
        self.operators[service] = True
        self.written.pop(service, None)
        if left:
            self.gone_from[service].add(left)
            self.unseen[service].add(left)

    def overrides(self, service: str, digest: str | None) -> None:
        """Note that a person wants a digest all the same."""
        if digest:
            self.gone_from[service].discard(digest)

    def looked(self, world: World) -> None:
        """Note a look at all services; after several writes by hand only tasks tell what was left."""
        for name, left in self.unseen.items():
            self.gone_from[name] -= left - world.known(name)
        self.unseen.clear()

    def stack_deployed(self, service: str) -> None:
        """Note a `docker stack deploy`, which resets the labels."""
        self.gone_from[service] -= self.unseen[service]
        self.operator_wrote(service)

    def pushed(self, tag: str, digest: str) -> None:
        """Note a push."""
        self.newest[tag] = digest

    # -- what the engine does

    def engine_says(self, service: str, status: Mapping[str, str]) -> None:
        """Note that the engine has taken back by itself what the deployer wrote."""
        by_itself = "manually" not in status.get("Message", "")
        if status.get("State") == "rollback_completed" and by_itself and self.written.get(service):
            self.gone_from[service].add(self.written.pop(service))

    # -- what the deployer does

    def before_write(self, world: World, service: Service, change: Change, request: Request | None) -> None:
        """See that a write may be made."""
        if change.image is None:
            return
        digest, name = change.image.digest or "", service.name
        by = request.trigger if request else "?"
        held = world.held(name)
        if held and not (request and request.rollback):
            raise BrokenError(f"{name} is {held}, and is written to: {change.image} ({by})")
        goes_back = change.state.by == "rollback"
        status = (service.native.get("UpdateStatus") or {}).get("State") or ""
        # Where the engine has taken the operator's change back, what runs is the deployer's own again.
        operators = self.operators.get(name) and not status.startswith("rollback")
        if goes_back and not (request and request.rollback) and operators:
            raise BrokenError(f"{name}: an operator wrote last, and is taken back to {change.image}")
        unknowable = self.unseen[name] - world.known(name)
        if not goes_back and by in AUTOMATIC and digest in self.gone_from[name] - unknowable:
            raise BrokenError(f"{name}: {digest[-4:]} failed or was left before, and is tried again ({by})")
        runs = service.image.digest if service.image else None
        if not goes_back and name in self.gated and digest not in self.approved | {runs}:
            raise BrokenError(f"{name}: {digest[-4:]} is written, and nobody has approved it ({by})")
        if not goes_back and name in self.proved and digest not in world.signed | {runs}:
            raise BrokenError(f"{name}: {digest[-4:]} is written, and nobody has signed it ({by})")
        if not change.force and service.image_text == str(change.image):
            raise BrokenError(f"{name} is written to without need: {change.image}")

    def wrote(self, service: Service, change: Change, request: Request | None) -> None:
        """Note a write."""
        self.operators[service.name] = False
        if change.image is None or request is None:
            return
        if change.state.by != "rollback" and change.image.digest:
            self.written[service.name] = change.image.digest
        if change.state.by == "rollback" and request.rollback and service.image and service.image.digest:
            self.gone_from[service.name].add(service.image.digest)
        if request.force or request.image or request.rollback:
            self.overrides(service.name, change.image.digest)

    def goes_on(self, task: str) -> None:
        """Note a deployment that has not ended."""
        self.open.add(task)

    def ended(self, service: str, task: str, report: Report) -> None:
        """Note an end, and see that it is true."""
        self.open.discard(task)
        image = Image.find(report.image)
        failed = report.outcome is Outcome.ROLLED_BACK and report.by != "rollback"
        if failed and image and image.digest:
            self.gone_from[service].add(image.digest)
        runs = Image.find(report.runs)
        if report.outcome is Outcome.UPDATED and image and runs and image.digest != runs.digest:
            raise BrokenError(f"{service}: {task} ended as updated to {image}, and {runs} runs")
