"""What every part of an ECS in memory shares: one account and region, its clock, its clusters, its ids."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from deployer.targets.swarm.memory.timeline import Timeline
from lab.ecs.memory import show
from lab.ecs.memory.images import Images
from lab.ecs.names import Place
from lab.ecs.records import Cluster, Json, Service, Tags
from lab.ecs.refusal import Refusal, client

MAX_EVENTS = 100


class World:
    """One account and region."""

    def __init__(self, place: Place, timeline: Timeline, images: Images) -> None:
        self.place = place
        self.timeline = timeline
        self.images = images
        self.clusters: dict[str, Cluster] = {}
        self.hooks: dict[str, str] = {}  # what a function answers, by its ARN: SUCCEEDED, FAILED, IN_PROGRESS
        self.keep_history = False
        self.failed_stays = 30.0  # seconds for which a failed deployment stays listed after the way back
        self._numbers = itertools.count(1)

    def now(self) -> float:
        """Return the time in seconds since 1970, as ECS's answers have it."""
        return self.timeline.now.timestamp()

    def number(self) -> int:
        """Return a number that nothing has had yet."""
        return next(self._numbers)

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        """Have something happen later."""
        self.timeline.after(seconds, act)

    def cluster(self, given: str | None) -> Cluster:
        """Return a cluster by its name or ARN.

        Raises:
            Refusal: there is none.
        """
        found = self.clusters.get(self.place.cluster(given))
        if found is None:
            raise Refusal("ClusterNotFoundException", "Cluster not found.")
        return found

    def find(self, members: Mapping[str, Any]) -> Service | None:
        """Return the service that a request names, or None."""
        return self.cluster(members.get("cluster")).services.get(self.place.service(members.get("service")))

    def service(self, members: Mapping[str, Any]) -> Service:
        """Return the service that a request names.

        Raises:
            Refusal: there is none, or it is being deleted.
        """
        found = self.find(members)
        if found is None:
            raise Refusal("ServiceNotFoundException", "Service not found.")
        if found.status != "ACTIVE":
            raise Refusal("ServiceNotActiveException", "Service was not ACTIVE.")
        return found

    def touch(self, service: Service) -> None:
        """Note that a service may look different now."""
        if self.keep_history:
            service.history.append((self.timeline.seconds, show.service(service)))

    def tell(self, service: Service, text: str) -> None:
        """Add to a service's events."""
        message = f"(service {service.name}) {text}"
        told: Json = {"id": f"event-{self.number()}", "createdAt": self.now(), "message": message}
        service.events.insert(0, told)
        del service.events[MAX_EVENTS:]


def tags_of(members: Mapping[str, Any]) -> Tags:
    """Return a request's tags."""
    return {tag["key"]: tag.get("value", "") for tag in members.get("tags") or []}


def required(members: Mapping[str, Any], name: str) -> Any:
    """Return a member that a request must have.

    Raises:
        Refusal: it has none.
    """
    if not members.get(name):
        raise client(f"{name} can not be empty.")
    return members[name]
