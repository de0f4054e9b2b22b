"""What the tutorial is run on: a machine without a Swarm, an AWS with nothing in it, and no other network."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cloudformation_lab import ADDRESS, StrictAws
from console import Terminal
from paths import ROOT

from lab import HOST, Lab, container, events
from lab.port_forward import out_of
from lab.push_hook import Pushed, PushHook

# The machine's own address, which its containers reach too (of TEST-NET-2, RFC 5737).
MACHINE = "198.51.100.1"
PREPARE = f"""
ip link add lan0 type veth peer name lan1
ip address add {MACHINE}/24 dev lan0
ip link set lan0 up && ip link set lan1 up
ln -s "$1" /run/docker.sock
"""


class TutorialLab(Lab):
    """The lab without its Swarm, and with an AWS that checks who may do what.

    Args:
        directory: where everything lies.
        images: images of Docker Hub, each with the one of this machine that stands in for it.
        variables: more of the shell's environment.
    """

    aws: StrictAws

    def __init__(self, directory: Path, images: Mapping[str, str], variables: Mapping[str, str]) -> None:
        super().__init__(directory, keep_logs=True)
        self.aws = StrictAws(directory / "cloud", self.logs / "aws.log", host=MACHINE)
        self._images, self._variables = images, variables
        self._aws_inside = out_of(self.namespaces, self.aws.port, ADDRESS)
        self._hook = PushHook(self.namespaces, self._pushed)
        self.registry.notified = self._hook.url

    def start(self) -> None:
        """Bring the machine to where the tutorial begins."""
        super().start()
        self.docker("swarm", "leave", "--force")
        prepare = ["sh", "-ec", PREPARE, "prepare", str(self.engine.root / "docker.sock")]
        self.spawn("prepare", *self.namespaces.command(*prepare), env=os.environ).join()
        self._make_images()
        self.home = self.directory / "home"
        self.work = self.directory / "swarm-ecr-deployer"
        for path in (self.home, self.work):
            path.mkdir()
        container.sources(self.work)
        shutil.copy(ROOT / ".dockerignore", self.work)
        shutil.copytree(ROOT / "deploy", self.work / "deploy")

    def _make_images(self) -> None:
        container.base(self)
        container.programs(self, "lab/redis", ["redis-server", "redis-cli"], 999, ["data"])
        container.programs(self, "lab/haproxy", ["haproxy"], 0)
        container.programs(self, "lab/busybox", [], 0)
        with tempfile.TemporaryDirectory() as made:
            shutil.copy(self.aws.certificate, Path(made) / "aws.pem")
            trust = f"ENV AWS_ENDPOINT_URL={self.endpoint} AWS_CA_BUNDLE=/aws.pem"
            (Path(made) / "Dockerfile").write_text(f"FROM {container.BASE}\nCOPY aws.pem /\n{trust}\n")
            self.docker("build", "--quiet", "--tag", "lab/python", made)
        for name, ours in self._images.items():
            self.docker("tag", ours, name)
            if name.startswith(HOST):
                self.docker("push", "--quiet", name)

    @property
    def endpoint(self) -> str:
        """Where AWS is, for the machine and its containers."""
        return f"https://{MACHINE}:{self.aws.port}"

    def terminal(self) -> Terminal:
        """A shell of the person who follows the tutorial, in a clone of the repository."""
        tools, scripts = self.directory / "tools", self.directory / "scripts"
        for path in (tools, scripts):
            path.mkdir()
        (tools / "aws").symlink_to(Path(sys.executable).with_name("aws"))
        env = {
            "PATH": f"/usr/sbin:/usr/bin:/sbin:/bin:{tools}",
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "xterm",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_CA_BUNDLE": str(self.aws.certificate),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            **self._variables,
        }
        return Terminal(self.namespaces.command(), self.work, scripts, env)

    def close(self) -> None:
        """End everything."""
        self._hook.close()
        self._aws_inside.close()
        super().close()

    def _pushed(self, push: Pushed) -> None:
        """Tell ECR's API of an image with a tag, then each rule that wants to hear of it.

        The emulator's ECR tells nobody of an image, and its EventBridge takes no event of `aws.ecr` from
        outside: so it is asked whether each rule's pattern matches, and the event is put on the rule's queue.
        """
        ecr = self.aws.client("ecr")
        try:
            ecr.describe_repositories(repositoryNames=[push.repository])
        except ecr.exceptions.RepositoryNotFoundException:
            return  # ECR would not have taken the image
        self.tell_ecr(push.repository, push.tag, push.digest, push.kind)
        event = json.dumps(events.pushed(push.repository, push.tag, push.digest))
        bus, sqs = self.aws.client("events"), self.aws.client("sqs")
        for rule in bus.list_rules()["Rules"]:
            if bus.test_event_pattern(EventPattern=rule["EventPattern"], Event=event)["Result"]:
                for one in bus.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                    url = sqs.get_queue_url(QueueName=one["Arn"].rpartition(":")[2])["QueueUrl"]
                    sqs.send_message(QueueUrl=url, MessageBody=event)
