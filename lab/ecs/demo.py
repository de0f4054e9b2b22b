"""`make demo TARGET=ecs`: watch a `docker push` become a deployment on ECS, its tasks on a real engine."""

from __future__ import annotations

import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path

from lab import HOST, wait_until
from lab.demo import BOLD, PLAIN, STEPS, main, say, tell_steps
from lab.ecs.lab import CLUSTER, EcsLab, web
from lab.playground import Playground

IMAGE = "team/web:latest"
SERVICE = "web"
BREAKER = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
ECS_STEPS = (
    *STEPS[:2],
    ("worker", r"Updated service", "a revision with the new digest is registered, the service points to it"),
    ("worker", r"ended: updated", "the deployment is complete: every task runs the new image"),
)
TRY = (
    ('lab/push "Hello 3" && deployer status', "push version 3, and see it go out"),
    ('lab/push "Hello 4" --crash', "push a version that crashes: the circuit breaker takes it back"),
    ("deployer history web", "what was deployed, and how it ended"),
    ("deployer explain web", "what a push would do now, rule by rule"),
    ("deployer rollback web --wait", "go back to the version before"),
)


class EcsPlayground(EcsLab, Playground):
    """The lab with ECS, with a bridge and a worker, and with events for every push."""

    def write_environment(self) -> Path:
        """Write, and return, a script that points docker, deployer and celery at all of this."""
        self.variables["DOCKER_HOST"] = self.docker_host
        script = super().write_environment()
        # The registry is in the lab's network, and so are those who ask it.
        command = self.namespaces.command(sys.executable, "-m", "deployer")
        with script.open("a") as file:
            file.write(f'deployer() {{ {shlex.join(command)} "$@"; }}\n')
        return script


def tell(lab: EcsPlayground) -> str:
    """Tell the whole story, and return what is there to look at."""
    say(f"{BOLD}1. Version 1 runs{PLAIN}")
    lab.docker_push(IMAGE, "Hello from version 1")
    lab.create_service(SERVICE, web(IMAGE), deploymentConfiguration=BREAKER)
    say(f"   docker push {HOST}/{IMAGE}; aws ecs create-service --service-name {SERVICE} …")
    wait_until(lambda: lab.pages(SERVICE) == ["Hello from version 1"], 30, "the page")
    say(f"   its task says: {BOLD}{lab.pages(SERVICE)[0]}{PLAIN}")
    processes = lab.deploy()
    say("   deployer bridge; celery -A deployer worker", f"(both run, with DEPLOYER_ECS_CLUSTERS={CLUSTER})")

    say(f"{BOLD}2. Somebody pushes version 2{PLAIN}")
    digest = lab.docker_push(IMAGE, "Hello from version 2")
    say(f"   docker push {HOST}/{IMAGE}", digest[:19] + "…")
    begun = wait_until(lambda: lab.events.get(digest), 20, "the event") or datetime.now(UTC)
    say("   ECR's event is on the SQS queue")
    tell_steps(processes, begun, ECS_STEPS)
    wait_until(lambda: lab.pages(SERVICE) == ["Hello from version 2"], 30, "the new page")
    say(f"   its task says: {BOLD}{lab.pages(SERVICE)[0]}{PLAIN}")
    revision = lab.operator.service(SERVICE)["taskDefinition"]
    state = lab.operator.tags_of(revision)
    say(f"   the way back is on the revision {revision.rpartition('/')[2]}", state["deployer.state.former"])
    return f"service {SERVICE} of the cluster {CLUSTER}"


if __name__ == "__main__":
    main(EcsPlayground, tell, TRY, "a private Docker engine, an emulator of ECS whose tasks run on it")
