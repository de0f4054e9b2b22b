"""The versions that a policy lets follow the one that runs. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from deployer.policies.npm_range import Range
from deployer.policies.versions import Version


@dataclass(frozen=True)
class AllowedVersions:
    """The versions that may follow the one that runs; whether they are higher is for their keys to say."""

    current: Version | None  # what runs; None if that is no version
    kept: int = 0  # how many of its leading numbers must stay
    range: Range | None = None
    prereleases: bool | None = None  # None: while one runs, or where the range names one

    def refuse(self, version: Version) -> str | None:
        """Return the reason why a version may not follow, or None if it may."""
        current = self.current
        if version.bare and not (current and current.bare):
            return "a number alone is no version, unless one runs"
        # With nothing to compare, a pattern says by itself which variants it takes, a range does not.
        if version.variant != (current.variant if current else "") and (current or self.range):
            return "another variant"
        if version.prerelease and not self._takes_prereleases:
            return "a prerelease (deployer.prerelease=true takes them)"
        if self.range and not self.range.holds(version, prereleases=bool(self.prereleases)):
            return f"outside of {self.range}"
        if current and version.numbers[: self.kept] != current.numbers[: self.kept]:
            return f"another {'major' if self.kept == 1 else 'minor'} version"
        return None

    @property
    def _takes_prereleases(self) -> bool:
        if self.prereleases is not None:
            return self.prereleases
        return self.range is not None or (self.current is not None and bool(self.current.prerelease))

    def similarity(self, version: Version) -> tuple[int, ...]:
        """Return what decides between equals: being written like the one that runs, then precision."""
        current = self.current or version
        alike = version.prefixed == current.prefixed, version.precision == current.precision
        return (not version.variant, *alike, version.precision)
