"""Why work was lost that an executor had, as failures of the invocations in it."""

from __future__ import annotations

from typing import Final

from jobx.errors import FrameError, JobxError, StoreRefused, Unavailable
from jobx.model import Failure
from jobx.system import processes

#: A mapper was kept suspended in an executor that is gone.
KEEPER_GONE: Final = Failure(
    kind="lost",
    type="ExecutorLost",
    message="the executor that held the mapper is gone",
)

#: An executor was parked that kept mappers suspended, and there were too many.
EVICTED: Final = Failure(
    kind="lost",
    type="ExecutorLost",
    message="other workflows needed the place of the executor that held the mapper",
)


def crashed(text: str) -> Failure:
    """Return the failure of what an executor was at when it went; ``text`` says how."""
    return Failure(kind="crash", type="ExecutorCrashed", message=text)


def exited(status: int) -> Failure:
    """Return the failure of what an executor was at that exited.

    Args:
        status: Its exit code, or minus the number of the signal that ended it.
    """
    return crashed(f"the executor {processes.how_ended(status)}")


def unread(reason: str) -> Failure:
    """Return the failure of work that an executor answered with what cannot be read."""
    message = f"the executor's answer cannot be read: {reason}"
    return Failure(kind="protocol", type="BadFrame", message=message)


def unsendable(error: JobxError) -> Failure:
    """Return the failure of what cannot be sent to an executor.

    What a store does not give right now is tried again, as what found no room is.
    """
    if isinstance(error, Unavailable | StoreRefused):
        kind = "disk"
    else:
        kind = "limit" if isinstance(error, FrameError) else "internal"
    return Failure(kind=kind, type=type(error).__name__, message=str(error))
