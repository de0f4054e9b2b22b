"""A story: acts of people, pushes and faults, drawn from a seed, and the end that must come."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deployer.errors import DeployerError, NoSuchServiceError
from deployer.model.image import Image
from deployer.model.service import Service
from deployer.rollouts import ledger
from deployer.rollouts.fleet import survey
from deployer.rollouts.ledger import approvals
from deployer.rollouts.ledger.slots import BAKE, SLOT
from deployer.targets.swarm.memory.operators import Resolve
from deployer.targets.swarm.target import SwarmTarget
from deployer.tasks.message import DeploymentMessage
from lab.simulate.oracle import BrokenError
from lab.simulate.world import RECONCILE, RENEWAL, REPOSITORY, World

DAY = 86_400.0
QUIET = 26 * 3600.0  # seconds without news at the end, longer than the patience: all must end
SILENT = 13 * 3600.0  # seconds that are enough where all has ended: credentials are renewed twice
NAMES = ("web", "api", "ver")


@dataclass(frozen=True)
class Act:
    """Something that happens at a time; what exactly is drawn from its own seed."""

    at: float
    kind: str
    seed: int


def story(seed: int, days: float = 1.0) -> list[Act]:
    """Return the acts of a seed in the order of their times."""
    chance = random.Random(seed)
    acts = []
    for _ in range(chance.randint(4, 14)):
        # Things come in bursts: most faults need several acts within minutes.
        begin = chance.uniform(0, days * DAY)
        for _ in range(chance.randint(1, 4)):
            acts.append(Act(begin, chance.choice(KINDS), chance.randrange(1 << 30)))
            begin += chance.choice([1.0, 5.0, 20.0, 60.0, 400.0])
    return sorted(acts, key=lambda act: act.at)


def play(seed: int, acts: Sequence[Act], days: float = 1.0) -> World:
    """Play a story to its end.

    Raises:
        BrokenError: an invariant does not hold.
    """
    gates = seed % 7
    world = Stage(random.Random(seed), gated=gates == 3, bakes=gates == 5, signed=gates == 1)
    world.engine.cluster.history_limit = 1 if seed % 5 == 4 else 5
    try:
        _play(world, list(acts), days)
    except BrokenError as broken:
        broken.log = world.log
        raise
    return world


def _play(world: Stage, todo: list[Act], days: float) -> None:
    looks = [RECONCILE, RENEWAL]
    end = days * DAY + QUIET
    while world.now < end:
        if not todo and world.now >= days * DAY:
            world.calm()
            if not world.queue and world.now >= days * DAY + SILENT:
                break
        world.run_until(min([end, *looks, *([todo[0].at] if todo else [])]))
        while todo and todo[0].at <= world.now:
            world.act(todo.pop(0))
        if world.now >= looks[0]:
            world.reconcile()
            looks[0] = world.now + RECONCILE
        if world.now >= looks[1]:
            world.renew()
            looks[1] = world.now + RENEWAL
    world.check_end()


class Stage(World):
    """The world with its three services, and everything that people do to them."""

    def __init__(
        self, chance: random.Random, gated: bool = False, bakes: bool = False, signed: bool = False
    ) -> None:
        super().__init__(chance)
        self.calmed = False
        self.bakes = {"deployer.bake": "5m"} if bakes else {}
        self.oracle.gated = {"web"} if gated else set()
        self.oracle.proved = {"web", "ver"} if signed else set()
        for tag in ("latest", "1.0.0"):
            self.signed.add(self.push(tag, crashing=False, lost=True))
        actions = ["pause", "rollback", "continue"]
        self.create("web", "latest", self.gates("web"), chance.choice(actions))
        self.create("api", "latest", {"deployer.after": "web", **self.bakes}, chance.choice(actions))
        self.create(
            "ver", "1.0.0", {"deployer.policy": "semver:*", **self.gates("ver")}, chance.choice(actions)
        )
        self.engine.timeline.advance(30)

    # -- acts --------------------------------------------------------------------------------------

    def act(self, act: Act) -> None:
        """Let an act happen."""
        chance = random.Random(act.seed)
        name = chance.choice(NAMES)
        try:
            told = ACTS[act.kind](self, name, chance)
        except (NoSuchServiceError, DeployerError) as fault:
            told = f"in vain: {fault}"
        self.say(f"-- {act.kind} {name}: {told or ''}".rstrip(": "))

    def service(self, name: str) -> Service:
        """Read a service."""
        return SwarmTarget(self.engine).service(name)

    def digest(self, name: str) -> str | None:
        """Return the digest that a service should run."""
        image = self.service(name).image
        return image.digest if image else None

    def meant(self, name: str) -> str | None:
        """Return the digest that a service's tag means: what a person wants who names no digest."""
        image = self.service(name).image
        return self.engine.digests.get(str(image.without_digest())) if image else None

    def gates(self, name: str) -> dict[str, str]:
        """Return the labels of the gates of a service."""
        approve = {"deployer.approve": "1"} if name in self.oracle.gated else {}
        verify = {"deployer.verify": "cosign:release"} if name in self.oracle.proved else {}
        return {**self.bakes, **approve, **verify}

    def calm(self) -> None:
        """Let people release what they hold, and nodes come back."""
        if self.calmed:
            return
        self.calmed = True
        target = SwarmTarget(self.engine)
        ledger.set_freeze(target, None)
        for name in NAMES:
            ledger.set_hold(target, name, None)
        for node in ("node-1", "node-2", "node-3"):
            self.engine.set_node(node, up=True, availability="active")
        self.say("-- quiet")

    # -- the end -----------------------------------------------------------------------------------

    def check_end(self) -> None:
        """See that everything has ended, and that each push is running, held with a reason, or failed.

        Raises:
            BrokenError: something has not.
        """
        if self.queue:
            left = ", ".join(sorted({f"{message.task} of {message.service}" for message in self.queue}))
            raise BrokenError(f"does not end: {left}")
        deployer, port, _ = self.worker()
        port.dies_in = None
        for one in survey.survey(deployer, at_once=1).behind:
            if one.now:
                raise BrokenError(f"{one.service} runs {one.running}, not {one.wanted}, and nothing says why")
        target = SwarmTarget(self.engine)
        if slots := [key for key in target.ledger().labels if key.startswith((SLOT, BAKE))]:
            raise BrokenError(f"a slot stays taken: {slots}")


# -- what people do -------------------------------------------------------------------------------


def _push(world: Stage, name: str, chance: random.Random) -> str:
    bad, lost = chance.random() < 0.35, chance.random() < 0.2
    if name == "ver":
        tag = f"{chance.randint(1, 2)}.{chance.randint(0, 3)}.{chance.randint(0, 9)}"
    else:
        tag = "latest"
    digest, signed = world.push(tag, bad, lost), chance.random() < 0.6
    if signed:
        world.signed.add(digest)
    unsigned = "(not signed)" * (bool(world.oracle.proved) and not signed)
    return f"{tag} {digest[-4:]} {'(broken)' * bad} {'(no event)' * lost} {unsigned}"


def _sign(world: Stage, name: str, chance: random.Random) -> str:
    digest = world.meant(name)
    if digest:
        world.signed.add(digest)
    return digest[-4:] if digest else ""


def _env(world: Stage, name: str, chance: random.Random) -> str:
    crash = chance.random() < 0.4
    world.operator.update(name, env={"CRASH": "0" if crash else None, "A": str(chance.randrange(100))})
    world.oracle.operator_wrote(name)
    return "crashing" if crash else ""


def _scale(world: Stage, name: str, chance: random.Random) -> str:
    world.operator.scale(name, replicas := chance.randint(0, 4))
    return str(replicas)


def _roll_back(world: Stage, name: str, chance: random.Random) -> str:
    before = world.digest(name)
    world.operator.roll_back(name)
    after = world.digest(name)
    world.oracle.operator_wrote(name, before if before != after else None)
    world.oracle.overrides(name, after or world.meant(name))
    return f"docker service rollback, {before and before[-4:]} to {after and after[-4:]}"


def _by_hand(world: Stage, name: str, chance: random.Random) -> str:
    before = world.digest(name)
    image = world.service(name).image
    digests = [d for d in world.engine.digests.values() if d not in world.engine.images.crashing]
    if not digests or image is None:
        return ""
    chosen = chance.choice(digests)
    wanted = str(image.without_digest().with_digest(chosen))
    world.operator.update(name, image=wanted)
    if wanted != str(image):  # else the same is written again, of which nothing tells
        world.oracle.operator_wrote(name, before if before != chosen else None)
    world.oracle.overrides(name, chosen)
    return f"docker service update --image {chosen[-4:]}"


def _force(world: Stage, name: str, chance: random.Random) -> None:
    world.operator.update(name, force=True)
    world.oracle.operator_wrote(name)


def _stack(world: Stage, name: str, chance: random.Random) -> str:
    tag = "1.0.0" if name == "ver" else "latest"
    labels = {**({"deployer.policy": "semver:*"} if name == "ver" else {}), **world.gates(name)}
    spec = dict(world.engine.service(name)["Spec"])
    spec["Labels"] = labels
    spec["TaskTemplate"]["ContainerSpec"]["Image"] = f"{REPOSITORY}:{tag}"
    resolve: Resolve = chance.choice(["always", "changed", "never"])
    world.operator.deploy_stack(spec, resolve)
    world.oracle.stack_deployed(name)
    world.oracle.overrides(name, world.digest(name) or world.meant(name))
    return f"docker stack deploy --resolve-image {resolve}"


def _hold(world: Stage, name: str, chance: random.Random) -> None:
    ledger.set_hold(SwarmTarget(world.engine), name, "audit")


def _release(world: Stage, name: str, chance: random.Random) -> None:
    if name in world.oracle.gated and (digest := world.meant(name)):
        word = approvals.Approval("alice", world.engine.timeline.now.isoformat())
        approvals.approve(SwarmTarget(world.engine), name, digest, word)
        world.oracle.approved.add(digest)
    ledger.set_hold(SwarmTarget(world.engine), name, None)
    world.send(name, f"release-{chance.randrange(1 << 20)}", DeploymentMessage(by="release").encode())


def _freeze(world: Stage, name: str, chance: random.Random) -> str:
    frozen = chance.random() < 0.5
    ledger.set_freeze(SwarmTarget(world.engine), "christmas" if frozen else None)
    return "on" if frozen else "off"


def _rollback(world: Stage, name: str, chance: random.Random) -> None:
    number = chance.randrange(1 << 20)
    world.send(
        name, f"back-{number}", DeploymentMessage(by="rollback").encode(), rollback=True, trigger="rollback"
    )


def _update(world: Stage, name: str, chance: random.Random) -> str:
    force = chance.random() < 0.3
    number = chance.randrange(1 << 20)
    world.send(name, f"hand-{number}", DeploymentMessage().encode(), force=force)
    return "--force" if force else ""


def _node(world: Stage, name: str, chance: random.Random) -> str:
    node = chance.choice(["node-2", "node-3"])
    state = chance.choice(["drain", "active"])
    world.engine.set_node(node, availability=state)
    return f"{node} {state}"


def _late_event(world: Stage, name: str, chance: random.Random) -> str:
    tag, digest = chance.choice(list(world.engine.digests.items()))
    image = Image.parse(tag)
    world.event(image.tag or "", digest)
    return f"{image.tag} {digest[-4:]}"


ACTS: dict[str, Callable[[Stage, str, random.Random], str | None]] = {
    "push": _push,
    "env change": _env,
    "scale": _scale,
    "service rollback": _roll_back,
    "image by hand": _by_hand,
    "forced restart": _force,
    "stack deploy": _stack,
    "hold": _hold,
    "release": _release,
    "freeze": _freeze,
    "deployer rollback": _rollback,
    "deployer update": _update,
    "node": _node,
    "event again": _late_event,
    "sign": _sign,
}
KINDS = [*(kind for kind in ACTS if kind != "sign"), "push", "push", "push", "push"]
