"""Settings: environment variables with the prefix `DEPLOYER_`, or files of the same name in lower case
under `/run/secrets` (Docker's secrets). Read by `app` and `celeryconfig` only.

An unknown `DEPLOYER_*` variable is an error that suggests the right name, because a misspelt setting
that is silently ignored is found out in production.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from deployer.aws.accounts import Role, roles
from deployer.aws.sqs import LONGEST_POLL
from deployer.errors import SettingsError
from deployer.model.suggest import did_you_mean
from deployer.policies.proofs import Verify
from deployer.policies.values import Choice, Count, parse_address, parse_flag, parse_rate
from deployer.registries.logins import parse_logins
from deployer.settings import values
from deployer.targets.ecs.cluster import Cluster, parse_clusters

PREFIX = "DEPLOYER_"
SECRETS = Path("/run/secrets")
MAX_SAID = 60  # characters of a value that an error quotes


class Settings(BaseSettings):
    """Everything that can be set; the descriptions are the reference documentation."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", env_ignore_empty=True)

    queue: Annotated[str | None, values.text_by(values.queue)] = Field(
        None, description="events queue, name or URL (a URL needs no GetQueueUrl permission)"
    )
    task_queue: Annotated[values.Words, AfterValidator(values.queues)] = Field(
        (),
        description="task queue, name or URL: the Celery broker; the bridge takes several, comma-separated",
    )
    poll_wait: Annotated[int, values.POLL_WAIT] = Field(
        LONGEST_POLL,
        description="seconds that a request for messages waits at SQS for one; an idle worker or bridge "
        "takes up to so long to stop, and makes 3600 ÷ so many requests an hour",
    )
    redis_url: Annotated[SecretStr, AfterValidator(values.redis_url)] | None = Field(
        None,
        description="Redis for results, history, Flower and remote control; deployments do not need it",
    )
    policy: Annotated[str | None, values.text_by(values.policy)] = Field(
        None,
        description="the policy of services that have no label `deployer.policy`, such as `glob:*`; if it is "
        "not set, they follow the tag that they run",
    )
    filter_label: Annotated[str | None, values.text_by(values.filter_label)] = Field(
        None,
        description="`key` or `key=value`: only services that carry this label",
    )
    accept_events: Annotated[tuple[values.Extra, ...], NoDecode, values.text_by(values.extra)] = Field(
        (),
        description="further kinds of event that count: `replication`, `pull-through-cache`, `scan`",
    )
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"],
        values.text_by(Choice(("DEBUG", "INFO", "WARNING", "ERROR"))),
    ] = Field("INFO", description="how much is logged")
    log_format: Annotated[Literal["logfmt", "json"], values.text_by(Choice(("logfmt", "json")))] = Field(
        "logfmt", description="`logfmt` (key=value) or `json`, one line each"
    )
    rate_limit: Annotated[str | None, values.text_by(parse_rate)] = Field(
        None,
        description="updates begun per worker, Celery's notation, e.g. `30/m`",
    )
    max_rollouts: Annotated[int, values.MAX_ROLLOUTS] = Field(
        0, description="roll-outs under way at once in the whole Swarm, 0 = no limit"
    )
    rollout_timeout: Annotated[float, values.ROLLOUT_TIMEOUT] = Field(
        900,
        description="time until a roll-out that has not converged counts as failed: seconds, or `15m`, `2h`",
    )
    rollback: Annotated[bool, values.text_by(parse_flag)] = Field(
        True, description="a failed roll-out goes back to the previous digest"
    )
    settle: Annotated[float, values.SETTLE] = Field(
        0, description="time that a tag must be quiet before its push is rolled out"
    )
    reconcile_interval: Annotated[float, values.RECONCILE_INTERVAL] = Field(
        900, description="time between two looks for pushes whose event never came, 0 = never (beat)"
    )
    credentials_max_age: Annotated[float, values.CREDENTIALS_MAX_AGE] = Field(
        21_600, description="age at which an idle service's ECR credentials are renewed, 0 = never (beat)"
    )
    notify_urls: SecretStr | None = Field(
        None,
        description="Apprise URLs, separated by white space; a target given as `name=URL` hears of the "
        "services whose label `deployer.notify` names it, one without a name of all",
    )
    notify_template: str = Field(
        "$service: $outcome, $image ($reason; $by, $duration s)",
        description="one line of a notification, in the words of Python's `string.Template`",
    )
    metrics_address: Annotated[str | None, values.text_by(parse_address)] = Field(
        None,
        description="`host:port` or port where worker, bridge and webhook serve `/metrics` for Prometheus",
    )
    health_file: Path | None = Field(
        None,
        description="where each part says every few seconds how it is, for `deployer health`",
    )
    allow_repositories: Annotated[values.Words, AfterValidator(values.globs)] = Field(
        (),
        description="repositories, as `host/path` with `*` and `?`, that a service may be moved to by an "
        "update with `allow_repository_change`; none if empty",
    )
    verify: Annotated[Verify | None, NoDecode, values.text_by(Verify.parse)] = Field(
        None,
        description="who has to have signed every image before its roll-out begins, `cosign:<key>` or "
        "`aws-signer`, beside what the label `deployer.verify` demands",
    )
    cosign_keys: Annotated[dict[str, str], NoDecode, values.text_by(values.cosign_keys)] = Field(
        default_factory=dict,
        description="public keys by name, `release=/run/secrets/cosign.pub`, separated by white space, for "
        "`cosign:release`",
    )
    prometheus_url: Annotated[SecretStr, AfterValidator(values.web_address)] | None = Field(
        None, description="the Prometheus that is asked for the queries of `deployer.query`"
    )
    no_data: Annotated[Literal["pass", "fail"], values.text_by(Choice(("pass", "fail")))] = Field(
        "pass",
        description="what silence of an alarm or query means at the end of a bake: `pass` or `fail`",
    )
    hook_url: Annotated[SecretStr, AfterValidator(values.web_address)] | None = Field(
        None, description="where the outgoing hook posts what happens to deployments, as CloudEvents"
    )
    hook_secret: SecretStr | None = Field(
        None, description="signs the outgoing hook (Standard Webhooks): `whsec_` and base64, or any text"
    )
    github_token: SecretStr | None = Field(
        None, description="writes GitHub's deployments for images that tell their repository and commit"
    )
    github_api: str = Field("https://api.github.com", description="GitHub's API; that of GitHub Enterprise")
    task_logs: Annotated[int, values.text_by(Count(0, 100))] = Field(
        0, description="lines of a failing task's log that its report has, with secrets masked; 0 for none"
    )
    assume_roles: Annotated[tuple[Role, ...], NoDecode, values.text_by(roles)] = Field(
        (),
        description="roles to assume for ECR and ECS, `<account>=<ARN>` or "
        "`<account>=<ARN>?external-id=<id>`, separated by white space or commas; other accounts are asked "
        "with our own credentials",
    )
    logins: Annotated[SecretStr, values.secret_by(parse_logins)] | None = Field(
        None,
        description="logins at registries, `name@host=user:password`, separated by white space; a service "
        "chooses one with the label `deployer.login`, in place of ECR's token and the Docker configuration",
    )

    @property
    def named_logins(self) -> dict[str, tuple[str, str, str]]:
        """Return host, user and password of each login in the clear; never log them."""
        return parse_logins(self.logins.get_secret_value()) if self.logins else {}

    ecs_clusters: Annotated[tuple[Cluster, ...], NoDecode, values.text_by(parse_clusters)] = Field(
        (),
        description="clusters of Amazon ECS to deploy to in place of a Swarm, separated by white space or "
        "commas: `prod`, `eu-north-1/staging`, `123456789012/eu-west-1/prod`",
    )
    ecs_ledger: Annotated[str | None, values.text_by(values.table)] = Field(
        None,
        description="DynamoDB table, name or ARN, for ECS's holds, slots and memory of failures; without it "
        "no hold can be ordered, and two workers may write the same service",
    )
    ecs_opt_in: Annotated[bool, values.text_by(parse_flag)] = Field(
        True,
        description="only services of ECS that carry a label or tag `deployer.…` are ours; `false`: all of "
        "the clusters'",
    )
    webhook_secrets: Annotated[SecretStr, values.secret_by(values.hook_secrets)] | None = Field(
        None,
        description="`sender=secret`, separated by commas or white space: who may call `deployer webhook` "
        "(docs/webhooks.md); a sender that stands here twice may use either",
    )
    webhook_hosts: values.Words = Field(
        (),
        description="`sender=registry`, where a hook does not name it as services do; JFrog needs it",
    )
    webhook_rate: Annotated[int, values.WEBHOOK_RATE] = Field(
        120, description="hooks in a minute that one address may send, and that one sender may"
    )
    webhook_proxies: Annotated[values.Words, AfterValidator(values.networks)] = Field(
        (),
        description="addresses and networks of proxies whose `X-Forwarded-For` tells who sends a hook",
    )

    @property
    def redis(self) -> str | None:
        """Return the Redis URL in the clear; never log it."""
        return self.redis_url.get_secret_value() if self.redis_url else None

    @property
    def hook_secrets(self) -> dict[str, tuple[str, ...]]:
        """Return the secrets of each sender of hooks in the clear; never log them."""
        return values.hook_secrets(self.webhook_secrets.get_secret_value()) if self.webhook_secrets else {}

    def need(self, name: str) -> str:
        """Return the value of a setting that this command cannot do without.

        Raises:
            SettingsError: it is not set.
        """
        value = getattr(self, name)
        if not value:
            described = type(self).model_fields[name].description
            raise SettingsError(f"{variable(name)} is not set: {described}")
        return value if isinstance(value, str) else str(value[0])


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def _unknown_variables() -> list[str]:
    known = {variable(name) for name in Settings.model_fields}
    strange = sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)
    return [f"unknown setting {name}{did_you_mean(name, known, PREFIX)}" for name in strange]


def _invalid(fault: ValidationError) -> list[str]:
    """Return a line for each wrong setting: its name, the value that was given, and what it may be."""
    return [
        f"{variable(str(error['loc'][0]))}{_given(error)}: {_reason(error)}"
        for error in fault.errors(include_url=False)
    ]


def _given(error: Any) -> str:
    kind = repr(Settings.model_fields[str(error["loc"][0])].annotation)
    value = error["input"]
    # A URL with a password may stand in the wrong place.
    if "SecretStr" in kind or "Role" in kind or not isinstance(value, str) or "@" in value:
        return ""
    return f"={value[:MAX_SAID]!r}"


def _reason(error: Any) -> str:
    """Return our own words; pydantic's are for programmers."""
    return str(error["ctx"]["error"]) if error["type"] == "value_error" else str(error["msg"])


@lru_cache(maxsize=1)
def load() -> Settings:
    """Read the settings once for the process.

    Raises:
        SettingsError: an unknown or invalid setting; the message names each of them, and no secret.
    """
    # What all other SDKs of AWS read, boto3 does not.
    if region := os.environ.get("AWS_REGION"):
        os.environ.setdefault("AWS_DEFAULT_REGION", region)
    secrets = SECRETS if SECRETS.is_dir() else None
    complaints = _unknown_variables()
    try:
        # The prefix holds for the files too: /run/secrets/deployer_redis_url.
        settings = Settings(_secrets_dir=secrets)  # type: ignore[call-arg]  # pydantic-settings takes it at run time
    except ValidationError as fault:
        raise SettingsError("; ".join(complaints + _invalid(fault))) from None
    if complaints:
        raise SettingsError("; ".join(complaints))
    return settings
