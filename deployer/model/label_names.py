"""The names of the labels that people write on services; nobody else spells them out."""

from __future__ import annotations

PREFIX = "deployer."

ENABLE = "deployer.enable"
POLICY = "deployer.policy"
ORDER = "deployer.order"
ALLOW_TAGS = "deployer.allow-tags"
IGNORE_TAGS = "deployer.ignore-tags"
PRERELEASE = "deployer.prerelease"
WINDOW = "deployer.window"
AFTER = "deployer.after"
PRE_JOB = "deployer.pre-job"
RUN_JOB = "deployer.run-job"
LOGIN = "deployer.login"
HOLD = "deployer.hold"
ROLLBACK = "deployer.rollback"
REQUIRE_WAY_BACK = "deployer.require-way-back"
TIMEOUT = "deployer.timeout"
SETTLE = "deployer.settle"
REPLACE = "deployer.replace"
NOTIFY = "deployer.notify"

KNOWN = frozenset(
    {
        ENABLE, POLICY, ORDER, ALLOW_TAGS, IGNORE_TAGS, PRERELEASE, WINDOW, AFTER, PRE_JOB, RUN_JOB, LOGIN,
        HOLD, ROLLBACK, REQUIRE_WAY_BACK, TIMEOUT, SETTLE, REPLACE, NOTIFY,
    }
)  # fmt: skip
