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
from jobx.kv.etcd2.errors import hung_up, is_undone, translate


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


@pytest.mark.parametrize(
    ("error", "read", "write"),
    [
        (UNSENT, StoreUnavailable, StoreUnavailable),
        (CUT, StoreUnavailable, OutcomeUnknown),
        (MUTE, StoreUnavailable, OutcomeUnknown),
        (TLS, StoreRefused, StoreRefused),
        (DIED, StoreUnavailable, StoreUnavailable),
        (said("etcdserver: request timed out"), StoreUnavailable, OutcomeUnknown),
        (said("etcdserver: no leader"), StoreUnavailable, StoreUnavailable),
        (said("election", 301), StoreUnavailable, StoreUnavailable),
        (said("Insufficient credentials", 110), StoreRefused, StoreRefused),
        (said("Bad response : 404 page not found", 0), StoreRefused, StoreRefused),
        (said("no space left on device"), StoreFull, StoreFull),
        (said("etcdserver: request is too large"), TooLarge, TooLarge),
        (said("Invalid field", 209), InternalError, InternalError),
    ],
    ids=str,
)
def test_an_error_says_what_became_of_a_call(
    error: Exception, read: type[JobxError], write: type[JobxError]
) -> None:
    assert type(translate(error, "h:1")) is read
    assert type(translate(error, "h:1", "key")) is write


def test_what_was_not_sent_may_be_repeated_elsewhere() -> None:
    assert [is_undone(one) for one in (UNSENT, DIED, CUT, MUTE, TLS)] == [
        *(True, True, False, False, False)
    ]


def test_a_connection_that_is_closed_at_once_may_mean_tls() -> None:
    assert [hung_up(one) for one in (CUT, DIED, UNSENT, MUTE, None)] == [
        *(True, True, False, False, False)
    ]
