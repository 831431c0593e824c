"""The meaning of each class of error, in one table, for HTTP and the command line.

A class that is not in the table has the meaning of its base.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

from jobx import errors
from jobx.errors import JobxError

#: What happened before the error: nothing, perhaps everything, or everything.
Happened: TypeAlias = Literal["nothing", "maybe", "done"]
#: Who caused it; ``author`` wrote the handler, ``operator`` runs JobX.
Fault: TypeAlias = Literal["caller", "author", "operator", "ours", "environment"]
#: What must come before another try: time, a look at what happened, a changed call, a mended
#: system; or no try can succeed.
Again: TypeAlias = Literal["later", "look", "changed", "mended", "never"]

# Exit codes of the command line; docs/commands.md has them.
OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
TAKEN: Final = 4
INVALID: Final = 5
UNAVAILABLE: Final = 6
STORE: Final = 7
UNKNOWN: Final = 8
INTERNAL: Final = 70
INTERRUPTED: Final = 130


class Meaning(NamedTuple):
    """One row. An error of ``Unavailable`` itself has the time before another try."""

    happened: Happened
    fault: Fault
    again: Again
    status: int
    title: str
    exit_code: int


_ROWS: Final[dict[type[JobxError], tuple[Happened, Fault, Again, int, str, int]]] = {
    errors.JobxError: ("maybe", "ours", "look", 500, "JobX failed", INTERNAL),
    errors.InvalidInput: (
        "nothing", "caller", "changed", 400, "The request is wrong", INVALID,
    ),
    errors.ConfigError: (
        "nothing", "operator", "mended", 500, "JobX is set up wrong", INVALID,
    ),
    errors.SettingsRefused: (
        "nothing", "operator", "mended", 500, "JobX is set up wrong", INVALID,
    ),
    errors.WorkflowRefused: (
        "nothing", "author", "changed", 400, "The workflow is wrong", INVALID,
    ),
    errors.TooLarge: (
        "nothing", "caller", "changed", 413, "The request is too large", INVALID,
    ),
    errors.UnsupportedMedia: (
        "nothing", "caller", "changed", 415, "The media type is not supported", INVALID,
    ),
    errors.KeyReused: (
        "nothing", "caller", "changed", 422,
        "The Idempotency-Key belongs to another request", INVALID,
    ),
    errors.ArgumentsRefused: (
        "nothing", "caller", "changed", 422, "The job does not take these arguments", INVALID,
    ),
    errors.ExpectationFailed: (
        "nothing", "caller", "changed", 417, "What is expected cannot be done", INVALID,
    ),
    errors.ForeignOrigin: (
        "nothing", "caller", "never", 403, "It is not for pages of other origins", INVALID,
    ),
    errors.WrongHost: (
        "nothing", "caller", "changed", 421, "It is not for this server", INVALID,
    ),
    errors.BodyTooSlow: (
        "nothing", "caller", "changed", 408, "The request took too long", INVALID,
    ),
    errors.NotFound: ("nothing", "caller", "changed", 404, "It does not exist", NOT_FOUND),
    errors.AlreadyExists: ("nothing", "caller", "changed", 409, "It exists already", TAKEN),
    errors.InUse: ("nothing", "caller", "changed", 409, "It is in use", TAKEN),
    errors.NotEnded: ("nothing", "caller", "later", 409, "It has not ended yet", TAKEN),
    errors.Conflict: ("nothing", "caller", "look", 409, "Somebody else changed it", TAKEN),
    errors.Unavailable: (
        "nothing", "environment", "later", 503, "Try again later", UNAVAILABLE,
    ),
    errors.NodeLost: ("maybe", "environment", "look", 504, "It took too long", UNKNOWN),
    errors.DeadlineExceeded: (
        "maybe", "environment", "look", 504, "It took too long", UNAVAILABLE,
    ),
    errors.OutcomeUnknown: (
        "maybe", "environment", "look", 504, "It may have happened", UNKNOWN,
    ),
    errors.StoreFull: ("nothing", "operator", "mended", 507, "The store is full", STORE),
    errors.StoreRefused: (
        "nothing", "operator", "mended", 507, "The store cannot be written", STORE,
    ),
    errors.FrameError: ("maybe", "ours", "look", 500, "JobX failed", INTERNAL),
    errors.Damaged: (
        "nothing", "environment", "mended", 500, "What was written is damaged", STORE,
    ),
    errors.FormUnknown: (
        "nothing", "operator", "mended", 500, "A newer JobX wrote it", STORE,
    ),
    errors.BlobUnreadable: (
        "nothing", "operator", "mended", 500, "What was written cannot be read", STORE,
    ),
    errors.HandlerFailed: ("done", "author", "mended", 500, "The handler failed", FAILED),
    errors.RequestFailed: ("done", "author", "mended", 500, "The request failed", FAILED),
    errors.RequestCancelled: (
        "done", "caller", "changed", 409, "The request was cancelled", FAILED,
    ),
    errors.InternalError: ("maybe", "ours", "look", 500, "JobX failed", INTERNAL),
}  # fmt: skip
TABLE: Final = {cls: Meaning(*row) for cls, row in _ROWS.items()}


def meaning_of(kind: type[JobxError]) -> Meaning:
    """Return the meaning of an error class."""
    return next(TABLE[base] for base in kind.__mro__ if base in TABLE)


def may_have_happened(error: JobxError) -> bool:
    """Tell whether the failed call may have been carried out, or started."""
    return meaning_of(type(error)).happened != "nothing"
