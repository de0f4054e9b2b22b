"""The Redis URL, written so that Celery, kombu and redis-py all read it."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit


def parse_redis_url(text: str) -> str:
    """Return the URL as all its readers understand it; no error quotes any of it.

    They agree on `ssl_cert_reqs=required|optional|none`. Without it Celery refuses, and kombu speaks no TLS.

    Raises:
        ValueError: it is no URL of a Redis.
    """
    try:
        url = urlsplit(text)
        query = dict(parse_qsl(url.query, strict_parsing=bool(url.query)))
        sound = url.scheme in {"redis", "rediss"} and url.hostname and url.port != 0
    except ValueError:
        sound = False
    if not sound or not re.fullmatch(r"(/\d*)?", url.path):
        raise ValueError("it must look like redis://:password@host:6379/0, or rediss:// for TLS")
    if url.scheme == "redis":
        return text
    checks = query.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if checks not in {"required", "optional", "none"}:
        raise ValueError("ssl_cert_reqs must be required, optional or none")
    return urlunsplit(url._replace(query=urlencode(query | {"ssl_cert_reqs": checks})))
