"""The events that AWS sends for a push.

Fields as in "Amazon ECR events and EventBridge", Amazon ECR user guide.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from lab import images
from lab.aws import ACCOUNT, REGION


def pushed(repository: str, tag: str, digest: str, at: datetime | None = None) -> dict[str, Any]:
    """Return the `ECR Image Action` of EventBridge; `at` is the time of the push, now if none is given."""
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "ECR Image Action",
        "source": "aws.ecr",
        "account": ACCOUNT,
        "time": (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [],
        "detail": {
            "result": "SUCCESS",
            "repository-name": repository,
            "image-digest": digest,
            "action-type": "PUSH",
            "image-tag": tag,
            "manifest-media-type": images.MANIFEST,
            "artifact-media-type": images.CONFIG,
        },
    }
