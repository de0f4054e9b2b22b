"""The values of settings, as people write them: what each may be, and what an error says.

Validators raise ValueError with words of our own; the setting's name and the value are added to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from ipaddress import ip_network
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr
from pydantic_settings import NoDecode

from deployer.aws.sqs import LONGEST_POLL
from deployer.broker.redis_url import parse_redis_url
from deployer.model.label_names import POLICY
from deployer.model.service import LabelError
from deployer.policies.patterns import glob
from deployer.policies.tag_policy import Policy
from deployer.policies.values import Choice, Count, Duration

MIN_SECRET = 16  # characters of a webhook's secret


def text_by(parse: Callable[[str], Any]) -> BeforeValidator:
    """Return a validator that parses what the environment says, and leaves a default as it is."""
    return BeforeValidator(partial(_parsed, parse))


def _parsed(parse: Callable[[str], Any], value: object) -> object:
    return parse(value) if isinstance(value, str) else value


def _split_words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def secret_by(parse: Callable[[str], Any]) -> AfterValidator:
    """Return a validator that only looks at a secret."""

    def check(value: SecretStr) -> SecretStr:
        parse(value.get_secret_value())
        return value

    return AfterValidator(check)


def redis_url(value: SecretStr) -> SecretStr:
    """Check a Redis URL, and write it as its readers understand it."""
    return SecretStr(parse_redis_url(value.get_secret_value()))


def pairs(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the values of each key of words that are `key=value`."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        key, _, value = word.partition("=")
        found[key] = (*found.get(key, ()), value)
    return found


def hook_secrets(text: str) -> dict[str, tuple[str, ...]]:
    """Read the secrets of each sender of hooks."""
    found = pairs(text.replace(",", " ").split())
    for secrets in found.values():
        if any(len(secret) < MIN_SECRET or not secret.isascii() for secret in secrets):
            raise ValueError(f"`sender=secret`, each secret of {MIN_SECRET} or more ASCII characters")
    return found


_KEY = re.compile(r"(?P<name>[A-Za-z0-9_.-]{1,64})=(?P<key>/\S+|[A-Za-z0-9+/]+={0,2})")


def cosign_keys(text: str) -> dict[str, str]:
    """Read public keys by name: `release=/run/secrets/cosign.pub`, or a PEM's base64 text in one line."""
    found = {}
    for word in text.split():
        match = _KEY.fullmatch(word.strip(","))
        if not match or match["name"] in found:
            raise ValueError(
                "it may be `name=path` of a public key in PEM (or `name=` and its base64 lines in one), each "
                "name once, such as release=/run/secrets/cosign.pub"
            )
        found[match["name"]] = match["key"]
    return found


def networks(words: tuple[str, ...]) -> tuple[str, ...]:
    """Check addresses and networks."""
    for word in words:
        try:
            ip_network(word)
        except ValueError:
            raise ValueError("it may be addresses and networks, such as 10.0.0.0/8") from None
    return words


_QUEUE = re.compile(r"[A-Za-z0-9_-]{1,80}(\.fifo)?|https?://\S+")  # CreateQueue, `QueueName`


def queue(text: str) -> str:
    """Check the name or URL of a queue."""
    if not _QUEUE.fullmatch(text):
        kind = "that is an ARN; " if text.startswith("arn:") else ""
        raise ValueError(f"{kind}it may be the name of a queue, such as {_name_in(text)}, or its URL")
    return text


def _name_in(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", text.rpartition(":")[2].rpartition("/")[2]).strip("-") or "pushes"


def queues(words: tuple[str, ...]) -> tuple[str, ...]:
    """Check names and URLs of queues."""
    if any(len(word.split()) > 1 for word in words):
        raise ValueError("several queues have commas between them, and a name or URL has no space")
    return tuple(map(queue, words))


def globs(words: tuple[str, ...]) -> tuple[str, ...]:
    """Check globs of repositories."""
    for word in words:
        glob(word)  # raises ValueError
    return words


def filter_label(text: str) -> str:
    """Check the label of DEPLOYER_FILTER_LABEL."""
    if not re.fullmatch(r"[^=\s]+(=.*)?", text):
        raise ValueError("it may be a label's name, or name=value, such as deployed-by=deployer")
    return text


Words = Annotated[tuple[str, ...], NoDecode, text_by(_split_words)]
Extra = Literal["replication", "pull-through-cache", "scan"]
POLL_WAIT = text_by(Count(1, LONGEST_POLL))
MAX_ROLLOUTS = text_by(Count(0, 10_000))
WEBHOOK_RATE = text_by(Count(1, 1_000_000))
ROLLOUT_TIMEOUT = text_by(Duration(5))
SETTLE = text_by(Duration(0))
RECONCILE_INTERVAL = text_by(Duration(10, zero=True))
CREDENTIALS_MAX_AGE = text_by(Duration(600, 39_600, zero=True))  # ECR's tokens live for twelve hours
_EXTRA = Choice(("replication", "pull-through-cache", "scan"))


def extra(text: str) -> tuple[str, ...]:
    """Read the further kinds of event that count as a push."""
    return tuple(map(_EXTRA, _split_words(text)))


def policy(text: str) -> str:
    """Check a policy as the label `deployer.policy` has it."""
    try:
        Policy.of({POLICY: text})
    except LabelError as fault:
        raise ValueError(str(fault).removeprefix(f"label {POLICY}={text!r}: ")) from None
    return text


def web_address(value: SecretStr) -> SecretStr:
    """Check the URL of a server; it may hold a password."""
    parts = urlsplit(value.get_secret_value())
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("it may be a URL such as http://prometheus:9090")
    return value


_TABLE = re.compile(r"(?:arn:aws[a-z-]*:dynamodb:[a-z0-9-]+:[0-9]{12}:table/)?[A-Za-z0-9_.-]{3,255}")


def table(text: str) -> str:
    """Check the name or the ARN of a DynamoDB table."""
    if not _TABLE.fullmatch(text):
        raise ValueError("it may be the name or the ARN of a DynamoDB table, such as deployer-ledger")
    return text
