"""What can go wrong with requests to an ECS in memory: refused, answers lost or late, somebody in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from deployer.errors import TemporaryError
from lab.ecs.refusal import Refusal

Act = Callable[[Mapping[str, Any]], None]


@dataclass
class _Plan:
    """One thing that is to happen to the next requests of an action."""

    act: Act
    times: int


class Faults:
    """What a test has planned for the next requests; each plan is for so many of them."""

    def __init__(self) -> None:
        self.denied: set[str] = set()  # actions without permission: `ecs:UpdateService`, `iam:PassRole`
        self.stale_seconds = 0.0  # the age of what descriptions of services show
        self._before: dict[str, list[_Plan]] = {}
        self._after: dict[str, list[_Plan]] = {}

    def before(self, action: str, act: Act, times: int = 1) -> None:
        """Have something happen when a request comes in, before ECS carries it out."""
        self._before.setdefault(action, []).append(_Plan(act, times))

    def after(self, action: str, act: Act, times: int = 1) -> None:
        """Have something happen when ECS has carried out a request, before it answers."""
        self._after.setdefault(action, []).append(_Plan(act, times))

    def refuse(self, action: str, code: str, message: str = "", times: int = 1, status: int = 400) -> None:
        """Refuse requests, which are not carried out."""
        self.before(action, _raising(Refusal(code, message, status)), times)

    def lose_request(self, action: str, times: int = 1) -> None:
        """Lose requests on their way."""
        self.before(action, _raising(TemporaryError(f"ecs:{action}: connection reset")), times)

    def lose_answer(self, action: str, times: int = 1) -> None:
        """Carry out requests and lose the answers."""
        self.after(action, _raising(TemporaryError(f"ecs:{action}: no answer in time")), times)

    def forget(self) -> None:
        """Let nothing go wrong any more of what was planned."""
        self._before.clear()
        self._after.clear()

    def meet(self, action: str, members: Mapping[str, Any], *, done: bool = False) -> None:
        """Let happen what was planned."""
        plans = (self._after if done else self._before).get(action, [])
        for plan in list(plans):
            plan.times -= 1
            if plan.times <= 0:
                plans.remove(plan)
            plan.act(members)

    def judge(self, action: str, resource: str, account: str, members: Mapping[str, Any]) -> None:
        """Refuse what the caller has no permission for."""
        needed = [f"ecs:{action}"]
        if members.get("tags") and action != "TagResource":
            needed.append("ecs:TagResource")
        roles = ("taskRoleArn", "executionRoleArn")
        if action == "RegisterTaskDefinition" and any(members.get(role) for role in roles):
            needed.append("iam:PassRole")
        for one in needed:
            if one in self.denied:
                what = next((members[r] for r in roles if members.get(r)), "") if "iam" in one else resource
                user = f"arn:aws:sts::{account}:assumed-role/deployer/worker"
                told = f"User: {user} is not authorized to perform: {one} on resource: {what}"
                why = f"because no identity-based policy allows the {one} action"
                raise Refusal("AccessDeniedException", f"{told} {why}")


def _raising(fault: Exception) -> Act:
    def act(members: Mapping[str, Any]) -> None:
        del members
        raise fault

    return act
