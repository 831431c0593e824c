"""Translation of the errors of etcd and gRPC."""

from __future__ import annotations

from typing import Final

import grpc

from jobx.errors import (
    InternalError,
    JobxError,
    OutcomeUnknown,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    TooLarge,
)

_Code = grpc.StatusCode

#: Errors of calls that had no effect.
_UNDONE: Final = (
    "etcdserver: no leader",
    "etcdserver: too many requests",
    "etcdserver: unhealthy cluster",
    "failed to connect to all addresses",
    "DNS resolution failed",
)
_TOO_LARGE: Final = (
    "etcdserver: request is too large",
    "etcdserver: too many operations in txn request",
    "message larger than max",
)
_NO_ROOM: Final = "database space exceeded"
#: The token of a user has expired, or its server has restarted.
_STALE: Final = "invalid auth token"
#: Users or roles have changed since the token was given out.
_OLD: Final = "revision of auth store is old"
#: Authentication has just been switched on.
_NAMELESS: Final = "user name is empty"
#: Errors of authentication, with what to do.
_RIGHTS: Final = {
    "permission denied": "its user may not; grant a role that may read and write these keys",
    _NAMELESS: "it wants a user; set store.username and store.password",
    "authentication failed": "it does not know this user or password; see store.username",
    _STALE: "it does not take the user's token",
}
_HANDSHAKE: Final = ("handshake", "SSL_ERROR", "CERTIFICATE", "TSI_")
#: How a server that requires TLS, or a certificate, ends a connection without it.
_HUNG_UP: Final = ("Socket closed", "Connection reset", "Broken pipe")


def is_undone(error: grpc.RpcError) -> bool:
    """Tell whether a call certainly had no effect, so that it may be repeated elsewhere."""
    if error.code() is _Code.RESOURCE_EXHAUSTED:
        return "too many requests" in _details(error)
    if _OLD in _details(error):
        return True
    return error.code() is _Code.UNAVAILABLE and any(text in _details(error) for text in _UNDONE)


def is_transient(error: grpc.RpcError) -> bool:
    """Tell whether another server may answer a read, or the same one soon."""
    return is_undone(error) or error.code() in (_Code.UNAVAILABLE, _Code.DEADLINE_EXCEEDED)


def wants_token(error: grpc.RpcError) -> bool:
    """Tell whether a call was refused without effect because its token is not known."""
    return any(text in _details(error) for text in (_STALE, _OLD, _NAMELESS))


def translate(error: grpc.RpcError, where: str, key: str | None = None) -> JobxError:
    """Return the JobxError of an error of gRPC.

    Args:
        error: The error that a call raised.
        where: The servers.
        key: The key of the write; None for a read.
    """
    code, details = error.code(), _details(error)
    known = _known(code, details, where)
    if known is not None:
        return known
    if is_undone(error):
        return StoreUnavailable(f"etcd at {where} does not answer ({details})")
    if code is _Code.INVALID_ARGUMENT:
        return InternalError(f"etcd at {where}: {code.name} {details}")
    # gRPC has many codes for a connection that broke.
    if key is None:
        return StoreUnavailable(f"etcd at {where} does not answer ({details})")
    return OutcomeUnknown(key, f"etcd at {where} has not answered ({details})")


def _known(code: grpc.StatusCode, details: str, where: str) -> JobxError | None:
    place = f"etcd at {where}"
    if _NO_ROOM in details:
        return StoreFull(place, "its quota is used up; compact and defragment it, then disarm")
    if any(text in details for text in _TOO_LARGE):
        return TooLarge(f"what is written to {place}", "a transaction", details)
    for text, advice in _RIGHTS.items():
        if text in details:
            return StoreRefused(place, f"{advice} ({details})")
    if code is _Code.UNAVAILABLE and any(text in details for text in _HANDSHAKE):
        return StoreRefused(
            place, f"TLS fails; see store.ca_file, store.cert_file and the server's name: {details}"
        )
    if code is _Code.DATA_LOSS:
        return StoreRefused(place, details)
    return None


def hung_up(error: JobxError) -> bool:
    """Tell whether a server closed the connection at once, as one that requires TLS does."""
    return isinstance(error, StoreUnavailable) and any(text in str(error) for text in _HUNG_UP)


def _details(error: grpc.RpcError) -> str:
    return str(error.details() or "")
