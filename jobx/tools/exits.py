"""Exit codes of the command line: one table, documented in ``docs/commands.md``."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

from jobx import errors

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3
TAKEN: Final = 4
INVALID: Final = 5
UNAVAILABLE: Final = 6
STORE: Final = 7
INTERNAL: Final = 70
INTERRUPTED: Final = 130

#: The most specific class of an error decides.
_CODES: Final = MappingProxyType(
    {
        errors.RequestFailed: FAILED,
        errors.NotFound: NOT_FOUND,
        errors.AlreadyExists: TAKEN,
        errors.InUse: TAKEN,
        errors.Conflict: TAKEN,
        errors.InvalidInput: INVALID,
        errors.Unavailable: UNAVAILABLE,
        errors.DeadlineExceeded: UNAVAILABLE,
        errors.OutcomeUnknown: UNAVAILABLE,
        errors.StoreFull: STORE,
        errors.StoreRefused: STORE,
        errors.BlobDamaged: STORE,
        errors.JobxError: INTERNAL,
    }
)


def code_of(error: errors.JobxError) -> int:
    """Return the exit code of an error."""
    return next(_CODES[cls] for cls in type(error).__mro__ if cls in _CODES)
