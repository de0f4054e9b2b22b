"""What labels and settings demand of an image: who has signed it, and how many findings a scan may have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

AWS_SIGNER, COSIGN = "aws-signer", "cosign"
# ECR's `FindingSeverity`, the worst first.
SEVERITIES = ("critical", "high", "medium", "low", "informational", "undefined", "untriaged")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True)
class Verify:
    """Who has to have signed an image: one of some keys of cosign, or ECR's managed signing."""

    by: str  # AWS_SIGNER or COSIGN
    names: tuple[str, ...] = ()  # of keys, or of signing profiles (none: any profile)

    @classmethod
    def parse(cls, text: str) -> Verify:
        """Read `aws-signer`, `aws-signer:PROFILE` or `cosign:KEY`; several names have commas between them.

        Raises:
            ValueError: it is none of them.
        """
        by, _, rest = text.strip().partition(":")
        names = tuple(name.strip() for name in rest.split(",") if name.strip())
        known = by in {AWS_SIGNER, COSIGN} and all(map(_NAME.fullmatch, names))
        if not known or (by == COSIGN and not names):
            raise ValueError(
                "it may be aws-signer, aws-signer:<profile> or cosign:<key>, such as cosign:release"
            )
        return cls(by, names)

    def __str__(self) -> str:
        return f"{self.by}:{','.join(self.names)}" if self.names else self.by


@dataclass(frozen=True)
class Findings:
    """How many findings of each severity a scan may have; one that is not named may have any number."""

    most: tuple[tuple[str, int], ...]

    @classmethod
    def parse(cls, text: str) -> Findings:
        """Read `critical:0,high:5`.

        Raises:
            ValueError: it is none.
        """
        most = {}
        for word in filter(None, re.split(r"[\s,]+", text.strip().lower())):
            severity, _, number = word.partition(":")
            if severity not in SEVERITIES or not re.fullmatch("[0-9]{1,6}", number) or severity in most:
                raise ValueError(
                    f"it may be numbers of findings by severity ({', '.join(SEVERITIES)}), "
                    "such as critical:0,high:5"
                )
            most[severity] = int(number)
        return cls(tuple(most.items()))

    def exceeded(self, counts: Mapping[str, int]) -> str | None:
        """Return which of them a scan exceeds, None if it keeps to all."""
        over = [
            f"{counts[name]} {name} ({most} allowed)"
            for name, most in self.most
            if counts.get(name, 0) > most
        ]
        return ", ".join(over) or None
