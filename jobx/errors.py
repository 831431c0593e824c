"""The error tree: one class per decision that a caller can make.

    JobxError
    ├─ InvalidInput            an input is wrong: name it and the reason
    │  ├─ ConfigError          a setting
    │  ├─ TooLarge             a size limit
    │  ├─ UnsupportedMedia     a media type that is not supported
    │  ├─ KeyReused            an Idempotency-Key came back with another body
    │  ├─ ArgumentsRefused     a job does not take these arguments
    │  ├─ ExpectationFailed    a client expects what cannot be done
    │  ├─ ForeignOrigin        a browser sends a request for a page of another origin
    │  ├─ WrongHost            a client addresses another server
    │  └─ BodyTooSlow          a body did not arrive in time
    ├─ SettingsRefused         several settings are wrong
    ├─ WorkflowRefused         the folder of a workflow is wrong
    ├─ NotFound                a named thing does not exist
    ├─ AlreadyExists           a named thing exists
    ├─ InUse                   a named thing is referred to, or still working
    │  └─ NotEnded             a request still runs
    ├─ Unavailable             try again later
    │  ├─ Overloaded           too much is open
    │  ├─ Draining             the node is stopping
    │  ├─ NoCapability         no node offers the capability
    │  ├─ NodeUnreachable      nobody answers at the gateway
    │  └─ StoreUnavailable     the store does not answer; nothing was written
    ├─ NodeLost                the node went away before it answered
    ├─ DeadlineExceeded        a bounded wait ran out
    ├─ StoreFull               no room left: nothing was written
    ├─ StoreRefused            the store cannot be opened or written as it is
    ├─ OutcomeUnknown          a write may or may not have happened
    ├─ Conflict                a conditional write lost its race
    ├─ FrameError              bytes from a peer are not a frame
    ├─ Damaged                 stored data is not the data that was written
    │  ├─ BlobDamaged          a blob is missing or its checksum is wrong
    │  └─ EntryDamaged         an entry of the store is damaged
    │     └─ FormUnknown       only a newer JobX knows its form
    ├─ HandlerFailed           one run of a handler failed, outside of a request
    ├─ BlobUnreadable          a blob exists but cannot be read: the disk, or permissions
    ├─ RequestFailed           a request ended without a result
    │  └─ RequestCancelled     because somebody cancelled it
    └─ InternalError           a fault of JobX itself

An error consists of its constructor arguments: they are kept as ``args``, so that an error can be
sent to another process as its code and arguments (``to_wire``) and raised there again
(``from_wire``). ``__str__`` makes the sentence. ``jobx/meanings.py`` has the meaning of each class
for HTTP and the command line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from typing import ClassVar, Final

#: What msgspec raises for what cannot be read or written: its own errors are ValueErrors; of text
#: that is not UTF-8, of instants that are none, and of values that nest too deep, others tell.
UNREADABLE: Final = (ValueError, TypeError, ArithmeticError, RecursionError)


class JobxError(Exception):
    """Base of every error that JobX raises on purpose.

    A subclass names its own attributes where it names its bases; else it has those of its base.

    Attributes:
        code: Stable slug of the class, used on the wire, over HTTP and by exit codes.
        template: Format string for the sentence, over the constructor's arguments.
    """

    code: ClassVar[str] = "error"
    template: ClassVar[str] = "{0}"

    def __init_subclass__(cls, code: str | None = None, template: str | None = None) -> None:
        cls.code = code or cls.code
        cls.template = template or cls.template

    def __str__(self) -> str:
        return self.template.format(*self.args)

    def to_wire(self) -> dict[str, object]:
        """Return the error as a map of plain values."""
        return {"code": self.code, "args": list(self.args)}


class _One(Exception):
    """Takes one text."""

    def __init__(self, first: str, /) -> None:
        super().__init__(first)


class _Two(Exception):
    """Takes two texts."""

    def __init__(self, first: str, second: str, /) -> None:
        super().__init__(first, second)


class _Three(Exception):
    """Takes three texts."""

    def __init__(self, first: str, second: str, third: str, /) -> None:
        super().__init__(first, second, third)


class InvalidInput(_Three, JobxError, code="invalid-input", template="{0}: {2} (got {1})"):
    """An input is wrong. Args: where, value (as text), reason."""


class ConfigError(InvalidInput, code="config", template="setting {0}: {2} (got {1})"):
    """A setting is wrong. Args: setting, value (as text), reason."""


class SettingsRefused(_One, JobxError, code="settings"):
    """Several settings are wrong. Args: a line for each, as ``ConfigError`` has it."""


class WorkflowRefused(_One, JobxError, code="workflow-refused"):
    """The folder of a workflow is wrong. Args: a line for each fault, as of ``InvalidInput``."""


class TooLarge(InvalidInput, code="too-large"):
    """A size limit was passed. Args: where, value (as text), reason."""


class UnsupportedMedia(InvalidInput, code="unsupported-media"):
    """A media type is not supported. Args: where, value (as text), reason."""


class KeyReused(InvalidInput, code="key-reused"):
    """An Idempotency-Key came back with another body. Args: where, value (as text), reason."""


class ArgumentsRefused(InvalidInput, code="arguments"):
    """A job does not take these arguments. Args: job, value (as text), reason."""


class ExpectationFailed(InvalidInput, code="expectation-failed"):
    """What a client expects cannot be done. Args: where, value (as text), reason."""


class ForeignOrigin(InvalidInput, code="foreign-origin"):
    """A browser sends a request for a page of another origin. Args: where, value, reason."""


class WrongHost(InvalidInput, code="wrong-host"):
    """A client addresses a server of another name. Args: where, value (as text), reason."""


class BodyTooSlow(InvalidInput, code="body-too-slow"):
    """A body did not arrive in time. Args: where, value (as text), reason."""


class NotFound(_Two, JobxError, code="not-found", template="there is no {0} named {1}"):
    """A named thing does not exist. Args: kind, name."""


class AlreadyExists(_Two, JobxError, code="already-exists", template="{0} {1} exists already"):
    """A named thing exists. Args: kind, name."""


class InUse(_Three, JobxError, code="in-use", template="{0} {1} is used by {2}"):
    """A named thing is referred to, or still working. Args: kind, name, by whom."""


class NotEnded(InUse, code="not-ended", template="request {0} has not ended yet"):
    """A request still runs. Args: request id."""

    def __init__(self, request_id: str) -> None:
        JobxError.__init__(self, request_id)


class Unavailable(JobxError, code="unavailable", template="{0}; try again in {1:g} s"):
    """Try again later. Args: reason, seconds after which a retry makes sense."""

    def __init__(self, reason: str, retry_after_s: float = 1.0) -> None:
        super().__init__(reason, retry_after_s)

    def __str__(self) -> str:
        return super().__str__() if self.retry_after_s > 0 else self.reason

    @property
    def reason(self) -> str:
        """The reason, without the time of a retry."""
        return str(self.args[0])

    @property
    def retry_after_s(self) -> float:
        """Seconds after which a retry makes sense."""
        return float(self.args[1])


class Overloaded(Unavailable, code="overloaded"):
    """Too many requests are open. Args: reason, retry_after_s."""


class Draining(Unavailable, code="draining"):
    """The node is stopping and accepts nothing new. Args: reason, retry_after_s."""


class NoCapability(Unavailable, code="no-capability"):
    """No node offers a capability. Args: reason, retry_after_s."""


class NodeUnreachable(Unavailable, code="node-unreachable"):
    """Nobody answers at the gateway. Args: reason, retry_after_s."""


class StoreUnavailable(Unavailable, code="store-unavailable"):
    """The store does not answer; nothing was written. Args: reason, retry_after_s."""


class NodeLost(_One, JobxError, code="node-lost"):
    """The node went away before it answered; the call may have had an effect. Args: reason."""


class DeadlineExceeded(
    JobxError, code="deadline-exceeded", template="{0} took longer than {1:g} s"
):
    """A bounded wait ran out. Args: the subject of the wait, seconds."""

    def __init__(self, what: str, timeout_s: float) -> None:
        super().__init__(what, timeout_s)


class StoreFull(_Two, JobxError, code="store-full", template="no room left in {0}: {1}"):
    """There is no room left; nothing was written. Args: where, reason."""


class StoreRefused(_Two, JobxError, code="store-refused", template="cannot use {0}: {1}"):
    """The store cannot be opened or written as it is. Args: where, reason."""


class OutcomeUnknown(
    _Two, JobxError, code="outcome-unknown", template="it is not known what became of {0}: {1}"
):
    """A write may or may not have happened: read back before repeating it. Args: key, reason."""


class Conflict(_One, JobxError, code="conflict", template="{0} was changed by somebody else"):
    """A conditional write lost its race; nothing was written. Args: key."""


class FrameError(_One, JobxError, code="frame"):
    """Bytes from a peer are not a frame. Args: reason."""


class Damaged(_Two, JobxError, code="damaged", template="{0}: {1}"):
    """Stored data is not the data that was written. Args: name, reason."""


class BlobDamaged(Damaged, code="blob-damaged", template="blob {0}: {1}"):
    """A blob is missing, or its content is not the one that was written. Args: name, reason."""


class EntryDamaged(Damaged, code="entry-damaged", template="entry {0} of the store: {1}"):
    """An entry of the store is not the one that was written. Args: key, reason."""


class FormUnknown(EntryDamaged, code="form-unknown"):
    """An entry has a form that only a newer JobX knows; nothing is lost. Args: key, reason."""


class HandlerFailed(
    _Three, JobxError, code="handler-failed", template="handler {0} failed: {1}: {2}"
):
    """One run of a handler failed, outside of a request. Args: handler, error type, message."""


class BlobUnreadable(
    _Two, JobxError, code="blob-unreadable", template="blob {0} cannot be read: {1}"
):
    """A blob exists but cannot be read: the disk, or permissions. Args: name, reason."""


class RequestFailed(
    _Three, JobxError, code="request-failed", template="request {0} failed: {1}: {2}"
):
    """A request ended without a result. Args: request id, error type, message."""


class RequestCancelled(
    RequestFailed, code="request-cancelled", template="request {0} was cancelled: {1}"
):
    """Somebody cancelled a request. Args: request id, why."""

    def __init__(self, request_id: str, reason: str) -> None:
        JobxError.__init__(self, request_id, reason)


class InternalError(_One, JobxError, code="internal"):
    """A fault of JobX itself. Args: reason."""


def quote(value: object, limit: int = 80) -> str:
    """Return a value of any size and depth as text of at most ``limit`` characters."""
    try:
        text = repr(_beginning(value, limit))
    except (ValueError, RecursionError):  # an integer of too many digits, or too deep
        text = a_kind(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."


def _beginning(value: object, limit: int, depth: int = 4) -> object:
    """Return the beginning of a value: enough for the first ``limit`` characters of its text."""
    if isinstance(value, str | bytes):
        return value[:limit]
    if not depth:
        return value
    if type(value) is list:
        return [_beginning(item, limit, depth - 1) for item in value[:limit]]
    if type(value) is dict:
        items = islice(value.items(), limit)
        return {key: _beginning(item, limit, depth - 1) for key, item in items}
    return value


def a_kind(value: object) -> str:
    """Return the type of a value in words: ``a set``, ``a numpy.ndarray``."""
    module, name = type(value).__module__, type(value).__qualname__
    if isinstance(module, str) and module.isidentifier() and module != "builtins":
        name = f"{module}.{name}"
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def _family(cls: type[JobxError]) -> Iterator[type[JobxError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from _family(child)


def from_wire(wire: dict[str, object]) -> JobxError:
    """Rebuild an error from the map of ``to_wire``; an unknown code gives an InternalError."""
    args = wire.get("args")
    for cls in _family(JobxError):
        if cls.code == wire.get("code") and isinstance(args, list):
            # A peer's errors may have other arguments, of which some show only as text.
            with contextlib.suppress(TypeError, ValueError):
                error = cls(*args)
                str(error)
                return error
    return InternalError(f"a peer sent an error that is not known here: {wire!r}")
