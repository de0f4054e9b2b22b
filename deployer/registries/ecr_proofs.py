"""What ECR knows of an image beside its digest: its own signing, and the findings of its scans.

From the ECR API reference: `DescribeImageSigningStatus`, and `DescribeImageScanFindings`, whose counts basic
and enhanced scanning (Inspector) share.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from deployer.aws.accounts import Accounts
from deployer.aws.errors import code_of
from deployer.model.evidence import Scan, Scanned, Unproved
from deployer.model.image import EcrRegistry, Image

if TYPE_CHECKING:
    from deployer.policies.proofs import Verify

NO_SCAN = "ScanNotFoundException"
RUNNING = {"IN_PROGRESS", "PENDING"}
DONE = {"COMPLETE", "ACTIVE"}  # of basic and of enhanced scanning


def unsigned(accounts: Accounts, registry: EcrRegistry, image: Image, verify: Verify) -> Unproved | None:
    """Return why ECR's managed signing has not signed an image; None if it has.

    Raises:
        AccessDeniedError, NotFoundError, TemporaryError, PermanentError: as of `translated`.
    """
    with accounts.ecr(registry, "ecr:DescribeImageSigningStatus", f"for {image.repository}") as client:
        told = client.describe_image_signing_status(**_named(registry, image, image.digest))
    found = [one for one in told.get("signingStatuses") or () if _is_of(one, verify)]
    if any(one.get("status") == "COMPLETE" for one in found):
        return None
    who = f"signing profile {' or '.join(verify.names)}" if verify.names else "ECR's managed signing"
    if not found:
        return Unproved(f"{who} has not signed it")
    failed = next((one for one in found if one.get("status") == "FAILED"), None)
    if failed:
        return Unproved(
            f"{who} has failed: {failed.get('failureCode')} {failed.get('failureReason', '')}".strip()
        )
    return Unproved(f"{who} has not ended yet")


def _is_of(status: Any, verify: Verify) -> bool:
    profile = str(status.get("signingProfileArn", "")).rpartition("/signing-profiles/")[2]
    return not verify.names or profile in verify.names


def scan(accounts: Accounts, registry: EcrRegistry, image: Image, digests: list[str]) -> Scan:
    """Return what ECR's scans of an image have found.

    Args:
        accounts: clients of AWS.
        registry: the image's.
        image: any reference to it.
        digests: of the manifests of all of its platforms.

    Raises:
        AccessDeniedError, NotFoundError, TemporaryError, PermanentError: as of `translated`.
    """
    counts, running = Counter[str](), ""
    for digest in digests:
        status, said, found = _findings(accounts, registry, image, digest)
        if status in RUNNING or status == NO_SCAN:
            running = running or (
                "ECR has not scanned it yet" if status == NO_SCAN else "its scan is under way"
            )
        elif status not in DONE:
            text = f"ECR cannot scan it: {status}{f' ({said})' if said else ''}"
            return Scan(Scanned.IMPOSSIBLE, reason=text)
        counts.update(found)
    return Scan(Scanned.RUNNING, reason=running) if running else Scan(Scanned.DONE, counts)


def _findings(
    accounts: Accounts, registry: EcrRegistry, image: Image, digest: str
) -> tuple[str, str, dict[str, int]]:
    """Return the status of a manifest's scan, what ECR says of it, and the number of findings by severity."""
    action = "ecr:DescribeImageScanFindings"
    with accounts.ecr(registry, action, f"for {image.repository}") as client:
        try:  # the counts are of all pages
            told: Any = client.describe_image_scan_findings(**_named(registry, image, digest), maxResults=1)
        except ClientError as fault:
            if code_of(fault) != NO_SCAN:
                raise
            return NO_SCAN, "", {}
    status = told.get("imageScanStatus") or {}
    counts = (told.get("imageScanFindings") or {}).get("findingSeverityCounts") or {}
    found = {name.lower(): int(number) for name, number in counts.items()}
    return str(status.get("status", NO_SCAN)), str(status.get("description", ""))[:200], found


def _named(registry: EcrRegistry, image: Image, digest: str | None) -> Any:
    identity = {"imageDigest": digest}
    return {"registryId": registry.account, "repositoryName": image.repository, "imageId": identity}
