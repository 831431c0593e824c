"""Translation of the errors of python-etcd, and of urllib3 below it."""

from __future__ import annotations

import ssl
from typing import Final

import etcd
from urllib3 import exceptions

from jobx.errors import (
    InternalError,
    JobxError,
    OutcomeUnknown,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    TooLarge,
)

#: The condition of a write, or of a removal, did not hold.
REFUSED: Final = (
    etcd.EtcdKeyNotFound,
    etcd.EtcdAlreadyExist,
    etcd.EtcdCompareFailed,
    etcd.EtcdDirNotEmpty,
)
#: Errors of connections over which nothing was sent.
_UNSENT: Final = (
    exceptions.NewConnectionError,
    exceptions.ConnectTimeoutError,
    exceptions.SSLError,
)
#: Answers of servers that have not done anything.
_UNDONE: Final = ("no leader", "too many requests", "unhealthy cluster")
#: Answers of servers whose cluster does not work at the moment.
_BUSY: Final = ("Raft Internal Error", "etcdserver:", "timed out", "leader")
_NO_V2: Final = "404 page not found"
_WANTS_TLS: Final = "HTTP request to an HTTPS server"
_NO_ROOM: Final = ("no space left", "space exceeded")
_TOO_LARGE: Final = ("request is too large", "body too large")


def is_undone(error: Exception) -> bool:
    """Tell whether a call certainly had no effect, so that another server may be asked."""
    if isinstance(error, etcd.EtcdLeaderElectionInProgress):
        return True
    if isinstance(error, etcd.EtcdConnectionFailed):
        return isinstance(error.cause, _UNSENT) and not _is_tls(error)
    return any(text in str(error) for text in _UNDONE)


def is_transient(error: Exception) -> bool:
    """Tell whether another server may answer a read, or the same one soon."""
    if is_undone(error):
        return True
    if isinstance(error, etcd.EtcdConnectionFailed):
        return not _is_tls(error)
    return any(text in str(error) for text in _BUSY) and _known(error, "") is None


def translate(error: Exception, where: str, key: str | None = None) -> JobxError:
    """Return the JobxError of an error of python-etcd.

    Args:
        error: The error that a call raised.
        where: The servers.
        key: What a write was about; None for a read.
    """
    place = f"etcd at {where}"
    known = _known(error, place)
    if known is not None:
        return known
    if is_undone(error) or (key is None and is_transient(error)):
        return StoreUnavailable(f"{place} does not answer ({error})")
    if not is_transient(error):
        return InternalError(f"{place}: {type(error).__name__} {error}")
    return OutcomeUnknown(str(key), f"{place} has not answered ({error})")


def _known(error: Exception, place: str) -> JobxError | None:
    text = str(error)
    if isinstance(error, etcd.EtcdInsufficientPermissions):
        reason = "it does not know this user or password, or the user may not read and write these"
        return StoreRefused(place, f"{reason} keys; see store.username ({text})")
    if _NO_V2 in text:
        reason = "it has no v2 API; start it with --enable-v2 (up to 3.5), or use etcd:// (v3)"
        return StoreRefused(place, reason)
    if _WANTS_TLS in text:
        return StoreRefused(place, "it speaks TLS; use etcds2://")
    if _is_tls(error):
        reason = "TLS fails; see store.ca_file, store.cert_file and the server's name"
        return StoreRefused(place, f"{reason}: {text}")
    if any(one in text for one in _NO_ROOM):
        return StoreFull(place, text)
    if any(one in text for one in _TOO_LARGE):
        return TooLarge(f"what is written to {place}", "a value", text)
    return None


def hung_up(error: BaseException | None) -> bool:
    """Tell whether a server closed the connection at once, as when only one side speaks TLS."""
    cause = getattr(error, "cause", None)
    return isinstance(cause, exceptions.ProtocolError | exceptions.SSLError)


def _is_tls(error: Exception) -> bool:
    """Tell whether the two sides disagree about TLS; one that dies meanwhile does not."""
    cause = getattr(error, "cause", None)
    is_about_it = isinstance(cause, exceptions.SSLError | ssl.SSLError) or "SSL:" in str(cause)
    return is_about_it and "EOF occurred" not in str(cause)
