"""What the errors of python-etcd become, as a table."""

from __future__ import annotations

import etcd
import pytest
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
from jobx.kv.etcd2.errors import NotUnderstood, hung_up, is_undone, translate


def failed(cause: Exception) -> Exception:
    return etcd.EtcdConnectionFailed(f"Connection to etcd failed due to {cause!r}", cause=cause)


def said(text: str, code: int = 300) -> Exception:
    try:
        etcd.EtcdError.handle({"errorCode": code, "message": text, "cause": "", "status": 500})
    except etcd.EtcdException as error:
        return error
    raise AssertionError


UNSENT = failed(exceptions.ConnectTimeoutError("slow"))
CUT = failed(exceptions.ProtocolError("Connection aborted."))
MUTE = failed(exceptions.ReadTimeoutError(None, "/", "Read timed out."))  # type: ignore[arg-type]  # nobody reads its pool
TLS = failed(exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED]"))
DIED = failed(exceptions.SSLError("EOF occurred in violation of protocol"))
GARBLED = failed(
    exceptions.SSLError("[SSL: DECRYPTION_FAILED_OR_BAD_RECORD_MAC] decryption failed")
)
PAGE = NotUnderstood(502, b"<html>no leader, request is too large</html>")
WANTS_TLS = b"Client sent an HTTP request to an HTTPS server.\n"


@pytest.mark.parametrize(
    ("error", "read", "write"),
    [
        (UNSENT, StoreUnavailable, StoreUnavailable),
        (CUT, StoreUnavailable, OutcomeUnknown),
        (MUTE, StoreUnavailable, OutcomeUnknown),
        (TLS, StoreRefused, StoreRefused),
        (DIED, StoreUnavailable, OutcomeUnknown),
        (GARBLED, StoreUnavailable, OutcomeUnknown),
        (PAGE, StoreUnavailable, OutcomeUnknown),
        (said("etcdserver: request timed out"), StoreUnavailable, OutcomeUnknown),
        (said("etcdserver: no leader"), StoreUnavailable, StoreUnavailable),
        (said("election", 301), StoreUnavailable, StoreUnavailable),
        (said("Insufficient credentials", 110), StoreRefused, StoreRefused),
        (NotUnderstood(404, b"404 page not found\n"), StoreRefused, StoreRefused),
        (NotUnderstood(400, WANTS_TLS), StoreRefused, StoreRefused),
        (said("no space left on device"), StoreFull, StoreFull),
        (said("etcdserver: request is too large"), TooLarge, TooLarge),
        (said("http: request body too large", 210), TooLarge, TooLarge),
        (said("Invalid field", 209), InternalError, InternalError),
        (said("Not a file : /leader/no space left/timed out", 102), InternalError, InternalError),
    ],
    ids=str,
)
def test_an_error_says_what_became_of_a_call(
    error: Exception, read: type[JobxError], write: type[JobxError]
) -> None:
    assert type(translate(error, "h:1")) is read
    assert type(translate(error, "h:1", "key")) is write


def test_what_was_not_sent_may_be_repeated_elsewhere() -> None:
    errors = (UNSENT, DIED, GARBLED, PAGE, CUT, MUTE, TLS)
    assert [one for one in errors if is_undone(one)] == [UNSENT]


def test_a_connection_that_is_closed_at_once_may_mean_tls() -> None:
    assert [hung_up(one) for one in (CUT, DIED, UNSENT, MUTE, None)] == [
        *(True, True, False, False, False)
    ]
