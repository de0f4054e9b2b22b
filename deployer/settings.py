"""Settings: environment variables with the prefix `DEPLOYER_`, or files of the same name in lower case
under `/run/secrets` (Docker's secrets). Read by `app` and `celeryconfig` only.

An unknown `DEPLOYER_*` variable is an error that suggests the right name, because a misspelt setting
that is silently ignored is found out in production.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from deployer.aws.accounts import Role, roles
from deployer.aws.sqs import LONGEST_POLL
from deployer.broker.redis_url import parse_redis_url
from deployer.errors import SettingsError
from deployer.model.suggest import did_you_mean
from deployer.policies.patterns import glob
from deployer.policies.values import Choice, Count, Duration, parse_address, parse_flag, parse_rate
from deployer.registries.logins import parse_logins

PREFIX = "DEPLOYER_"
SECRETS = Path("/run/secrets")
MIN_SECRET = 16  # characters of a webhook's secret
MAX_SAID = 60  # characters of a value that an error quotes


def _text(parse: Callable[[str], Any]) -> BeforeValidator:
    """Return a validator that parses what the environment says, and leaves a default as it is."""
    return BeforeValidator(partial(_parsed, parse))


def _parsed(parse: Callable[[str], Any], value: object) -> object:
    return parse(value) if isinstance(value, str) else value


def _split_words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _secret(parse: Callable[[str], Any]) -> AfterValidator:
    """Return a validator that only looks at a secret."""

    def check(value: SecretStr) -> SecretStr:
        parse(value.get_secret_value())
        return value

    return AfterValidator(check)


def _redis_url(value: SecretStr) -> SecretStr:
    return SecretStr(parse_redis_url(value.get_secret_value()))


def pairs(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the values of each key of words that are `key=value`."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        key, _, value = word.partition("=")
        found[key] = (*found.get(key, ()), value)
    return found


def _hook_secrets(text: str) -> dict[str, tuple[str, ...]]:
    found = pairs(text.replace(",", " ").split())
    for secrets in found.values():
        if any(len(secret) < MIN_SECRET or not secret.isascii() for secret in secrets):
            raise ValueError(f"`sender=secret`, each secret of {MIN_SECRET} or more ASCII characters")
    return found


def _networks(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        try:
            ip_network(word)
        except ValueError:
            raise ValueError("it may be addresses and networks, such as 10.0.0.0/8") from None
    return words


def _globs(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        glob(word)  # raises ValueError
    return words


def _filter_label(text: str) -> str:
    if not re.fullmatch(r"[^=\s]+(=.*)?", text):
        raise ValueError("it may be a label's name, or name=value, such as deployed-by=deployer")
    return text


Words = Annotated[tuple[str, ...], NoDecode, _text(_split_words)]
Extra = Literal["replication", "pull-through-cache"]
POLL_WAIT = _text(Count(1, LONGEST_POLL))
MAX_ROLLOUTS = _text(Count(0, 10_000))
WEBHOOK_RATE = _text(Count(1, 1_000_000))
ROLLOUT_TIMEOUT = _text(Duration(5))
SETTLE = _text(Duration(0))
RECONCILE_INTERVAL = _text(Duration(10, zero=True))
CREDENTIALS_MAX_AGE = _text(Duration(600, 39_600, zero=True))  # ECR's tokens live for twelve hours
_EXTRA = Choice(("replication", "pull-through-cache"))


def _extra(text: str) -> tuple[str, ...]:
    return tuple(map(_EXTRA, _split_words(text)))


class Settings(BaseSettings):
    """Everything that can be set; the descriptions are the reference documentation."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", env_ignore_empty=True)

    queue: str | None = Field(
        None, description="events queue, name or URL (a URL needs no GetQueueUrl permission)"
    )
    task_queue: Words = Field(
        (),
        description="task queue, name or URL: the Celery broker; the bridge takes several, comma-separated",
    )
    poll_wait: Annotated[int, POLL_WAIT] = Field(
        LONGEST_POLL,
        description="seconds that a request for messages waits at SQS for one; an idle worker or bridge "
        "takes up to so long to stop, and makes 3600 ÷ so many requests an hour",
    )
    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] | None = Field(
        None,
        description="Redis for results, history, Flower and remote control; deployments do not need it",
    )
    filter_label: Annotated[str | None, _text(_filter_label)] = Field(
        None,
        description="`key` or `key=value`: only services that carry this label",
    )
    accept_events: Annotated[tuple[Extra, ...], NoDecode, _text(_extra)] = Field(
        (),
        description="further kinds of event that count as a push: `replication`, `pull-through-cache`",
    )
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], _text(Choice(("DEBUG", "INFO", "WARNING", "ERROR")))
    ] = Field("INFO", description="how much is logged")
    log_format: Annotated[Literal["logfmt", "json"], _text(Choice(("logfmt", "json")))] = Field(
        "logfmt", description="`logfmt` (key=value) or `json`, one line each"
    )
    rate_limit: Annotated[str | None, _text(parse_rate)] = Field(
        None,
        description="updates begun per worker, Celery's notation, e.g. `30/m`",
    )
    max_rollouts: Annotated[int, MAX_ROLLOUTS] = Field(
        0, description="roll-outs under way at once in the whole Swarm, 0 = no limit"
    )
    rollout_timeout: Annotated[float, ROLLOUT_TIMEOUT] = Field(
        900,
        description="time until a roll-out that has not converged counts as failed: seconds, or `15m`, `2h`",
    )
    rollback: Annotated[bool, _text(parse_flag)] = Field(
        True, description="a failed roll-out goes back to the previous digest"
    )
    settle: Annotated[float, SETTLE] = Field(
        0, description="time that a tag must be quiet before its push is rolled out"
    )
    reconcile_interval: Annotated[float, RECONCILE_INTERVAL] = Field(
        900, description="time between two looks for pushes whose event never came, 0 = never (beat)"
    )
    credentials_max_age: Annotated[float, CREDENTIALS_MAX_AGE] = Field(
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
    metrics_address: Annotated[str | None, _text(parse_address)] = Field(
        None,
        description="`host:port` or port where worker, bridge and webhook serve `/metrics` for Prometheus",
    )
    health_file: Path | None = Field(
        None,
        description="where each part says every few seconds how it is, for `deployer health`",
    )
    allow_repositories: Annotated[Words, AfterValidator(_globs)] = Field(
        (),
        description="repositories, as `host/path` with `*` and `?`, that a service may be moved to by an "
        "update with `allow_repository_change`; none if empty",
    )
    assume_roles: Annotated[tuple[Role, ...], NoDecode, _text(roles)] = Field(
        (),
        description="roles to assume for ECR, `<account>=<ARN>` or `<account>=<ARN>?external-id=<id>`, "
        "separated by white space or commas; other accounts are asked with our own credentials",
    )
    logins: Annotated[SecretStr, _secret(parse_logins)] | None = Field(
        None,
        description="logins at registries, `name@host=user:password`, separated by white space; a service "
        "chooses one with the label `deployer.login`, in place of ECR's token and the Docker configuration",
    )

    @property
    def named_logins(self) -> dict[str, tuple[str, str, str]]:
        """Return host, user and password of each login in the clear; never log them."""
        return parse_logins(self.logins.get_secret_value()) if self.logins else {}

    webhook_secrets: Annotated[SecretStr, _secret(_hook_secrets)] | None = Field(
        None,
        description="`sender=secret`, separated by commas or white space: who may call `deployer webhook` "
        "(docs/webhooks.md); a sender that stands here twice may use either",
    )
    webhook_hosts: Words = Field(
        (),
        description="`sender=registry`, where a hook does not name it as services do; JFrog needs it",
    )
    webhook_rate: Annotated[int, WEBHOOK_RATE] = Field(
        120, description="hooks in a minute that one address may send, and that one sender may"
    )
    webhook_proxies: Annotated[Words, AfterValidator(_networks)] = Field(
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
        return _hook_secrets(self.webhook_secrets.get_secret_value()) if self.webhook_secrets else {}

    def need(self, name: str) -> str:
        """Return the value of a setting that this command cannot do without.

        Raises:
            SettingsError: it is not set.
        """
        value = getattr(self, name)
        if not value:
            described = type(self).model_fields[name].description
            raise SettingsError(f"{variable(name)} is not set ({described})")
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
