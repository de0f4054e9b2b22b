"""Settings: environment variables with the prefix `DEPLOYER_`, or files of the same name in lower case
under `/run/secrets` (Docker's secrets). Read by `app` and `celeryconfig` only.

An unknown `DEPLOYER_*` variable is an error that suggests the right name, because a misspelt setting
that is silently ignored is found out in production.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from deployer.aws.accounts import Role, roles
from deployer.errors import SettingsError
from deployer.policies.patterns import glob

PREFIX = "DEPLOYER_"
SECRETS = Path("/run/secrets")
_LOGIN = re.compile(
    r"(?P<name>[A-Za-z0-9][\w.-]*)@(?P<host>[A-Za-z0-9.:\[\]-]+)=(?P<user>[^:]+):(?P<password>.+)"
)
MIN_SECRET = 16  # characters of a webhook's secret


def _words(value: object) -> object:
    """Split a comma-separated text; anything else is left for the validation to judge."""
    if isinstance(value, str):
        return tuple(word.strip() for word in value.split(",") if word.strip())
    return value


def _roles(value: object) -> object:
    """Read `ACCOUNT=ARN …`; anything else is left for the validation to judge."""
    return roles(value) if isinstance(value, str) else value


def _named_logins(text: str) -> dict[str, tuple[str, str, str]]:
    """Read `name@host=user:password …`; no error quotes any of it.

    Raises:
        ValueError: one is malformed, or there are two of one name.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for number, word in enumerate(text.split(), 1):
        match = _LOGIN.fullmatch(word)
        if not match:
            raise ValueError(
                f"login {number} is no name@host=user:password (nor may one contain white space)"
            )
        if match["name"] in found:
            raise ValueError(f"login {number} has the name of another one")
        found[match["name"]] = (match["host"], match["user"], match["password"])
    return found


def _checked_logins(value: SecretStr) -> SecretStr:
    _named_logins(value.get_secret_value())
    return value


def pairs(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The values of each key of words that are `key=value`."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        key, _, value = word.partition("=")
        found[key] = (*found.get(key, ()), value)
    return found


def _secrets(value: SecretStr | None) -> SecretStr | None:
    # What is said here must not quote them.
    for secrets in pairs(_split(value)).values():
        if any(len(secret) < MIN_SECRET or not secret.isascii() for secret in secrets):
            raise ValueError(f"`sender=secret`, each secret of {MIN_SECRET} or more ASCII characters")
    return value


def _split(value: SecretStr | None) -> list[str]:
    return value.get_secret_value().replace(",", " ").split() if value else []


def _networks(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        ip_network(word)  # raises ValueError
    return words


def _globs(words: tuple[str, ...]) -> tuple[str, ...]:
    for word in words:
        glob(word)  # raises ValueError
    return words


def _redis_url(value: SecretStr) -> SecretStr:
    """Write a URL as Celery, kombu and redis-py all read it; no error quotes any of it.

    They agree on `ssl_cert_reqs=required|optional|none`. Without it Celery refuses, and kombu speaks no TLS.
    """
    try:
        url = urlsplit(value.get_secret_value())
        told = dict(parse_qsl(url.query, strict_parsing=bool(url.query)))
        sound = url.scheme in {"redis", "rediss"} and url.hostname and url.port != 0
    except ValueError:
        sound = False
    if not sound or not re.fullmatch(r"(/\d*)?", url.path):
        raise ValueError("it must look like redis://:password@host:6379/0, or rediss:// for TLS")
    if url.scheme == "redis":
        return value
    checks = told.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if checks not in {"required", "optional", "none"}:
        raise ValueError("ssl_cert_reqs must be required, optional or none")
    return SecretStr(urlunsplit(url._replace(query=urlencode(told | {"ssl_cert_reqs": checks}))))


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_words)]
Extra = Literal["replication", "pull-through-cache"]


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
    redis_url: Annotated[SecretStr, AfterValidator(_redis_url)] | None = Field(
        None,
        description="Redis for results, history, Flower and remote control; deployments do not need it",
    )
    filter_label: str | None = Field(
        None,
        pattern=r"^[^=\s]+(=.*)?$",
        description="`key` or `key=value`: only services that carry this label",
    )
    accept_events: Annotated[tuple[Extra, ...], NoDecode, BeforeValidator(_words)] = Field(
        (),
        description="further kinds of event that count as a push: `replication`, `pull-through-cache`",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="how much is logged")
    log_format: Literal["logfmt", "json"] = Field(
        "logfmt", description="`logfmt` (key=value) or `json`, one line each"
    )
    rate_limit: str | None = Field(
        None,
        pattern=r"^\d+(\.\d+)?(/[smh])?$",
        description="updates begun per worker, Celery's notation, e.g. `30/m`",
    )
    max_rollouts: int = Field(
        0, ge=0, description="roll-outs under way at once in the whole Swarm, 0 = no limit"
    )
    rollout_timeout: float = Field(
        900,
        gt=0,
        le=86_400,
        description="seconds until a roll-out that has not converged counts as failed",
    )
    rollback: bool = Field(True, description="a failed roll-out goes back to the previous digest")
    settle: float = Field(
        0,
        ge=0,
        le=86_400,
        description="seconds that a tag must be quiet before its push is rolled out",
    )
    reconcile_interval: float = Field(
        900,
        ge=0,
        le=86_400,
        description="seconds between two looks for pushes whose event never came, 0 = never (beat)",
    )
    credentials_max_age: float = Field(
        21_600,
        ge=0,
        le=39_600,
        description="seconds after which an idle service's ECR credentials are renewed, 0 = never (beat)",
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
    metrics_address: str | None = Field(
        None,
        pattern=r"^\S*:\d{1,5}$",
        description="`host:port` or `:port` where worker, bridge and webhook serve `/metrics` for Prometheus",
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
    assume_roles: Annotated[tuple[Role, ...], NoDecode, BeforeValidator(_roles)] = Field(
        (),
        description="roles to assume for ECR, `<account>=<ARN>` or `<account>=<ARN>?external-id=<id>`, "
        "separated by white space or commas; other accounts are asked with our own credentials",
    )
    logins: Annotated[SecretStr, AfterValidator(_checked_logins)] | None = Field(
        None,
        description="logins at registries, `name@host=user:password`, separated by white space; a service "
        "chooses one with the label `deployer.login`, in place of ECR's token and the Docker configuration",
    )

    @property
    def named_logins(self) -> dict[str, tuple[str, str, str]]:
        """Host, user and password of each login in the clear; never log them."""
        return _named_logins(self.logins.get_secret_value()) if self.logins else {}

    webhook_secrets: Annotated[SecretStr | None, AfterValidator(_secrets)] = Field(
        None,
        description="`sender=secret`, separated by commas or white space: who may call `deployer webhook` "
        "(docs/webhooks.md); a sender that stands here twice may use either",
    )
    webhook_hosts: Words = Field(
        (),
        description="`sender=registry`, where a hook does not name it as services do; JFrog needs it",
    )
    webhook_rate: int = Field(
        120, gt=0, description="hooks in a minute that one address may send, and that one sender may"
    )
    webhook_proxies: Annotated[Words, AfterValidator(_networks)] = Field(
        (),
        description="addresses and networks of proxies whose `X-Forwarded-For` tells who sends a hook",
    )

    @property
    def redis(self) -> str | None:
        """The Redis URL in the clear; never log it."""
        return self.redis_url.get_secret_value() if self.redis_url else None

    @property
    def hook_secrets(self) -> dict[str, tuple[str, ...]]:
        """The secrets of each sender of hooks in the clear; never log them."""
        return pairs(_split(self.webhook_secrets))

    def need(self, name: str) -> str:
        """The value of a setting that this command cannot do without.

        Raises:
            SettingsError: it is not set.
        """
        value = getattr(self, name)
        if not value:
            described = type(self).model_fields[name].description
            raise SettingsError(f"{variable(name)} is not set ({described})")
        return value if isinstance(value, str) else str(value[0])


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def _unknown_variables() -> list[str]:
    known = {variable(name) for name in Settings.model_fields}
    complaints = []
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            complaints.append(f"{name} is no setting; {hint}")
    return complaints


def _invalid(fault: ValidationError) -> list[str]:
    # The offending value is left out: it may be a password in the wrong place.
    return [f"{variable(str(e['loc'][0]))}: {e['msg']}" for e in fault.errors()]


@lru_cache(maxsize=1)
def load() -> Settings:
    """Read the settings once for the process.

    Raises:
        SettingsError: an unknown or invalid setting; the message names each of them, never its value.
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
