"""The two kinds of failure, and nothing else decides whether something is tried again.

`TemporaryError`: wait and try again. `PermanentError`: trying again changes nothing, a person has to
act, and the message says how. The edges (`targets`, `registries`, `aws`) translate what their libraries
raise into these two and chain the original (`raise … from`).
"""


class DeployerError(Exception):
    """Any failure that this project knows the meaning of."""


class TemporaryError(DeployerError):
    """The engine, the registry or AWS is not able to answer now: the same request may work later."""


class BusyError(TemporaryError):
    """A quota is used up for now; nothing is wrong.

    Args:
        message: which quota.
        seconds: until there is room for this request again.
    """

    def __init__(self, message: str, seconds: float) -> None:
        super().__init__(message)
        self.seconds = seconds


class StaleVersionError(TemporaryError):
    """The service changed between our read and our write: read it again and decide again."""


class PermanentError(DeployerError):
    """The same request will be refused again until a person changes something."""


class NotFoundError(PermanentError):
    """Something that was asked for does not exist: a service, a tag, a repository."""


class NoSuchServiceError(NotFoundError):
    """The Swarm has no such service, maybe not any more."""


class AccessDeniedError(PermanentError):
    """The credentials are good for nothing here; the message names the permission that is missing."""


class InvalidReferenceError(PermanentError):
    """A text is no image reference of the distribution grammar."""


class DeploymentFailedError(PermanentError):
    """A deployment ended as `failed` or was rolled back: `args` are the message and the whole report.

    Raised by `AsyncResult.get()`, so that nobody takes a failure for a success.
    """

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class SettingsError(PermanentError):
    """A setting is missing or wrong; the message names the variable and the fix."""


def brief(fault: Exception) -> str:
    """Return an error as one line for the log."""
    # The first line only: SQS may answer a bad signature with the request's headers, token and all.
    return f"{type(fault).__name__}: {fault}".split("\n", 1)[0][:300]


# Of labels, events and registries' answers: in a terminal some of these would move the cursor, or do more.
_CONTROLS = dict.fromkeys([*range(32), *range(127, 160)], "\N{REPLACEMENT CHARACTER}") | {9: " ", 10: "\n"}


def printable(text: str) -> str:
    """Replace control characters in untrusted text; the length stays the same."""
    return text.translate(_CONTROLS)
