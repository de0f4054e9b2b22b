"""A Swarm in memory with its operators, a registry, and deployments that are advanced by hand."""

from __future__ import annotations

from dataclasses import replace

from deployer.errors import NotFoundError
from deployer.model.deployment import Report, Request
from deployer.model.evidence import Scan, Scanned, Unproved
from deployer.model.image import Image
from deployer.policies.ranking import Tag
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.rollouts.fleet import survey
from deployer.rollouts.ledger.slots import Observer
from deployer.rollouts.ports import Credentials
from deployer.targets.swarm.memory import MemoryEngine, Operator, service_spec
from deployer.targets.swarm.target import SwarmTarget

REPOSITORY = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/web"
WEB = f"{REPOSITORY}:latest"


def digest(n: int) -> str:
    return f"sha256:{n:064x}"


class World(SwarmTarget):
    """One service `web` or more, and all that can happen to them."""

    def __init__(self, **rules) -> None:
        self.swarm = MemoryEngine()
        super().__init__(self.swarm)
        self.operator = Operator(self.swarm)
        self.rules = Rules(**rules)
        self.lists_digests = True
        self.pushed = {}  # by digest, where the registry tells when
        self.tells_age = False
        self.signed, self.scans, self.asked = set(), {}, []  # (digest, key), by digest, what was asked
        self.deployer = self.worker()

    def worker(self, skew: float = 0.0) -> Deployer:
        """Another worker, whose clock may be ahead by some seconds."""
        clock = lambda: self.swarm.timeline.begin + self._since(skew)  # noqa: E731
        observer = Observer(lambda: self.swarm.timeline.seconds)
        return Deployer(self, self, self.rules, clock=clock, observer=observer)

    def _since(self, skew):
        from datetime import timedelta

        return timedelta(seconds=self.swarm.timeline.seconds + skew)

    # -- what happens

    def push(self, n, tag="latest", crashing=False):
        self.swarm.digests[f"{REPOSITORY}:{tag}"] = digest(n)
        self.pushed.setdefault(digest(n), self.deployer.clock())
        if crashing:
            self.swarm.images.crashing.add(digest(n))

    def create(self, n=1, name="web", tag="latest", **options):
        self.swarm.create_service(
            service_spec(name, f"{REPOSITORY}:{tag}@{digest(n)}", **options), running=True
        )
        self.wait(1)

    def wait(self, seconds):
        self.swarm.timeline.advance(seconds)

    def deploy(self, task="t", name="web", limit=4000, until=None, worker=None, **request) -> Report:
        """Follow a deployment to its end, or until a condition holds after a look."""
        request = Request(**{"deployment_id": task, "trigger": "event", **request})
        watch, worker = None, worker or self.deployer
        for _ in range(limit):
            step = worker.advance(name, request, watch)
            if isinstance(step, Report) or (until and until(step)):
                return step
            watch = step.watch
            request = replace(request, waiting=step.waiting, pre_job=step.pre_job)
            self.wait(step.seconds)
        raise AssertionError(f"the deployment does not end: {step}")

    def begin(self, task="t", **request):
        """A deployment whose worker dies after its write."""
        return self.deploy(task, until=lambda step: step.watch, **request)

    def reconcile(self):
        """One periodic look, and the deployments that it enqueues."""
        late = [one for one in survey.survey(self.deployer).behind if one.now]
        return [self.deploy(f"{one.service}-{one.wanted}", one.service, trigger="reconcile") for one in late]

    # -- how it stands

    def n(self, name="web"):
        """The number of the digest that a service should run."""
        return int(self.read(name, self.deployer.clock()).service.image.digest.removeprefix("sha256:"), 16)

    @property
    def writes(self):
        """The numbers of the digests that were written."""
        return [int(image.rpartition(":")[2], 16) for _, image in self.swarm.written]

    def spec(self, name="web"):
        return self.swarm.service(name)["Spec"]

    def status(self, name="web"):
        return (self.swarm.service(name).get("UpdateStatus") or {}).get("State")

    # -- the registry

    def manifest(self, image, credentials):
        if image.digest in self.swarm.images.lost:
            raise NotFoundError(f"the registry has no {image}")
        return super().manifest(image, credentials)

    def credentials(self, image, login=None):
        return Credentials("AWS", "token", image.host)

    def tags(self, image, login=None):
        every = {Image.parse(name): value for name, value in self.swarm.digests.items()}
        found = [(one.tag, value) for one, value in every.items() if one.same_repository(image)]
        age = self.pushed.get if self.tells_age else lambda _: None
        return [Tag(tag, age(value), value if self.lists_digests else None) for tag, value in found]

    def unproved(self, image, verify, login=None):
        self.asked.append(f"signature {image.digest[-1]}")
        good = any((image.digest, name) in self.signed for name in verify.names)
        return None if good else Unproved(f"{verify} has not signed it")

    def scan(self, image, login=None):
        self.asked.append(f"scan {image.digest[-1]}")
        return self.scans.get(image.digest, Scan(Scanned.RUNNING, reason="ECR has not scanned it yet"))

    def renew(self, image):
        pass

    def forget(self, image):
        return False
