"""ECS's answers that are none of success, before anybody has made an error or an HTTP response of them."""

from __future__ import annotations


class Refusal(Exception):  # noqa: N818 - as it reads where it is raised
    """A request that ECS does not carry out.

    Args:
        code: ECS's, `InvalidParameterException`.
        message: ECS's.
        status: of HTTP.
    """

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


def invalid(message: str) -> Refusal:
    """Return the refusal of a member's value."""
    return Refusal("InvalidParameterException", message)


def client(message: str) -> Refusal:
    """Return the refusal of an action on something that is not there, or not in a state for it."""
    return Refusal("ClientException", message)
