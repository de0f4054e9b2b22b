"""The lab with clusters of ECS, whose tasks run on its engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lab.aws import HOST, REGION, Queues
from lab.ecs.front import Front
from lab.ecs.operators import Operator, container
from lab.ecs.records import Json
from lab.lab import Lab
from lab.port_forward import PortForward, out_of
from lab.processes import Process, wait_until

CLUSTER = "prod"
TABLE = "ledger"


class EcsLab(Lab):
    """The lab with a cluster `prod`; its workers run where the registry is, as ECS's would in a VPC.

    Args:
        directory: as of `Lab`.
        keep_logs: as of `Lab`.
    """

    def __init__(self, directory: Path | None = None, keep_logs: bool = False) -> None:
        super().__init__(directory, keep_logs)
        self.aws.containers = {
            "DOCKER_HOST": self.engine.socket,
            "DOCKER_CONFIG": str(self.engine.config),
        }
        self.front = Front(self.aws.port, REGION)
        self._ways_out: list[PortForward] = []

    def start(self) -> None:
        """Start every part, and create the cluster and its ledger."""
        super().start()
        self.front.start()
        for port in (self.aws.port, self.front.port, self.redis.port):
            self._ways_out.append(out_of(self.namespaces, port))
        self.operator = Operator(self.front, CLUSTER)
        self.aws.ledger_table(TABLE)

    def close(self) -> None:
        """End everything."""
        self.front.close()
        for way in self._ways_out:
            way.close()
        super().close()

    def environment(self, queues: Queues, **settings: str) -> dict[str, str]:
        """Return the environment of a bridge or a worker for the cluster, with its ledger."""
        ours = {"ECS_CLUSTERS": CLUSTER, "ECS_LEDGER": TABLE, "ECS_OPT_IN": "false"}
        made = super().environment(queues, **{**ours, **settings})
        del made["DOCKER_HOST"]
        return {**made, "AWS_ENDPOINT_URL_ECS": self.front.endpoint}

    def spawn(self, name: str, *argv: str, env: Mapping[str, str]) -> Process:
        """Start a process in the lab's network."""
        return super().spawn(name, *self.namespaces.command(*argv), env=env)

    def swarm_worker(self, queues: Queues) -> Process:
        """Start a worker for the Swarm of the lab's engine, and wait until it is ready."""
        env = {**self.environment(queues), "DOCKER_HOST": self.docker_host}
        env = {name: value for name, value in env.items() if not name.startswith("DEPLOYER_ECS_")}
        worker = self.spawn("swarm", sys.executable, "-m", "celery", "-A", "deployer", "worker", env=env)
        wait_until(lambda: " ready." in worker.text, 30, "the Swarm's worker", every=0.02)
        return worker

    def deployer(self, queues: Queues, *argv: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the `deployer` command in the lab's network."""
        command = self.namespaces.command(sys.executable, "-m", "deployer", *argv)
        env = self.environment(queues, **settings)
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)

    # -- services ----------------------------------------------------------------------------------

    def create_service(self, name: str, *containers: Json, wait: bool = True, **more: object) -> Json:
        """Create a service of the cluster, and wait until its tasks run.

        Args:
            name: its name.
            containers: of its first revision.
            wait: until as many tasks run as are wanted.
            more: as of `Operator.create`.
        """
        service = self.operator.create(name, *containers, **more)  # type: ignore[arg-type]
        if wait:
            wait_until(lambda: self.steady(name), 60, f"the tasks of {name}")
        return service

    def steady(self, name: str) -> bool:
        """Return whether a service's deployment is complete and all of its tasks run."""
        service = self.operator.service(name)
        primary = next(one for one in service["deployments"] if one["status"] == "PRIMARY")
        done = primary["rolloutState"] == "COMPLETED"
        return bool(done and service["runningCount"] >= service["desiredCount"])

    def running(self, name: str) -> list[str]:
        """Return the digests that a service's tasks run, one for each of their containers, sorted."""
        tasks = self.operator.tasks(name)
        return sorted(
            one.get("imageDigest") or one["image"].partition("@")[2]
            for task in tasks
            for one in task["containers"]
            if task["lastStatus"] == "RUNNING"
        )

    def addresses(self, service: str) -> list[str]:
        """Return the addresses of the running containers of an ECS service, one for each of its tasks."""
        found = []
        for task in self.operator.tasks(service):
            runs = [one["runtimeId"] for one in task["containers"] if one.get("runtimeId")]
            if task["lastStatus"] == "RUNNING" and runs:
                networks = self.engine.get(f"/containers/{runs[0]}/json")["NetworkSettings"]["Networks"]
                found += [one["IPAddress"] for one in networks.values()][:1]
        return found

    def clear(self) -> None:
        """Delete all services, of the Swarm too, and all that is remembered of them."""
        for arn in self.front.send("ListServices", {"cluster": CLUSTER}).get("serviceArns", []):
            gone = {"cluster": CLUSTER, "service": arn, "force": True}
            self.front.send("UpdateService", {"cluster": CLUSTER, "service": arn, "desiredCount": 0})
            self.front.send("DeleteService", gone)
        for arn in self.front.send("ListTaskDefinitions", {}).get("taskDefinitionArns", []):
            self.front.send("DeregisterTaskDefinition", {"taskDefinition": arn})
        self.front.forget()
        ledger = self.aws.client("dynamodb")
        for item in ledger.scan(TableName=TABLE)["Items"]:
            ledger.delete_item(TableName=TABLE, Key={"id": item["id"]})
        super().clear()
        self.engine.remove_containers()


def web(reference: str, name: str = "web", **more: object) -> Json:
    """Return a container of an image in the lab's ECR, given as repository and tag or digest."""
    return container(name, f"{HOST}/{reference}", memory=64, **more)  # type: ignore[arg-type]
