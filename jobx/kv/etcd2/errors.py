"""Translation of the errors of python-etcd, and of urllib3 below it."""

from __future__ import annotations

import json
import ssl
from http import HTTPStatus
from typing import Any, Final

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
_UNSENT: Final = (exceptions.NewConnectionError, exceptions.ConnectTimeoutError)
#: Codes of etcd that come with a text about what failed, and not with a path: of a form that cannot
#: be read, and of the cluster. From the second on the cluster does not work at the moment.
_FORM: Final = 210
_CLUSTER: Final = 300
#: Answers of servers that have not done anything.
_UNDONE: Final = ("no leader", "too many requests", "unhealthy cluster")
_NO_V2: Final = "404 page not found"
_WANTS_TLS: Final = "HTTP request to an HTTPS server"
_NO_ROOM: Final = ("no space left", "space exceeded")
_TOO_LARGE: Final = ("request is too large", "body too large")
#: What is in errors of TLS that come before anything is done.
_TLS: Final = (
    *("CERTIFICATE", "certificate", "HANDSHAKE", "WRONG_VERSION", "PROTOCOL_VERSION"),
    *("UNKNOWN_CA", "HTTP_REQUEST", "HTTPS_PROXY", "PEM lib", "ostname"),
)
#: What proxies answer while there is no server behind them.
_GATEWAY: Final = (502, 503, 504)
#: So much of an answer is told that is not etcd's.
_SHOWN: Final = 80


class NotUnderstood(etcd.EtcdException):
    """An answer that etcd does not give: a server or a proxy in front of it made it.

    Attributes:
        status: Its status of HTTP.
        text: Its beginning.
    """

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.text = body[:_SHOWN].decode(errors="replace").strip()
        super().__init__(f"it answered {status} {self.text!r}, which etcd does not")


def understood(status: int, body: bytes) -> dict[str, Any]:
    """Return the JSON of an answer of etcd.

    Raises:
        NotUnderstood: It is none.
    """
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    if isinstance(said, dict):
        is_refusal = isinstance(said.get("errorCode"), int) or status == HTTPStatus.UNAUTHORIZED
        if ("action" in said) if status < HTTPStatus.MULTIPLE_CHOICES else is_refusal:
            return said
    raise NotUnderstood(status, body)


def is_no_etcd(error: BaseException | None) -> bool:
    """Tell whether an answer came from something else than etcd, or a proxy that awaits it."""
    return isinstance(error, NotUnderstood) and error.status not in _GATEWAY


def is_undone(error: Exception) -> bool:
    """Tell whether a call certainly had no effect, so that another server may be asked."""
    if isinstance(error, etcd.EtcdLeaderElectionInProgress):
        return True
    if isinstance(error, etcd.EtcdConnectionFailed):
        return isinstance(error.cause, _UNSENT)
    return any(text in _said(error) for text in _UNDONE)


def is_transient(error: Exception) -> bool:
    """Tell whether another server may answer a read, or the same one soon."""
    if is_undone(error):
        return True
    if isinstance(error, etcd.EtcdConnectionFailed):
        return not _is_tls(error)
    is_foreign = isinstance(error, NotUnderstood) or not isinstance(error, etcd.EtcdException)
    return (is_foreign or _code(error) >= _CLUSTER) and _known(error, "") is None


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
    if isinstance(error, NotUnderstood):
        return _foreign(error, place)
    if _is_tls(error):
        reason = "TLS fails; see store.ca_file, store.cert_file and the server's name"
        return StoreRefused(place, f"{reason}: {text}")
    if any(one in _said(error) for one in _NO_ROOM):
        return StoreFull(place, text)
    if any(one in _said(error) for one in _TOO_LARGE):
        return TooLarge(f"what is written to {place}", "a value", text)
    return None


def _foreign(error: NotUnderstood, place: str) -> JobxError | None:
    """Return what an answer means that servers give which are set up in another way."""
    if error.text == _NO_V2:
        reason = "it has no v2 API; start it with --enable-v2 (up to 3.5), or use etcd:// (v3)"
        return StoreRefused(place, reason)
    if _WANTS_TLS in error.text:
        return StoreRefused(place, "it speaks TLS; use etcds2://")
    return None


def _code(error: Exception) -> int:
    """Return the code of etcd, 0 if there is none."""
    payload = getattr(error, "payload", None) or {}
    return int(payload.get("errorCode") or 0)


def _said(error: Exception) -> str:
    """Return what etcd says about a failure; nothing if that may be a path."""
    code = _code(error)
    return str(error) if code == _FORM or code >= _CLUSTER else ""


def hung_up(error: BaseException | None) -> bool:
    """Tell whether a server closed the connection at once, as when only one side speaks TLS."""
    cause = getattr(error, "cause", None)
    return isinstance(cause, exceptions.ProtocolError | exceptions.SSLError)


def _is_tls(error: Exception) -> bool:
    """Tell whether the two sides disagree about TLS; a connection that breaks is no such thing."""
    cause = getattr(error, "cause", None)
    is_about_it = isinstance(cause, exceptions.SSLError | ssl.SSLError) or "SSL:" in str(cause)
    return is_about_it and any(text in str(cause) for text in _TLS)
