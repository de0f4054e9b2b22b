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
PRE_COMMAND = "deployer.pre-command"  # on ECS
SCHEDULES = "deployer.schedules"  # on ECS
RUN_JOB = "deployer.run-job"
APPROVE = "deployer.approve"
APPROVE_WITHIN = "deployer.approve-within"
MIN_AGE = "deployer.min-age"
VERIFY = "deployer.verify"
SCAN = "deployer.scan"
BAKE = "deployer.bake"
POST_JOB = "deployer.post-job"
POST_COMMAND = "deployer.post-command"  # on ECS
ALARMS = "deployer.alarms"
QUERY = "deployer.query"
LOGIN = "deployer.login"
HOLD = "deployer.hold"
ROLLBACK = "deployer.rollback"
REQUIRE_WAY_BACK = "deployer.require-way-back"
TIMEOUT = "deployer.timeout"
SETTLE = "deployer.settle"
REPLACE = "deployer.replace"
NOTIFY = "deployer.notify"
CONTAINERS = "deployer.containers"  # on ECS

# What people write behind the name, and what it does; docs/reference.md prints this table.
MEANINGS = {
    ENABLE: ("false", "never touch this service"),
    POLICY: ("<policy>", "which tags are followed: [policies.md](policies.md)"),
    ORDER: ("<order>", "what makes a tag newer: `semver`, `push`, `alphabetical`, `numerical`"),
    ALLOW_TAGS: ("<globs>", "follow only these tags; globs with commas between them, or one `regexp:…`"),
    IGNORE_TAGS: ("<globs>", "never follow these tags"),
    PRERELEASE: ("true", "follow prereleases; `false`: never, even if the service runs one"),
    WINDOW: ("<window>", "when updates may start: `mon-fri 09:00-17:00 Europe/Stockholm`"),
    AFTER: ("<service>", "wait until that service has converged on the same push"),
    PRE_JOB: ("<job service>", "run this Swarm job on the new image first; it must complete"),
    PRE_COMMAND: ("<command>", "on ECS: run this in a task of the new revision first; it must exit with 0"),
    SCHEDULES: (
        "rule/<name> …",
        "on ECS: these run its new revision too; `schedule/<group>/<name>` for EventBridge Scheduler",
    ),
    RUN_JOB: ("true", "this service is a Swarm job; a push runs it again"),
    APPROVE: (
        "<number>",
        "start no roll-out until so many people have approved its digest: `deployer approve`",
    ),
    APPROVE_WITHIN: ("<duration>", "how long an approval is good for; 7d if it is not set"),
    MIN_AGE: ("<duration>", "start no roll-out of a digest that was pushed more recently than that"),
    VERIFY: ("<who>", "start no roll-out of an image that is not signed: `cosign:<key>`, `aws-signer`"),
    SCAN: ("critical:0,high:5", "start no roll-out of an image in which ECR's scan has found more"),
    BAKE: ("<duration>", "after it has converged, tasks must stay up for so long, else it goes back"),
    POST_JOB: (
        "<job service>",
        "run this Swarm job on the new image after it has converged, else it goes back",
    ),
    POST_COMMAND: ("<command>", "on ECS: run this in a task of the new revision then; it must exit with 0"),
    ALARMS: ("<name>,…", "CloudWatch alarms that take it back if they fire in the bake; names or ARNs"),
    QUERY: ("<PromQL>", "a query of Prometheus that takes it back if it returns a sample in the bake"),
    LOGIN: ("<name>", "the login of `DEPLOYER_LOGINS` for its registry"),
    HOLD: ("<reason>", "record pushes but deploy nothing"),
    ROLLBACK: ("false", "leave a failed roll-out as it is (overrides `DEPLOYER_ROLLBACK`)"),
    REQUIRE_WAY_BACK: ("true", "start no roll-out unless the former image is there to go back to"),
    TIMEOUT: ("<duration>", "overrides `DEPLOYER_ROLLOUT_TIMEOUT`; `900`, `15m`, `2h`"),
    SETTLE: ("<duration>", "overrides `DEPLOYER_SETTLE`"),
    REPLACE: ("true", "let a push replace a roll-out at once, instead of waiting for its end"),
    NOTIFY: (
        "<name>,…",
        "targets of `DEPLOYER_NOTIFY_URLS` to notify about this service; `none` for silence",
    ),
    CONTAINERS: ("<name> …", "on ECS: the containers that get the image; the first one's image is followed"),
}
KNOWN = frozenset(MEANINGS)
