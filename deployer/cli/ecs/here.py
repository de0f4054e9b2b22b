"""The core over clusters of ECS, in this process: put together, and a deployment advanced to its end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from deployer.cli.names import find_service
from deployer.errors import BusyError, PermanentError, SettingsError, TemporaryError

if TYPE_CHECKING:
    from deployer.model.deployment import Report, Request
    from deployer.model.service import Service
    from deployer.rollouts.deployer import Deployer
    from deployer.rollouts.ports import Change, Credentials
    from deployer.targets.ecs.place import Place
    from deployer.targets.ecs.target import Ecs

PATIENCE = 600.0  # seconds for which AWS may fail in a row


def cluster_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --cluster."""
    return click.option(
        "--cluster",
        "-c",
        metavar="CLUSTER",
        help="The cluster: NAME, REGION/NAME or ACCOUNT/REGION/NAME.  [default: DEPLOYER_ECS_CLUSTERS]",
    )(command)


@dataclass(frozen=True)
class Here:
    """A core whose target is ECS."""

    deployer: Deployer
    target: Ecs

    def service(self, name: str) -> Service:
        """Read a service.

        Raises:
            NoSuchServiceError: there is none of this name; the message suggests another.
        """
        return find_service(name, self.deployer)

    def place(self, service: Service) -> Place:
        """Return the cluster of a service."""
        return next(one for one in self.target.places if one.cluster == service.native.cluster)


def connected(
    cluster: str | None,
    *,
    timeout: float | None = None,
    rollback: bool | None = None,
    repositories: Sequence[str] = (),
) -> Here:
    """Return the core over a cluster, or over those of the settings.

    Args:
        cluster: as the command line has it.
        timeout: seconds until a roll-out that has not converged counts as failed.
        rollback: whether a failed one goes back.
        repositories: to which a service may be moved.

    Raises:
        SettingsError: no cluster is named.
    """
    from deployer.aws.accounts import Accounts
    from deployer.registries.credentials import Registries
    from deployer.registries.manifests import Manifests
    from deployer.rollouts.decision import Rules
    from deployer.rollouts.deployer import Deployer
    from deployer.settings import load
    from deployer.targets.ecs.service import Options
    from deployer.targets.ecs.target import Ecs
    from deployer.targets.ecs.wire.connection import connect, ledger_of, schedules_of

    settings = load()
    accounts = Accounts(settings.assume_roles)
    clusters = connect(_clusters(cluster) or settings.ecs_clusters, accounts)
    if not clusters:
        raise SettingsError(
            "no cluster is named: give --cluster eu-west-1/prod, or set DEPLOYER_ECS_CLUSTERS=prod"
        )
    store = ledger_of(settings.ecs_ledger, clusters, accounts)
    # Who names a service means it, whatever labels it has.
    target = Ecs(
        clusters, store, Options(opt_in=False, policy=settings.policy), Manifests(), schedules_of(accounts)
    )
    rules = Rules(
        rollback=settings.rollback if rollback is None else rollback,
        rollout_timeout=timeout or settings.rollout_timeout,
        allow_repositories=(*settings.allow_repositories, *repositories),
    )
    return Here(Deployer(target, Registries(settings.assume_roles, settings.named_logins), rules), target)


def _clusters(text: str | None) -> Any:
    from deployer.targets.ecs.cluster import parse_clusters

    try:
        return parse_clusters(text) if text else ()
    except ValueError as fault:
        raise click.BadParameter(str(fault), param_hint="--cluster") from fault


def new_id() -> str:
    """Return the id of a deployment that is made here."""
    return str(uuid.uuid4())


class Steps:
    """A deployment whose looks are made here, each when it is due.

    Args:
        deployer: the core.
        service: the service's name.
        request: what is wanted of it.
        clock: seconds that only go forward.
        wait: follow it to its end, and not only until it has written.
    """

    def __init__(
        self,
        deployer: Deployer,
        service: str,
        request: Request,
        clock: Callable[[], float] = time.monotonic,
        wait: bool = True,
    ) -> None:
        self._deployer, self._service, self._request = deployer, service, request
        self._clock, self._wait = clock, wait
        self._memory: Any = None
        self._due, self._said = clock(), ""
        self._faults, self._failing_since = 0, 0.0
        self.report: Report | None = None
        self.begun = False

    def __call__(self) -> tuple[bool, str]:
        """Make a look if one is due; return whether the deployment has ended, and how far it is.

        Raises:
            TemporaryError: AWS fails for too long.
        """
        if self._clock() < self._due:
            return False, self._said
        try:
            step = self._deployer.advance(self._service, self._request, self._memory)
        except BusyError as busy:
            return self._again(busy.seconds, str(busy))
        except TemporaryError as fault:
            return self._failed(fault)
        self._faults = 0
        from deployer.model.deployment import Report

        if isinstance(step, Report):
            self.report = step
            return True, ""
        self._memory = step.watch
        self._request = replace(self._request, waiting=step.waiting, pre_job=step.pre_job)
        self.begun = step.watch is not None
        self._again(step.seconds, step.reason)
        return self.begun and not self._wait, step.reason

    def _failed(self, fault: TemporaryError) -> tuple[bool, str]:
        from deployer.observability.outage import backoff

        if not self._faults:
            self._failing_since = self._clock()
        self._faults += 1
        if self._clock() - self._failing_since > PATIENCE:
            raise fault
        return self._again(backoff(self._faults), str(fault))

    def _again(self, seconds: float, said: str) -> tuple[bool, str]:
        self._due, self._said = self._clock() + seconds, said
        return False, said


class CountFirst:
    """A target whose service gets its count and percents just before the first deployment, if there is one.

    Args:
        here: the core over the target.
        service: the service.
        members: of UpdateService, what is asked for; empty for nothing.
    """

    def __init__(self, here: Here, service: Service, members: dict[str, Any]) -> None:
        self._here, self._service, self._members = here, service, members

    def __getattr__(self, name: str) -> Any:
        return getattr(self._here.target, name)

    def apply(self, service: Service, change: Change, credentials: Credentials | None) -> None:
        """Write a change; raises as of the target, and PermanentError if the count is refused."""
        if change.image or change.force:
            self.change()
        self._here.target.apply(service, change, credentials)

    def change(self) -> None:
        """Change count and percents, once."""
        members, self._members = self._members, {}
        changed(self._here, self._service, members)


def changed(here: Here, service: Service, members: dict[str, Any]) -> None:
    """Change a service's count or deployment configuration, if that is asked for.

    Raises:
        PermanentError: it is a service that nobody may write to from here.
    """
    if not members:
        return
    if service.untouchable:
        raise PermanentError(f"nothing is changed: {service.untouchable}")
    place, raw = here.place(service), service.native.raw
    place.api.call("UpdateService", cluster=place.cluster.name, service=raw["serviceName"], **members)
