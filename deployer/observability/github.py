"""GitHub's deployments: each roll-out of an image that tells its repository and commit, with its states.

From GitHub's REST API ("Deployments", "Deployment statuses"). A deployment of GitHub is found again by its
payload, so that any worker can tell its end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import urllib3

from deployer.observability.hook import post, refuse
from deployer.observability.outbox import News

API = "https://api.github.com"
MAX_TEXT = 140  # characters of a description
_SOURCE = re.compile(
    r"(?:https://|git@)github\.com[/:]([A-Za-z0-9-]{1,39})/([A-Za-z0-9._-]{1,100}?)(?:\.git)?/?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_STATES = {"updated": "success", "failed": "failure", "rolled-back": "failure", "superseded": "inactive"}


class GitHub:
    """Tells GitHub of deployments.

    Args:
        token: that may write deployments.
        described: returns the labels of an image, by its whole reference.
        api: the URL of the API, for GitHub Enterprise another one.
    """

    def __init__(self, token: str, described: Callable[[str], Mapping[str, str]], api: str = API) -> None:
        self._api, self._described = api.rstrip("/"), described
        self._headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/vnd.github+json",
            "X-GitHub-Api-Version": "2022-11-28",
            "User-Agent": "swarm-ecr-deployer",
            "Content-Type": "application/json",
        }
        self._pool = urllib3.PoolManager(retries=False)

    def __call__(self, news: News) -> None:
        """Tell the state of a deployment, if its image says which commit it is of.

        Raises:
            TemporaryError, PermanentError: GitHub has not taken it.
        """
        state = "in_progress" if news.kind == "begun" else _STATES.get(str(news.data.get("outcome")))
        image = news.data.get("image")
        if state is None or not image:
            return
        labels = self._described(str(image))  # a registry that does not answer is asked again
        source = _SOURCE.fullmatch(labels.get("org.opencontainers.image.source", ""))
        commit = labels.get("org.opencontainers.image.revision", "")
        if not source or not _COMMIT.fullmatch(commit):
            return
        place = f"/repos/{source[1]}/{source[2]}/deployments"
        number = self._find(place, commit, news) or self._create(place, commit, news)
        text = str(news.data.get("reason") or news.kind)[:MAX_TEXT]
        self._ask("POST", f"{place}/{number}/statuses", {"state": state, "description": text})

    def _find(self, place: str, commit: str, news: News) -> int | None:
        query = f"?sha={commit}&environment={quote(news.service, safe='')}&per_page=20"
        for one in self._ask("GET", place + query):
            payload = one.get("payload")
            payload = json.loads(payload) if isinstance(payload, str) and payload else payload
            if isinstance(payload, dict) and payload.get("deployment") == news.task:
                return int(one["id"])
        return None

    def _create(self, place: str, commit: str, news: News) -> int:
        wanted = {
            "ref": commit,
            "environment": news.service,
            "auto_merge": False,
            "required_contexts": [],
            "description": "swarm-ecr-deployer",
            "payload": {"deployment": news.task},
        }
        return int(self._ask("POST", place, wanted)["id"])

    def _ask(self, method: str, path: str, members: Mapping[str, Any] | None = None) -> Any:
        body = json.dumps(members).encode() if members is not None else None
        status, said = post(self._pool, method, self._api + path, body, self._headers)
        refuse(status, f"GitHub (DEPLOYER_GITHUB_TOKEN) to {method} {path.partition('?')[0]}")
        return json.loads(said)
