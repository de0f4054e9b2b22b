"""ECS's published limits on requests, for each account and region, as token buckets. Pure.

Figures: "Request throttling for the Amazon ECS API", Amazon ECS API Reference.
"""

from __future__ import annotations

from lab.ecs.refusal import Refusal

# By category: the size of the bucket, and how many requests a second it is filled with.
CATEGORIES: dict[str, tuple[float, float]] = {
    "definition writes": (20, 1),
    "definition reads": (50, 20),
    "service writes": (50, 5),
    "service reads": (100, 20),
    "task reads": (100, 20),
    "task writes": (100, 40),
    "tags": (20, 10),
    "service deployments": (50, 20),
    "service revisions": (50, 20),
    "clusters": (50, 20),
}
CATEGORY = {
    "RegisterTaskDefinition": "definition writes",
    "DeregisterTaskDefinition": "definition writes",
    "DescribeTaskDefinition": "definition reads",
    "ListTaskDefinitions": "definition reads",
    "ListTaskDefinitionFamilies": "definition reads",
    "CreateService": "service writes",
    "UpdateService": "service writes",
    "DeleteService": "service writes",
    "DescribeServices": "service reads",
    "ListServices": "service reads",
    "ListTasks": "task reads",
    "DescribeTasks": "task reads",
    "RunTask": "task writes",
    "StopTask": "task writes",
    "TagResource": "tags",
    "UntagResource": "tags",
    "ListTagsForResource": "tags",
    "ListServiceDeployments": "service deployments",
    "DescribeServiceDeployments": "service deployments",
    "StopServiceDeployment": "service deployments",
    "ContinueServiceDeployment": "service deployments",
    "DescribeServiceRevisions": "service revisions",
    "DescribeClusters": "clusters",
    "ListClusters": "clusters",
    "CreateCluster": "clusters",
}


class Buckets:
    """The buckets of one account and region."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}  # by category: tokens, and as of when

    def take(self, action: str, now: float) -> None:
        """Take a token.

        Args:
            action: ECS's name of it.
            now: in seconds, by any clock that goes forward.

        Raises:
            Refusal: there is none left.
        """
        category = CATEGORY.get(action)
        if category is None:
            return
        size, rate = CATEGORIES[category]
        tokens, then = self._left.get(category, (size, now))
        tokens = min(size, tokens + (now - then) * rate)
        if tokens < 1 - 1e-9:
            self._left[category] = (tokens, now)
            raise Refusal("ThrottlingException", "Rate exceeded")
        self._left[category] = (tokens - 1, now)
