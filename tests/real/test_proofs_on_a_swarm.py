"""Signatures and scans on a real Swarm, with a real signature in cosign's format in a real registry."""

import base64
import json
import socket
import time
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from ecr_proofs import Proofs
from pushes import WEB
from test_gates_on_a_swarm import FAST, deployer

from deployer.model.deployment import Outcome, Report, Request
from deployer.registries import conversation, cosign, manifests
from deployer.registries.credentials import Registries
from deployer.reports.explain import explain
from deployer.rollouts.decision import Rules
from deployer.rollouts.deployer import Deployer
from deployer.targets.swarm.client import DockerSwarm
from lab import HOST
from lab.images import digest_of
from lab.lab import ECR_ADDRESS

pytestmark = pytest.mark.real
PROFILE = "arn:aws:signer:eu-central-1:123456789012:/signing-profiles/"
KEY = ec.generate_private_key(ec.SECP256R1())


def sign(lab, digest, key=KEY):
    """What `cosign sign --key` pushes beside an image."""
    repository = WEB.partition(":")[0]
    critical = {
        "identity": {"docker-reference": ""},
        "image": {"docker-manifest-digest": digest},
        "type": cosign.KIND,
    }
    payload, config = json.dumps({"critical": critical, "optional": None}).encode(), b"{}"
    for content in (payload, config):
        lab.registry._store(repository, content)
    signature = base64.b64encode(key.sign(payload, ec.ECDSA(SHA256()))).decode()
    layer = {
        "mediaType": cosign.PAYLOAD,
        "digest": digest_of(payload),
        "size": len(payload),
        "annotations": {cosign.SIGNATURE: signature},
    }
    kind = "application/vnd.oci.image.manifest.v1+json"
    described = {
        "mediaType": "application/vnd.oci.image.config.v1+json",
        "digest": digest_of(config),
        "size": 2,
    }
    manifest = {"schemaVersion": 2, "mediaType": kind, "config": described, "layers": [layer]}
    lab.registry.put_manifest(repository, f"sha256-{digest[7:]}.sig", json.dumps(manifest).encode(), kind)


def scanned(**counts):
    return {"imageScanStatus": {"status": "COMPLETE"}, "imageScanFindings": {"findingSeverityCounts": counts}}


class Inside(Registries):
    """Asks registries from where they are; a worker of a real Swarm sees them from wherever it runs."""

    def unproved(self, image, verify, login=None):
        if verify.by != "cosign":  # AWS is out here
            return super().unproved(image, verify, login)
        self.credentials(image, login)
        return self.lab.namespaces.call(lambda: super(Inside, self).unproved(image, verify, login))


@pytest.fixture
def swarm(lab, monkeypatch, tmp_path):
    """A core on the real engine and the real registry, with ECR's proofs by the stand-in."""
    ecr = Proofs(lab.aws.endpoint)
    for name, value in {**lab.environment(lab.aws.queues()), "AWS_ENDPOINT_URL_ECR": ecr.url}.items():
        if name.startswith(("AWS", "DOCKER")):
            monkeypatch.setenv(name, value)
    monkeypatch.setattr(conversation, "CERTIFICATES", lab.namespaces.certificates)
    resolve = socket.getaddrinfo
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda host, *rest, **more: resolve({HOST: ECR_ADDRESS}.get(host, host), *rest, **more),
    )
    # The manifest of one platform, which the engine has told already.
    monkeypatch.setattr(manifests, "children_of", lambda image, _: [image.digest])
    key = tmp_path / "cosign.pub"
    key.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    registries = Inside(cosign_keys={"release": str(key)})
    registries.lab = lab
    core = Deployer(DockerSwarm(), registries, Rules())
    core.target.ecr = ecr
    lab.push(WEB, "v1")
    yield core
    ecr.close()


def deploy(core, **request):
    """Follow a deployment to its end, or to a wait for a proof."""
    request, watch = Request("t1", "manual", **request), None
    while True:
        step = core.advance("web", request, watch)
        if isinstance(step, Report) or step.reason.startswith("waits for"):
            return step
        watch, request = step.watch, replace(request, waiting=step.waiting)
        time.sleep(step.seconds)


def test_only_what_is_signed_goes_out(lab, swarm):
    lab.create("web", WEB, *FAST, "--label", "deployer.verify=cosign:release", port=8101)
    forged = lab.push(WEB, "forged")
    assert deploy(swarm).reason == (
        "waits for a signature: its registry has no signature of it (cosign key release has to sign it)"
    )
    sign(lab, forged, ec.generate_private_key(ec.SECP256R1()))
    step = deploy(swarm, force=True)
    assert step.reason == "waits for a signature: none of its 1 signatures is of cosign key release"
    told = explain(swarm, "web")
    assert (told.outcome, told.rule) == ("waiting", "its signature is proved")
    assert lab.page(8101) == "v1"
    sign(lab, lab.push(WEB, "v2"))
    assert deploy(swarm).outcome is Outcome.UPDATED
    assert lab.page(8101) == "v2"


def test_a_key_that_is_not_there_holds_at_once_and_says_so(lab, queues):
    lab.worker(queues, VERIFY="cosign:release")
    lab.push(WEB, "v1")
    lab.create("web", WEB, *FAST, port=8101)
    lab.push(WEB, "v2")
    done = deployer(lab, queues, "update", "web", "--force", "--wait")
    assert done.returncode == 5
    assert "there is no cosign key 'release' (DEPLOYER_COSIGN_KEYS has none)" in done.stdout
    assert lab.page(8101) == "v1"


def test_a_scan_and_ecrs_own_signature_decide(lab, swarm):
    ecr = swarm.target.ecr
    labels = ("--label", "deployer.scan=critical:0", "--label", "deployer.verify=aws-signer")
    lab.create("web", WEB, *FAST, *labels, port=8101)
    bad = lab.push(WEB, "v2")
    assert deploy(swarm).reason == "waits for a signature: ECR's managed signing has not signed it"
    signed = {"signingStatuses": [{"signingProfileArn": f"{PROFILE}release", "status": "COMPLETE"}]}
    ecr.signatures[bad] = signed
    assert deploy(swarm).reason == "waits for its scan: ECR has not scanned it yet"
    ecr.scans[bad] = scanned(CRITICAL=2)
    held = deploy(swarm)
    assert held.outcome is Outcome.HELD
    assert held.reason == "its scan has found 2 critical (0 allowed) (label deployer.scan)"
    good = lab.push(WEB, "v3")
    ecr.signatures[good], ecr.scans[good] = signed, scanned(LOW=7)
    assert deploy(swarm).outcome is Outcome.UPDATED
    assert lab.page(8101) == "v3"
