"""What ECR knows of an image: asked over HTTP of a stand-in that takes nothing but what botocore's model has."""

import pytest
from ecr_proofs import OURS as ACTIONS
from ecr_proofs import checked
from test_assume_role import OURS, Cloud
from test_assume_role import cloud as _cloud

from deployer.errors import AccessDeniedError, TemporaryError
from deployer.model.evidence import Scanned
from deployer.model.image import Image
from deployer.policies.proofs import Verify
from deployer.registries import manifests
from deployer.registries.credentials import Registries

cloud = _cloud
DIGESTS = [f"sha256:{number * 64}" for number in "12"]
IMAGE = Image.parse(f"{OURS}.dkr.ecr.us-east-1.amazonaws.com/team/api@{DIGESTS[0]}")
PROFILE = f"arn:aws:signer:us-east-1:{OURS}:/signing-profiles/release"


@pytest.fixture
def answers(cloud, monkeypatch):
    """By digest what the stand-in says."""
    told, plain = {}, Cloud.ecr

    def ecr(self, target, headers):
        action = target.rpartition(".")[2]
        if action not in ACTIONS or action in self.refuse:
            return plain(self, target, headers)
        return checked(action, self.body, told[self.body["imageId"]["imageDigest"]])

    monkeypatch.setattr(Cloud, "ecr", ecr)
    monkeypatch.setattr(manifests, "children_of", lambda *_: DIGESTS)
    return told


def statuses(*found):
    return {"signingStatuses": [{"signingProfileArn": PROFILE, **one} for one in found]}


@pytest.mark.parametrize(
    ("answer", "verify", "reason"),
    [
        (statuses({"status": "COMPLETE"}), "aws-signer", None),
        (statuses({"status": "COMPLETE"}), "aws-signer:release", None),
        (statuses({"status": "COMPLETE"}), "aws-signer:other", "signing profile other has not signed it"),
        (statuses({"status": "IN_PROGRESS"}), "aws-signer", "ECR's managed signing has not ended yet"),
        (
            statuses({"status": "FAILED", "failureCode": "AccessDenied", "failureReason": "no"}),
            "aws-signer:release",
            "signing profile release has failed: AccessDenied no",
        ),
        (statuses(), "aws-signer", "ECR's managed signing has not signed it"),
    ],
)
def test_managed_signing(answers, answer, verify, reason):
    answers[DIGESTS[0]] = answer
    found = Registries().unproved(IMAGE, Verify.parse(verify))
    assert (found and found.reason) == reason


def found(status, **counts):
    told = {"imageScanStatus": {"status": status, "description": ""}}
    return {**told, "imageScanFindings": {"findingSeverityCounts": counts}} if counts else told


def test_the_findings_of_all_platforms_count(answers):
    answers |= dict(
        zip(DIGESTS, (found("COMPLETE", CRITICAL=1, LOW=2), found("ACTIVE", CRITICAL=2)), strict=True)
    )
    scan = Registries().scan(IMAGE)
    assert (scan.state, scan.counts) == (Scanned.DONE, {"critical": 3, "low": 2})


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (found("IN_PROGRESS"), Scanned.RUNNING, "its scan is under way"),
        ("ScanNotFoundException", Scanned.RUNNING, "ECR has not scanned it yet"),
        (found("UNSUPPORTED_IMAGE"), Scanned.IMPOSSIBLE, "ECR cannot scan it: UNSUPPORTED_IMAGE"),
        (found("FAILED"), Scanned.IMPOSSIBLE, "ECR cannot scan it: FAILED"),
    ],
)
def test_a_scan_that_is_not_done(answers, answer, state, reason):
    answers |= dict(zip(DIGESTS, (found("COMPLETE"), answer), strict=True))
    scan = Registries().scan(IMAGE)
    assert (scan.state, scan.reason) == (state, reason)


def test_a_refusal_names_the_permission_and_an_outage_is_temporary(answers, cloud):
    cloud.refuse["DescribeImageScanFindings"] = "AccessDeniedException"
    with pytest.raises(AccessDeniedError, match="ecr:DescribeImageScanFindings for team/api"):
        Registries().scan(IMAGE)
    answers[DIGESTS[0]] = "ServerException"
    with pytest.raises(TemporaryError, match="ecr:DescribeImageSigningStatus"):
        Registries().unproved(IMAGE, Verify("aws-signer"))
