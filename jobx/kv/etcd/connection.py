"""The connection to the servers of etcd: a channel for each, used in turn, one deadline per call.

If a server does not answer, the next one is used. A call that certainly had no effect is repeated
there; a write that may have happened is not repeated, and its caller gets OutcomeUnknown.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from typing import Any, Final

import grpc
from aetcd.rpc import rpc_pb2, rpc_pb2_grpc

from jobx.errors import JobxError, StoreRefused, StoreUnavailable
from jobx.kv.etcd import errors

#: Pause before a call without effect is repeated.
_PAUSE_S: Final = 0.05
#: Parts of the time left that one try has, if there are several servers.
_READ_SHARE: Final = 0.5
_WRITE_SHARE: Final = 0.6
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # By default, gRPC waits for seconds before it reconnects to a server.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    # This one is the time limit to connect.
    ("grpc.min_reconnect_backoff_ms", 2000),
    # This module decides which calls are repeated.
    ("grpc.enable_retries", 0),
    # A connection to a peer that vanished is detected, also by a watch.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5000),
    # Stores of one process share no connection and no back-off.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)
#: A member without a leader refuses calls at once instead of letting them time out.
_WITH_LEADER: Final = ("hasleader", "true")


class Server:
    """One server: its channel and its calls."""

    def __init__(self, name: str, credentials: grpc.ChannelCredentials | None) -> None:
        if credentials is None:
            self.channel = grpc.insecure_channel(name, options=_OPTIONS)
        else:
            self.channel = grpc.secure_channel(name, credentials, options=_OPTIONS)
        self.name = name
        kv = rpc_pb2_grpc.KVStub(self.channel)
        self.range, self.txn = kv.Range, kv.Txn
        self.watch = rpc_pb2_grpc.WatchStub(self.channel).Watch
        self.leases = rpc_pb2_grpc.LeaseStub(self.channel)
        # Of a stream of renewals one is wanted. As a stream, each would start two threads.
        self.keep_alive = self.channel.unary_unary(
            "/etcdserverpb.Lease/LeaseKeepAlive",
            request_serializer=rpc_pb2.LeaseKeepAliveRequest.SerializeToString,
            response_deserializer=rpc_pb2.LeaseKeepAliveResponse.FromString,
        )
        self.authenticate = rpc_pb2_grpc.AuthStub(self.channel).Authenticate
        #: The token of the user; None before the first login. Each server has its own.
        self.token: str | None = None

    def forget(self, token: str) -> None:
        """Have the next call log in, unless another thread has done so since ``token``."""
        if self.token == token:
            self.token = None


#: Picks the call of a server.
Pick = Callable[[Server], Any]


class EtcdConnection:
    """Calls servers of one cluster; threads may share it.

    Args:
        servers: ``host:port`` of each.
        credentials: The TLS credentials; None for connections without TLS.
        user: Name and password; None without authentication.
        timeout_s: Time limit of one call, with its repetitions.
    """

    def __init__(
        self,
        servers: Sequence[str],
        credentials: grpc.ChannelCredentials | None,
        user: tuple[str, str] | None,
        timeout_s: float,
    ) -> None:
        self.timeout_s = timeout_s
        self.where = ",".join(servers)
        self._servers = [Server(name, credentials) for name in servers]
        self._user = user
        self._at = 0
        self._closed = threading.Event()

    def deadline(self) -> float:
        """Return the deadline of a call that starts now, monotonic."""
        return time.monotonic() + self.timeout_s

    def call(self, pick: Pick, request: Any, deadline: float, writes: str | None = None) -> Any:
        """Return the answer of a server.

        Args:
            pick: Selects the call.
            request: Its request.
            deadline: The deadline, monotonic.
            writes: A key that it writes, for OutcomeUnknown; None for a read.

        Raises:
            JobxError: No server answered, or one refused; see ``errors.translate``.
        """
        failed: grpc.RpcError | None = None
        sent: str | None = None
        while (left_s := deadline - time.monotonic()) > 0:
            self.check_open()
            at = self._at
            server = self._servers[at]
            token: str | None = None
            sent = None
            try:
                token = self._token(server, self._time_for(left_s, None))
                limit_s = self._time_for(deadline - time.monotonic(), writes)
                sent = writes
                return pick(server)(request, timeout=limit_s, metadata=_metadata(token))
            except ValueError:  # its channel was closed a moment ago
                self.check_open()
                raise
            except grpc.RpcError as error:
                failed = error
            self.check_open()
            self._turn_from(at, failed)
            if errors.wants_token(failed) and token is not None:
                server.forget(token)
            elif not _may_go_on(failed, sent):
                break
            self._closed.wait(_PAUSE_S)
        if failed is None:
            raise StoreUnavailable(f"etcd at {self.where} has not answered in time")
        raise errors.translate(failed, self.where, sent) from failed

    def watch(self, request: Any, limit_s: float) -> Generator[Any, None, None]:
        """Yield the answers of a watch until the limit; the first one says that it has begun.

        It ends early if its server fails. A server that has not begun it in time is left.
        """
        at = self._at
        server = self._servers[at]
        stream, has_begun = None, False
        try:
            token = self._token(server, min(limit_s, self.timeout_s))
            stream = server.watch(iter([request]), timeout=limit_s, metadata=_metadata(token))
            for answer in stream:
                has_begun = True
                yield answer
        except ValueError:  # its channel was closed a moment ago
            self.check_open()
            raise
        except grpc.RpcError as error:
            self.check_open()
            if not has_begun or error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                self._turn_from(at, error)
                self._closed.wait(_PAUSE_S)
        finally:
            if stream is not None:
                stream.cancel()

    def close(self) -> None:
        """End all calls; idempotent."""
        self._closed.set()
        for server in self._servers:
            server.channel.close()

    def check_open(self) -> None:
        """Raise StoreRefused if the connection is closed."""
        if self._closed.is_set():
            raise StoreRefused(f"etcd at {self.where}", "it is closed")

    def _time_for(self, left_s: float, writes: str | None) -> float:
        """Return the time limit of one try, which leaves time for another server.

        A write that is not answered often waits for a leader that died. Whoever reads it back and
        repeats it then finds the new one in time.
        """
        if len(self._servers) == 1:
            return left_s
        return left_s * (_READ_SHARE if writes is None else _WRITE_SHARE)

    def _turn_from(self, at: int, error: grpc.RpcError) -> None:
        """Switch to the next server, unless another thread has done so."""
        if errors.is_transient(error) and self._at == at:
            self._at = (at + 1) % len(self._servers)

    def _token(self, server: Server, limit_s: float) -> str | None:
        """Return the token for a call, after a login if need be; None without a user."""
        if self._user is None:
            return None
        token = server.token
        if token is None:
            token = server.token = self._authenticate(server, self._user, limit_s)
        return token

    def _authenticate(self, server: Server, user: tuple[str, str], limit_s: float) -> str:
        """Return a token; ``''`` from a server without authentication."""
        request = rpc_pb2.AuthenticateRequest(name=user[0], password=user[1])
        try:
            answer = server.authenticate(request, timeout=limit_s)
        except grpc.RpcError as error:
            if "authentication is not enabled" in str(error.details()):
                return ""
            raise
        return str(answer.token)


def _may_go_on(error: grpc.RpcError, sent: str | None) -> bool:
    """Tell whether a failed call may be repeated; ``sent`` is the key of a write that was sent."""
    return errors.is_transient(error) if sent is None else errors.is_undone(error)


def _metadata(token: str | None) -> list[tuple[str, str]]:
    return [_WITH_LEADER, ("token", token)] if token else [_WITH_LEADER]


def opened(connection: EtcdConnection, probe: Callable[[], object]) -> None:
    """Check that the servers can be used; close the connection if not.

    Raises:
        StoreUnavailable: Nobody answers.
        StoreRefused: The settings of TLS, the certificate or the user do not fit the servers.
    """
    try:
        probe()
    except JobxError as error:
        connection.close()
        if errors.hung_up(error):
            hint = "it hangs up; does it speak TLS (etcds://), or want store.cert_file?"
            raise StoreRefused(f"etcd at {connection.where}", hint) from error
        raise
    except BaseException:
        with suppress(Exception):
            connection.close()
        raise
