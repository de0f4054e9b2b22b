"""What the tutorial is run on: a machine without a Swarm, an AWS with nothing in it, and no other network."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cloudformation_lab import ADDRESS, StrictAws
from console import Terminal
from paths import ROOT

from lab import HOST, Lab, container, events
from lab.inward import Inward

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
        self._hub = Pushes(self)
        self._inward = [
            Inward(self.namespaces, self.aws.port, ADDRESS),
            Inward(self.namespaces, self._hub.port),
        ]
        self.registry.notified = f"http://127.0.0.1:{self._hub.port}/"

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
        container.programs(self, "lab/redis", ["/usr/bin/redis-server", "/usr/bin/redis-cli"], 999, ["data"])
        container.programs(self, "lab/haproxy", ["/usr/sbin/haproxy"], 0)
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
        self._hub.close()
        for port in self._inward:
            port.close()
        super().close()


class Pushes:
    """Hears of the registry's pushes and does what ECR and EventBridge do then.

    The emulator's ECR tells nobody of an image, and its EventBridge takes no event of `aws.ecr` from outside:
    so it is asked whether each rule's pattern matches, and the event is put on the queue that the rule names.
    """

    def __init__(self, lab: TutorialLab) -> None:
        self._lab = lab
        pushes = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for event in told["events"]:
                    if event["action"] == "push" and event["target"].get("tag"):
                        pushes.pushed(event["target"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def pushed(self, target: dict[str, Any]) -> None:
        """Tell ECR's API of an image with a tag, then each rule that wants to hear of it."""
        repository, tag, digest, kind = (target[key] for key in ("repository", "tag", "digest", "mediaType"))
        manifest = self._lab.registry.request("GET", f"/v2/{repository}/manifests/{digest}", accept=kind)[2]
        image = {"imageManifest": manifest.decode(), "imageManifestMediaType": kind, "imageTag": tag}
        ecr = self._lab.aws.client("ecr")
        try:
            ecr.put_image(repositoryName=repository, **image)
        except ecr.exceptions.RepositoryNotFoundException:
            return  # ECR would not have taken the image
        event = json.dumps(events.pushed(repository, tag, digest))
        bus, sqs = self._lab.aws.client("events"), self._lab.aws.client("sqs")
        for rule in bus.list_rules()["Rules"]:
            if bus.test_event_pattern(EventPattern=rule["EventPattern"], Event=event)["Result"]:
                for one in bus.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                    url = sqs.get_queue_url(QueueName=one["Arn"].rpartition(":")[2])["QueueUrl"]
                    sqs.send_message(QueueUrl=url, MessageBody=event)

    def close(self) -> None:
        """Hear no more."""
        self._server.shutdown()
        self._server.server_close()
