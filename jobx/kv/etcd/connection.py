"""The way to the servers of etcd: one channel each, taken in turn, within one deadline a call.

A server that does not answer is left for the next one. What certainly did nothing is asked again
there; a write that may have been done is not, and its caller hears so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final

import grpc
from aetcd.rpc import rpc_pb2, rpc_pb2_grpc

from jobx.errors import JobxError, StoreRefused, StoreUnavailable
from jobx.kv.etcd import errors

#: Pause before a call that did nothing is tried again.
_PAUSE_S: Final = 0.05
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # The default waits for seconds before it tries a server that was away.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    # This one is the time that a connection may take to come about.
    ("grpc.min_reconnect_backoff_ms", 2000),
    # Calls are repeated where it is known whether they may be.
    ("grpc.enable_retries", 0),
    # A connection whose peer is gone without a word is noticed, also by a watch.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5000),
    # Two stores of one process share no connection and no back-off.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
)
#: A member without a leader refuses at once what it could only let run out of time.
_WITH_LEADER: Final = ("hasleader", "true")


class Server:
    """One server: its channel, and the calls that are made of it."""

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
        self.authenticate = rpc_pb2_grpc.AuthStub(self.channel).Authenticate
        #: The token of the user, None before it was asked for; for each server its own.
        self.token: str | None = None


#: Picks the call of a server.
Pick = Callable[[Server], Any]


class EtcdConnection:
    """Calls servers of one cluster; threads may share it.

    Args:
        servers: ``host:port`` of each.
        credentials: How they are spoken to over TLS; None: without.
        user: Name and password, None when none is asked for.
        timeout_s: How long one call may take in all.
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
        """Return when a call that begins now must have ended, monotonic."""
        return time.monotonic() + self.timeout_s

    def call(self, pick: Pick, request: Any, deadline: float, writes: str | None = None) -> Any:
        """Return the answer of a server.

        Args:
            pick: Which call.
            request: Its request.
            deadline: Until when, monotonic.
            writes: A key that it writes, which an OutcomeUnknown then names; None for a read.

        Raises:
            JobxError: No server answered, or one refused; see ``errors.translate``.
        """
        failed: grpc.RpcError | None = None
        while (left_s := deadline - time.monotonic()) > 0:
            self.check_open()
            at = self._at
            server = self._servers[at]
            try:
                how = {"timeout": self._time_for(left_s, writes), "metadata": self._who(server)}
                return pick(server)(request, **how)
            except ValueError:  # its channel was closed a moment ago
                self.check_open()
                raise
            except grpc.RpcError as error:
                failed = error
            self.check_open()
            self._turn_from(at, failed)
            if not self._may_go_on(server, failed, writes):
                break
            self._closed.wait(_PAUSE_S)
        if failed is None:
            raise StoreUnavailable(f"etcd at {self.where} has not answered in time")
        raise errors.translate(failed, self.where, writes) from failed

    def _may_go_on(self, server: Server, error: grpc.RpcError, writes: str | None) -> bool:
        """Tell whether a call that failed may be made again."""
        if errors.wants_token(error) and server.token is not None:
            server.token = None
            return True
        return errors.is_undone(error) if writes else errors.is_transient(error)

    def watch(self, request: Any, limit_s: float) -> None:
        """Return when there is an answer to a watch beside that it was begun, or at the limit."""
        at = self._at
        server = self._servers[at]
        stream = None
        try:
            stream = server.watch(iter([request]), timeout=limit_s, metadata=self._who(server))
            for answer in stream:
                if answer.events or answer.canceled:
                    return
        except ValueError:  # its channel was closed a moment ago
            self.check_open()
            raise
        except grpc.RpcError as error:
            self.check_open()
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
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
        """Raise StoreRefused when it is closed."""
        if self._closed.is_set():
            raise StoreRefused(f"etcd at {self.where}", "it is closed")

    def _time_for(self, left_s: float, writes: str | None) -> float:
        """Return the time for one try: a read leaves some for another server."""
        return left_s / 2 if writes is None and len(self._servers) > 1 else left_s

    def _turn_from(self, at: int, error: grpc.RpcError) -> None:
        """Go on with the next server, unless another thread has done so."""
        if errors.is_transient(error) and self._at == at:
            self._at = (at + 1) % len(self._servers)

    def _who(self, server: Server) -> list[tuple[str, str]]:
        if self._user is None:
            return [_WITH_LEADER]
        if server.token is None:
            server.token = self._authenticate(server, self._user)
        return [_WITH_LEADER, ("token", server.token)] if server.token else [_WITH_LEADER]

    def _authenticate(self, server: Server, user: tuple[str, str]) -> str:
        """Return a token, ``''`` from a server that asks nobody who they are."""
        request = rpc_pb2.AuthenticateRequest(name=user[0], password=user[1])
        try:
            answer = server.authenticate(request, timeout=self.timeout_s)
        except grpc.RpcError as error:
            if "authentication is not enabled" in str(error.details()):
                return ""
            raise
        return str(answer.token)


def opened(connection: EtcdConnection, probe: Callable[[], object]) -> None:
    """Check that servers can be asked at all; close the connection when not.

    Raises:
        StoreUnavailable: Nobody answers.
        StoreRefused: They speak with or without TLS, or want a certificate or another user.
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
