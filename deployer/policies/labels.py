"""Everything that people write on a service under `deployer.`, parsed once into one value.

No label stops the look at another service: one that cannot be understood turns this service's updates off,
and `problem` says so. The same holds for a name that does not exist, because a misspelt `deployer.enable`
that is ignored is found out in production.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar

from deployer.model import label_names as names
from deployer.model.image import Image
from deployer.model.service import STATE_PREFIX, LabelError, Service
from deployer.model.suggest import did_you_mean
from deployer.policies.proofs import Findings, Verify
from deployer.policies.tag_policy import Kind, Policy
from deployer.policies.values import DAY, FALSE, TRUE, parse_duration, parse_flag
from deployer.policies.window import Window

_SCHEDULE = re.compile(r"rule/[\w.-]{1,64}|schedule/[\w.-]{1,64}/[\w.-]{1,64}", re.ASCII)
HOUR, MOST_PEOPLE = 3600.0, 9
MOST_ALARMS = 20
APPROVE_WITHIN = 7 * DAY  # seconds
MAX_SAID = 40  # characters of a value that an error quotes

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class ServiceLabels:
    """The labels of one service; fields whose label is missing or wrong have their default."""

    enabled: bool = True  # false as well where the label cannot be understood
    policy: Policy = field(
        default_factory=Policy
    )  # one that follows nothing where the labels cannot be understood
    hold: str | None = None  # the reason
    window: Window | None = None
    after: str | None = None  # the service that goes first
    pre_job: str | None = None  # the job that runs first
    pre_command: str | None = None  # what a task of the new revision runs first
    schedules: tuple[str, ...] = ()  # rule/NAME or schedule/GROUP/NAME, that follow it on ECS
    run_job: bool = False
    replace: bool = False
    login: str | None = None
    notify: str | None = None  # targets with commas between them, or `none`
    require_way_back: bool = False
    rollback: bool | None = None  # None: DEPLOYER_ROLLBACK decides
    timeout: float | None = None  # seconds; None: DEPLOYER_ROLLOUT_TIMEOUT decides
    settle: float | None = None  # seconds; None: DEPLOYER_SETTLE decides
    approve: int = 0  # people who have to approve a digest first
    approve_within: float = APPROVE_WITHIN  # seconds that an approval is good for
    min_age: float = 0.0  # seconds
    verify: Verify | None = None  # who has to have signed an image
    scan: Findings | None = None  # that a scan may have at most
    bake: float = 0.0  # seconds for which tasks must stay up
    post_job: str | None = None  # the job that runs after it
    post_command: str | None = None  # what a task of the new revision runs after it
    alarms: tuple[str, ...] = ()  # of CloudWatch, by name or ARN
    query: str | None = None  # of Prometheus
    problem: str | None = None  # why updates are off: every label that cannot be understood

    @classmethod
    def parse(cls, labels: Mapping[str, str], filter_label: str | None = None) -> ServiceLabels:
        """Read the labels of a service; never raises.

        Args:
            labels: all labels of the service.
            filter_label: DEPLOYER_FILTER_LABEL, which may be a name of its own under `deployer.`.
        """
        # Docker tells upper and lower case apart, people do not.
        ours = [
            (name, text)
            for name, text in labels.items()
            if name.lower().startswith(names.PREFIX) and not name.startswith(STATE_PREFIX)
        ]
        return _parsed(tuple(sorted(ours)), (filter_label or "").partition("=")[0])

    @property
    def proves(self) -> bool:
        """Return whether a roll-out has something to show after it has converged."""
        return bool(self.bake or self.post_job or self.post_command or self.alarms or self.query)

    def missing_service(self, services: Collection[str]) -> str | None:
        """Return the complaint that `deployer.after` or `deployer.pre-job` names no service, or None.

        Args:
            services: the names and ids of all services of the Swarm.
        """
        named = (
            (names.AFTER, self.after),
            (names.PRE_JOB, self.pre_job),
            (names.POST_JOB, self.post_job),
        )
        for label, name in named:
            if name and name not in services:
                return f"label {label}={name[:MAX_SAID]!r}: no such service{did_you_mean(name, services)}"
        return None


@lru_cache(maxsize=1024)  # one look asks for them a dozen times, and most services have none
def _parsed(ours: tuple[tuple[str, str], ...], filter_label: str) -> ServiceLabels:
    reader = _Reader(dict(ours))
    reader.check_names(filter_label)
    return ServiceLabels(
        enabled=bool(reader.flag(names.ENABLE, default=True, wrong=False)),
        policy=reader.policy(),
        hold=_hold(reader.text(names.HOLD)),
        window=reader.read(names.WINDOW, Window.parse),
        after=reader.text(names.AFTER),
        pre_job=reader.text(names.PRE_JOB),
        pre_command=reader.text(names.PRE_COMMAND),
        schedules=reader.read(names.SCHEDULES, _schedules) or (),
        run_job=bool(reader.flag(names.RUN_JOB)),
        replace=bool(reader.flag(names.REPLACE)),
        login=reader.text(names.LOGIN),
        notify=reader.text(names.NOTIFY),
        require_way_back=bool(reader.flag(names.REQUIRE_WAY_BACK)),
        rollback=reader.flag(names.ROLLBACK),
        timeout=reader.seconds(names.TIMEOUT, 1),
        settle=reader.seconds(names.SETTLE, 0),
        approve=reader.read(names.APPROVE, _people) or 0,
        approve_within=reader.read(names.APPROVE_WITHIN, _within) or APPROVE_WITHIN,
        post_job=reader.text(names.POST_JOB),
        post_command=reader.text(names.POST_COMMAND),
        alarms=reader.read(names.ALARMS, _alarms) or (),
        query=reader.text(names.QUERY),
        bake=reader.seconds(names.BAKE, 0) or 0.0,
        min_age=reader.read(names.MIN_AGE, _age) or 0.0,
        verify=reader.read(names.VERIFY, Verify.parse),
        scan=reader.read(names.SCAN, Findings.parse),
        problem="; ".join(reader.problems) or None,
    )


@dataclass
class _Reader:
    """Reads labels one by one and gathers what is wrong with them."""

    labels: Mapping[str, str]
    problems: list[str] = field(default_factory=list)

    def text(self, name: str) -> str | None:
        return self.labels.get(name, "").strip() or None

    def read(self, name: str, parse: Callable[[str], _Value]) -> _Value | None:
        text = self.text(name)
        if text is None:
            return None
        try:
            return parse(text)
        except LabelError as fault:
            self.problems.append(str(fault))
        except ValueError as fault:
            self.problems.append(f"label {name}={text[:MAX_SAID]!r}: {fault}")
        return None

    def flag(self, name: str, default: bool | None = None, wrong: bool | None = None) -> bool | None:
        if self.text(name) is None:
            return default
        value = self.read(name, parse_flag)
        return wrong if value is None else value

    def seconds(self, name: str, least: float) -> float | None:
        return self.read(name, lambda text: parse_duration(text, least, DAY))

    def policy(self) -> Policy:
        try:
            return Policy.of(self.labels)
        except LabelError as fault:
            self.problems.append(str(fault))
            return Policy(Kind.NONE, Kind.NONE.value)

    def check_names(self, filter_label: str) -> None:
        for name in self.labels:
            if name not in names.KNOWN and name != filter_label:
                hint = did_you_mean(name, names.KNOWN, names.PREFIX)
                self.problems.append(f"unknown label {name[:MAX_SAID]}{hint}")


def _people(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text) <= MOST_PEOPLE:
        raise ValueError(f"it may be a number of people from 0 to {MOST_PEOPLE}")
    return int(text)


def _within(text: str) -> float:
    return parse_duration(text, HOUR, 90 * DAY)


def _age(text: str) -> float:
    return parse_duration(text, 0, 90 * DAY)


def _alarms(text: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if len(found) > MOST_ALARMS:
        raise ValueError(f"it may be up to {MOST_ALARMS} names of alarms with commas between them")
    return found


def _schedules(text: str) -> tuple[str, ...]:
    for word in text.split():
        if not _SCHEDULE.fullmatch(word):
            raise ValueError(f"{word[:MAX_SAID]!r} is neither rule/NAME nor schedule/GROUP/NAME")
    return tuple(dict.fromkeys(text.split()))


def _hold(text: str | None) -> str | None:
    if text is None or text.lower() in FALSE:
        return None
    return f"label {names.HOLD}" if text.lower() in TRUE else text


def concerns(service: Service, pushed: Image) -> bool:
    """Return whether a push could matter to a service: it follows this tag, or its policy might want to.

    Args:
        service: any service.
        pushed: the pushed image, with a tag.
    """
    current = service.image
    if current is None or pushed.tag is None or not current.same_repository(pushed):
        return False
    if current.same_tag(pushed):
        return True
    labels = ServiceLabels.parse(service.labels)
    if labels.problem:
        return True  # its deployment says so
    return current.tag is not None and labels.policy.may_follow(current.tag, pushed.tag)


def complaint(service: Service) -> str | None:
    """Return what is wrong with a service's labels, or None if all of them can be understood."""
    return ServiceLabels.parse(service.labels).problem


def misplaced(service: Service) -> str | None:
    """Return a hint that labels stand on the container, where nobody reads them, or None."""
    found = [name for name in service.container_labels if name.startswith(names.PREFIX)]
    return f"{min(found)} is a label of the container; it belongs under deploy.labels" if found else None
