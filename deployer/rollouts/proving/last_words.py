"""The last lines that a failing task has logged, for who reads why it failed (DEPLOYER_TASK_LOGS)."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from deployer.errors import DeployerError, printable
from deployer.rollouts.core import Core
from deployer.rollouts.decision import Case

log = logging.getLogger(__name__)

MAX_LINE, MAX_ALL = 300, 4000  # characters
MASK = "***"
# What looks like a secret. It is a net, not a promise: docs/monitoring.md.
_SECRETS = re.compile(
    r"""
    (?P<url>[a-z][a-z0-9+.-]*://[^/\s:@]*:)[^@\s/]+(?=@)               # a password in a URL
    | \b(?:AKIA|ASIA)[A-Z0-9]{16}\b                                     # the id of an AWS key
    | (?P<name>["']?[\w.-]*(?:password|passwd|pwd|secret|token|api_?key|access_?key|credential)[\w.-]*["']?
        \s*[=:]\s*)(?:"[^"]*"|'[^']*'|[^\s,;&}]+)
    | (?P<auth>\b(?:bearer|basic)\s+)[A-Za-z0-9+/_.~=-]{8,}
    | \beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*            # a JSON Web Token
    | \b(?:gh[pousr]_|github_pat_|xox[abpr]-|sk-|whsec_)[A-Za-z0-9_-]{8,}
    """,
    re.IGNORECASE | re.VERBOSE,
)
_KEY_BEGINS, _KEY_ENDS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"), re.compile(r"-----END ")


def last_words(core: Core, case: Case) -> tuple[str, ...]:
    """Return the last lines of the failing task of a service, masked; none where it is not asked for.

    Never raises: what nobody can read keeps no service from going back.
    """
    number = core.rules.task_logs
    if not number:
        return ()
    try:
        return masked(core.target.last_words(case.snapshot.service, number))
    except DeployerError as fault:
        name = case.snapshot.service.name
        log.warning("The last words of service %s cannot be read: %s", name, fault)
    return ()


def masked(lines: Iterable[str]) -> tuple[str, ...]:
    """Return lines without what looks like a secret, as many of the last ones as a message can bear."""
    found, inside = list[str](), False
    for line in lines:
        begins, ends = _KEY_BEGINS.search(line), _KEY_ENDS.search(line)
        inside = inside or bool(begins)
        if not inside:
            found.append(printable(_SECRETS.sub(_mask, line))[:MAX_LINE].rstrip())
        elif begins:
            found.append(MASK)
        inside = inside and not ends
    while sum(map(len, found)) > MAX_ALL:
        found.pop(0)
    return tuple(line for line in found if line)


def _mask(found: re.Match[str]) -> str:
    kept = found["url"] or found["name"] or found["auth"] or ""
    return f"{kept}{MASK}"
