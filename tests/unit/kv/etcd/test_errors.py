"""What etcd's and gRPC's errors become, as a table."""

from __future__ import annotations

import grpc
import pytest

from jobx.errors import (
    InternalError,
    JobxError,
    OutcomeUnknown,
    StoreFull,
    StoreRefused,
    StoreUnavailable,
    TooLarge,
)
from jobx.kv.etcd.errors import hung_up, is_undone, translate

CODE = grpc.StatusCode


class Failed(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details


@pytest.mark.parametrize(
    ("code", "details", "read", "write"),
    [
        (CODE.UNAVAILABLE, "etcdserver: no leader", StoreUnavailable, StoreUnavailable),
        (
            CODE.UNAVAILABLE,
            "failed to connect to all addresses",
            StoreUnavailable,
            StoreUnavailable,
        ),
        (
            CODE.RESOURCE_EXHAUSTED,
            "etcdserver: too many requests",
            StoreUnavailable,
            StoreUnavailable,
        ),
        (CODE.UNAVAILABLE, "etcdserver: request timed out", StoreUnavailable, OutcomeUnknown),
        (CODE.UNAVAILABLE, "etcdserver: leader changed", StoreUnavailable, OutcomeUnknown),
        (CODE.UNAVAILABLE, "Socket closed", StoreUnavailable, OutcomeUnknown),
        (CODE.DEADLINE_EXCEEDED, "Deadline Exceeded", StoreUnavailable, OutcomeUnknown),
        (CODE.CANCELLED, "Channel closed!", StoreUnavailable, OutcomeUnknown),
        (CODE.UNKNOWN, "Stream removed", StoreUnavailable, OutcomeUnknown),
        (
            CODE.RESOURCE_EXHAUSTED,
            "etcdserver: mvcc: database space exceeded",
            StoreFull,
            StoreFull,
        ),
        (CODE.INVALID_ARGUMENT, "etcdserver: request is too large", TooLarge, TooLarge),
        (
            CODE.RESOURCE_EXHAUSTED,
            "grpc: received message larger than max (2097197 vs. 2097152)",
            TooLarge,
            TooLarge,
        ),
        (
            CODE.INVALID_ARGUMENT,
            "etcdserver: too many operations in txn request",
            TooLarge,
            TooLarge,
        ),
        (CODE.PERMISSION_DENIED, "etcdserver: permission denied", StoreRefused, StoreRefused),
        (CODE.INVALID_ARGUMENT, "etcdserver: user name is empty", StoreRefused, StoreRefused),
        (
            CODE.INVALID_ARGUMENT,
            "etcdserver: authentication failed, invalid user ID or password",
            StoreRefused,
            StoreRefused,
        ),
        (
            CODE.UNAVAILABLE,
            "failed to connect to all addresses; Ssl handshake failed: CERTIFICATE_VERIFY_FAILED",
            StoreRefused,
            StoreRefused,
        ),
        (CODE.DATA_LOSS, "etcdserver: corrupt cluster", StoreRefused, StoreRefused),
        (CODE.INTERNAL, "Received RST_STREAM", StoreUnavailable, OutcomeUnknown),
        (CODE.UNIMPLEMENTED, "HTTP status 404", StoreUnavailable, OutcomeUnknown),
        (
            CODE.INVALID_ARGUMENT,
            "etcdserver: revision of auth store is old",
            StoreUnavailable,
            StoreUnavailable,
        ),
        (CODE.INVALID_ARGUMENT, "etcdserver: duplicate key given", InternalError, InternalError),
    ],
    ids=str,
)
def test_an_error_is_what_its_caller_can_do_about_it(
    code: grpc.StatusCode, details: str, read: type[JobxError], write: type[JobxError]
) -> None:
    error = Failed(code, details)
    assert type(translate(error, "h:1")) is read
    assert type(translate(error, "h:1", "key")) is write


@pytest.mark.parametrize(
    ("details", "expected"),
    [
        ("etcdserver: no leader", True),
        ("failed to connect to all addresses", True),
        ("etcdserver: request timed out", False),
        ("Socket closed", False),
    ],
)
def test_only_what_certainly_did_nothing_is_asked_again(details: str, expected: bool) -> None:
    assert is_undone(Failed(CODE.UNAVAILABLE, details)) is expected


@pytest.mark.parametrize("details", ["Socket closed", "Connection reset by peer", "Broken pipe"])
def test_a_server_that_wants_tls_is_known_by_how_it_hangs_up(details: str) -> None:
    error = Failed(CODE.UNAVAILABLE, details)
    assert hung_up(translate(error, "h:1"))
    assert not hung_up(translate(error, "h:1", "key"))
