"""Random scripts of what people do to a service of ECS, played in memory and on the emulator."""

import random
from dataclasses import dataclass

from deployer.targets.ecs.wire.api import Refused
from lab.ecs.memory import FakeEcs
from lab.ecs.operators import Operator, container

# With a circuit breaker that does not roll back the emulator stops the tasks that still serve; ECS says of a
# failed deployment only that it starts no new ones.
BREAKERS = ({}, {"deploymentCircuitBreaker": {"enable": True, "rollback": True}})


@dataclass(frozen=True)
class Script:
    """A service, and what is done to it one after the other, each when the former has come to rest."""

    name: str
    breaker: dict
    desired: int
    acts: tuple  # of names and an argument


def write(seed, steps=5):
    """Write a script: the same for the same seed."""
    chance = random.Random(seed)
    kinds = ["good", "good", "crash", "missing", "force", "again", "first", "scale", "inactive"]
    acts = []
    for _ in range(steps):
        # While tasks crash for ever the emulator may stop one that serves to make room for the next.
        stuck = acts and acts[-1][0] in ("crash", "missing") and not seed % 2
        acts.append(("good" if stuck else chance.choice(kinds), chance.randint(1, 3)))
    return Script(f"script-{seed}", BREAKERS[seed % 2], chance.randint(1, 2), tuple(acts))


class Player:
    """Plays a script on one ECS.

    Args:
        api: of the ECS.
        script: what to play.
        images: of two good images and one that crashes, by `a`, `b` and `crash`.
    """

    def __init__(self, api, script, images):
        self.api, self.script, self.images = api, script, images
        self.operator = Operator(api)
        self.ids = []
        self.goods = 0
        config = {"deploymentConfiguration": script.breaker}
        self.operator.create(script.name, self._container(images["a"]), desired=script.desired, **config)
        self._primary()

    def _container(self, image):
        return container("main", image, memory=64)

    def _primary(self):
        """The primary deployment, and how many others began before it."""
        return self._note(self.operator.service(self.script.name))

    def _note(self, service):
        """Note the deployment that an answer shows; a later one may not, if ECS has gone back meanwhile."""
        primary = next(one for one in service["deployments"] if one["status"] == "PRIMARY")
        if primary["id"] not in self.ids:
            self.ids.append(primary["id"])
        return primary, self.ids.index(primary["id"])

    def act(self, kind, number):
        """Do one thing; the code of the refusal, if it is one."""
        refused = self._act(kind, number)
        self._primary()
        return refused

    def _act(self, kind, number):
        name, operator = self.script.name, self.operator
        try:
            if kind == "good":
                self.goods += 1
                image = self.images["ab"[self.goods % 2]]
                self._note(operator.point(name, operator.register(name, self._container(image))))
            elif kind in ("crash", "missing"):
                self._note(operator.point(name, operator.register(name, self._container(self.images[kind]))))
            elif kind == "force":
                self._note(operator.force(name))
            elif kind == "again":
                self._note(operator.point(name, operator.service(name)["taskDefinition"]))
            elif kind == "first":
                self._note(operator.point(name, f"{name}:1"))
            elif kind == "scale" and self.calm():
                operator.scale(name, number)
            elif kind == "inactive":
                revision = operator.register(name, self._container(self.images["b"]))
                self.api.call("DeregisterTaskDefinition", taskDefinition=revision)
                operator.point(name, revision)
        except Refused as refused:
            return refused.code
        return None

    def calm(self):
        """Whether nothing fails; the emulator scales nothing down while something does."""
        return self._primary()[0]["rolloutState"] == "COMPLETED"

    def seen(self):
        """What can be seen of the service, in words that are the same for both."""
        service = self.operator.service(self.script.name)
        primary, number = self._primary()
        others = [one for one in service["deployments"] if one["id"] != primary["id"]]
        running = [
            _revision(task["taskDefinitionArn"])
            for task in self.operator.tasks(self.script.name)
            if task["lastStatus"] == "RUNNING"
        ]
        listed = self.api.call("ListServiceDeployments", cluster="prod", service=self.script.name)
        stopped = self.operator.tasks(self.script.name, "STOPPED")
        bad = {_revision(task["taskDefinitionArn"]) for task in stopped if _failed(task)}
        return {
            "points to": _revision(service["taskDefinition"]),
            "primary": (_revision(primary["taskDefinition"]), primary["rolloutState"]),
            "whose": number,
            "wanted": service["desiredCount"],
            "before": sorted(
                _revision(one["taskDefinition"])
                for one in others
                if one["rolloutState"] != "FAILED" and one["runningCount"]
            ),
            # Tasks that crash are caught running now and then.
            "running": sorted(one for one in running if one not in bad),
            "fates": [one["status"] for one in listed["serviceDeployments"]],
            "failed": sorted(
                {(_revision(t["taskDefinitionArn"]), *_failed(t)) for t in stopped if _failed(t)}
            ),
        }


def in_memory(script):
    """A player of a script in memory, and the clock's move."""
    fake = FakeEcs()
    images = {name: f"x/{name}@sha256:{name[0] * 64}" for name in ("a", "b", "crash", "missing")}
    fake.image(images["crash"], "crash", start_seconds=1)
    fake.image(images["missing"], "missing")
    player = Player(fake.api(), script, images)
    return player, fake.advance


def _revision(arn):
    return int(arn.rpartition(":")[2])


def _failed(task):
    """The code and the exit code of a task that has ended by itself."""
    if task.get("stopCode") in ("EssentialContainerExited", "TaskFailedToStart"):
        return task["stopCode"], task["containers"][0].get("exitCode") or 0
    return ()
