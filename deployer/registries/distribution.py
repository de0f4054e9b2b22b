"""The tags of a repository, asked of the registry itself: `GET /v2/<name>/tags/list`.

The protocol is OCI's distribution specification ("Listing Tags"). Of the link to the next page only the query
counts. A list that is cut off is an error, because a choice from half of the tags could be a wrong one.
"""

from __future__ import annotations

from deployer.errors import PermanentError
from deployer.model.image import Image, is_tag
from deployer.policies.ranking import Tag
from deployer.registries.conversation import Conversation
from deployer.rollouts.ports import Credentials

PAGE = 1000  # tags asked for at once; many registries give fewer
MAX_PAGES, MAX_TAGS = 100, 100_000


def listed(image: Image, credentials: Credentials | None) -> list[Tag]:
    """All tags of an image's repository; the protocol tells neither times nor digests.

    Args:
        image: any of the repository.
        credentials: for its registry; None for an anonymous request.

    Raises:
        NotFoundError: the registry has no such repository.
        AccessDeniedError: it refuses these credentials.
        TemporaryError: it cannot be reached, throttles or answers 5xx.
        PermanentError: it lists too much, in a circle, or does not speak the protocol.
    """
    names: dict[str, None] = {}
    query: str | None = f"n={PAGE}"
    seen: set[str] = set()
    question, missing = f"the tags of {image.repository}", f"repository {image.repository}"
    with Conversation(image, credentials, question, missing) as registry:
        while query is not None:
            if query in seen:
                raise PermanentError(
                    f"registry {image.host} lists the tags of {image.repository} in a circle"
                )
            seen.add(query)
            page, query = _page(registry, query)
            names.update(dict.fromkeys(page))
            if len(names) > MAX_TAGS or (query is not None and len(seen) >= MAX_PAGES):
                raise too_many(image)
    return [Tag(name) for name in names]


def too_many(image: Image) -> PermanentError:
    """Return the error for a repository that is too big to choose from."""
    return PermanentError(
        f"{image.host}/{image.repository} has more than {MAX_TAGS} tags or {MAX_PAGES} pages of them; "
        "let the registry expire old ones"
    )


def _page(registry: Conversation, query: str) -> tuple[list[str], str | None]:
    """Return the tags of one page, and the query of the next one or None."""
    answer = registry.ask(f"tags/list?{query}")
    tags = registry.json(answer.body).get("tags")
    if tags is not None and not isinstance(tags, list):
        raise registry.stranger()
    names = [tag for tag in tags or () if isinstance(tag, str) and is_tag(tag)]
    return names, answer.link.partition("?")[2] if answer.link else None
