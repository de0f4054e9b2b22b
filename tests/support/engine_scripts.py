"""Random scripts of what operators and we do, played on the Swarm in memory and on a real one.

Both are shown as what a deployer can see of a service when it has settled.
"""

import json
import random
import shlex
from dataclasses import dataclass, field

from deployer.errors import DeployerError
from deployer.targets.swarm.memory import SECOND, MemoryEngine, Operator, service_spec

# Does as its environment says, whatever the image.
COMMAND = (
    '[ -z "$CRASH" ] || { /bin/busybox sleep "$CRASH"; exit 1; }; '
    '[ -z "$ENDS" ] || { /bin/busybox sleep "$ENDS"; exit 0; }; exec /bin/busybox sleep 100000'
)
MISSING = "0" * 64  # the end of a digest that no registry has
STACK_IMAGE = "com.docker.stack.image"
MODES = {"replicated": "Replicated", "global": "Global", "replicated-job": "ReplicatedJob"}


@dataclass
class Script:
    """One service and what is done to it; each step is one or two acts, the second in mid-update."""

    name: str
    mode: str = "replicated"
    replicas: int = 1
    update: dict = field(default_factory=dict)
    restart: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)


def write(seed, images, steps=5):
    """Return the script of a seed.

    Args:
        seed: any number.
        images: full names with digests; the last one cannot be pulled.
        steps: how many.
    """
    rng = random.Random(seed)
    mode = rng.choice(["replicated"] * 6 + ["global", "replicated-job"])
    script = Script(f"s{seed}", mode, rng.choice([1, 2, 3]) if mode == "replicated" else 1)
    script.update = {
        "FailureAction": rng.choice(["pause", "continue", "rollback"]),
        "Order": rng.choice(["stop-first", "start-first"]),
        "Parallelism": rng.choice([0, 1, 1, 2]),
        "MaxFailureRatio": rng.choice([0, 0, 0.5]),
        "Monitor": 4 * SECOND,
    }
    script.restart = {"Condition": "any", "Delay": SECOND}
    if mode == "replicated-job" or rng.random() < 0.25:
        script.restart |= {"Condition": rng.choice(["on-failure", "none"]), "MaxAttempts": rng.choice([0, 2])}
    for _ in range(steps):
        step = [_act(rng, images, script)]
        if mode == "replicated" and script.replicas > 1 and step[0][1].get("env") == {"V": "1"}:
            step.append(("update", {"env": {"V": "2"}}))
        script.steps.append(step)
    return script


def _act(rng, images, script):
    image = {"image": rng.choice(images)}
    state = {"labels": {"deployer.state.task": str(rng.randrange(100))}}
    acts = [
        ("update", {"env": {"V": str(rng.randrange(3))}}),
        ("update", {"env": {"CRASH": rng.choice(["1", "1", "20"])}}),
        ("update", {"env": {"CRASH": None}}),
        ("update", image),
        ("update", image | state),
        ("update", state),
        ("update", {"force": True}),
        ("roll_back", {}),
        ("roll_back", {}),
    ]
    if script.mode == "replicated":
        acts.append(("scale", {"replicas": rng.randrange(4)}))
    return rng.choice(acts)


class InMemory:
    """A script's service on the Swarm in memory."""

    def __init__(self, script, images):
        self.engine = MemoryEngine()
        self.engine.images.lost.add(images[-1].partition("@")[2])
        self._operator = Operator(self.engine)
        self._name = script.name
        spec = service_spec(
            script.name,
            images[0],
            replicas=script.replicas,
            mode=MODES[script.mode],
            update=script.update,
            restart=script.restart,
        )
        spec["RollbackConfig"] = {"Parallelism": 1, "Monitor": 4 * SECOND}
        self.engine.create_service(spec)
        self.wait(20)

    def act(self, name, options):
        """Do it; say whether the engine refused."""
        try:
            getattr(self._operator, name)(self._name, **options)
        except DeployerError:
            return False
        return True

    def wait(self, seconds):
        """Let time pass."""
        self.engine.timeline.advance(seconds)

    def seen(self):
        """Return what a deployer can see."""
        service = self.engine.service(self._name)
        return seen(service, self.engine.tasks([service["ID"]]))


class Real:
    """A script's service on the lab's Swarm."""

    def __init__(self, lab, script, images):
        self._lab, self._name = lab, script.name
        update, restart = script.update, script.restart
        argv = ["--detach", "--quiet", "--with-registry-auth", "--name", script.name, "--mode", script.mode]
        argv += ["--entrypoint", shlex.join(["/bin/busybox", "sh", "-c", COMMAND])]
        argv += ["--restart-condition", restart["Condition"], "--restart-delay", "1s"]
        if "MaxAttempts" in restart:
            argv += ["--restart-max-attempts", str(restart["MaxAttempts"])]
        if script.mode == "replicated":
            argv += ["--replicas", str(script.replicas)]
        if not script.mode.endswith("job"):
            argv += ["--update-failure-action", update["FailureAction"], "--update-order", update["Order"]]
            argv += ["--update-parallelism", str(update["Parallelism"]), "--update-monitor", "4s"]
            argv += ["--update-max-failure-ratio", str(update["MaxFailureRatio"])]
            argv += ["--rollback-monitor", "4s", "--rollback-parallelism", "1"]
        if script.mode.endswith("job"):
            argv += ["--env", "ENDS=1"]
        lab.docker("service", "create", *argv, images[0])

    def act(self, name, options):
        """Do it; say whether the engine refused."""
        argv = ["--detach", "--quiet"]
        if name == "roll_back":
            argv = ["rollback", *argv]
        elif name == "scale":
            argv = ["update", *argv, "--replicas", str(options["replicas"])]
        else:
            argv = ["update", "--with-registry-auth", "--no-resolve-image", *argv, *_options(options)]
        try:
            self._lab.docker("service", *argv, self._name)
        except RuntimeError:
            return False
        return True

    def seen(self):
        """Return what a deployer can see."""
        return seen(self._lab.inspect(self._name), self._lab.tasks(self._name))


def _options(options):
    argv = ["--force"] if options.get("force") else []
    if "image" in options:
        argv += ["--image", options["image"]]
    for key, value in options.get("env", {}).items():
        argv += ["--env-rm", key] if value is None else ["--env-add", f"{key}={value}"]
    for key, value in options.get("labels", {}).items():
        argv += ["--label-add", f"{key}={value}"]
    return argv


def seen(service, tasks):
    """Return what is compared of a service, as text."""
    live = [task for task in tasks if task["DesiredState"] in {"running", "ready", "complete"}]
    shown = {
        "spec": _spec(service["Spec"]),
        "previous": _spec(service.get("PreviousSpec")),
        "state": (service.get("UpdateStatus") or {}).get("State"),
        "said": " ".join((service.get("UpdateStatus") or {}).get("Message", "").split()[:3]),
        "run": (service.get("JobStatus") or {}).get("JobIteration", {}).get("Index"),
        "tasks": sorted(_task(task) for task in live),
    }
    return json.dumps(shown, indent=1, sort_keys=True)


def _spec(spec):
    if not spec:
        return None
    mode, options = next(iter(spec["Mode"].items()))
    template = spec["TaskTemplate"]
    labels = {key: text for key, text in spec.get("Labels", {}).items() if key.startswith("deployer.")}
    return [*_template(template), labels, mode, (options or {}).get("Replicas")]


def _template(template):
    container = template["ContainerSpec"]
    env = [one for one in container.get("Env") or [] if not one.startswith("ENDS=")]
    return [container["Image"], sorted(env), template.get("ForceUpdate", 0)]


def _task(task):
    image, env, force = _template(task["Spec"])
    looping = any(one.startswith("CRASH=") for one in env) or image.endswith(MISSING)
    state = "crashing" if looping else task["Status"]["State"]
    return [task.get("Slot", 0), image, env, force, state]
