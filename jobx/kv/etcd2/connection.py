"""The connection to the servers of etcd, v2 API: python-etcd, one client a server, used in turn.

python-etcd and urllib3 below it would repeat calls by themselves, writes included, and each time
with the whole time limit. So that is switched off, and urllib3's pool left out (see ``http_pool``):
a call goes to one server, once. If a server does not answer, the next one is used. A call that
certainly had no effect is repeated there; a write that may have happened is not repeated, and its
caller gets OutcomeUnknown.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlencode

import etcd
from msgspec import Struct

from jobx.errors import StoreRefused, StoreUnavailable
from jobx.kv.etcd2 import errors
from jobx.kv.etcd2.calls import Call, List, Look, Pause, Remove, RemoveFolder, TreeNode, Write
from jobx.kv.etcd2.http_pool import Access, CallLimit, HttpAnswer, HttpPool

#: Pause before a call without effect is repeated.
_PAUSE_S: Final = 0.05
_KEYS: Final = "/v2/keys"


class _Client(etcd.Client):
    """A client that makes each call once."""

    def __init__(self, server: str, access: Access) -> None:
        host, _, port = server.rpartition(":")
        user, password = access.user or (None, None)
        super().__init__(
            host,
            int(port),
            protocol="https" if access.is_tls else "http",
            username=user,
            password=password,
            allow_redirect=False,
        )
        self.http: Any = _OneServer(HttpPool(server, access), len(self.base_uri))

    def _check_cluster_id(self, response: Any) -> None:
        """Do not check it: python-etcd would ask in a way that urllib3 has deprecated."""


class _OneServer:
    """What a client uses of a pool manager, for one server.

    Args:
        pool: Its connections.
        start: Where the path begins in a URL of it.
    """

    def __init__(self, pool: HttpPool, start: int) -> None:
        self.pool = pool
        self._start = start

    def request(
        self,
        method: str,
        url: str,
        *,
        fields: dict[str, Any],
        headers: dict[str, str],
        timeout: CallLimit,
        **_: Any,
    ) -> HttpAnswer:
        """Make a request whose fields are in its URL."""
        path = f"{url[self._start :]}?{urlencode(fields)}"
        return _checked(self.pool.ask(method, path, headers, b"", timeout))

    def request_encode_body(
        self,
        method: str,
        url: str,
        *,
        fields: dict[str, Any],
        headers: dict[str, str],
        timeout: CallLimit,
        **_: Any,
    ) -> HttpAnswer:
        """Make a request whose fields are in its body."""
        headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(fields).encode()
        return _checked(self.pool.ask(method, url[self._start :], headers, body, timeout))

    def clear(self) -> None:
        """Close all connections."""
        self.pool.close()


def _checked(answer: HttpAnswer) -> HttpAnswer:
    """Return an answer, unless it is a refusal that etcd has not made."""
    if answer.status >= HTTPStatus.MULTIPLE_CHOICES:
        errors.understood(answer.status, answer.data)
    return answer


class Etcd2Connection:
    """Calls servers of one cluster; threads may share it.

    Args:
        servers: ``host:port`` of each.
        access: How to speak to them.
        timeout_s: Time limit of one call, with its repetitions.
    """

    def __init__(self, servers: Sequence[str], access: Access, timeout_s: float) -> None:
        # It logs each failed call as an error; here that is raised, or another server answers.
        logging.getLogger("etcd.client").disabled = True
        self.timeout_s = timeout_s
        self.where = ",".join(servers)
        self._clients = [_Client(server, access) for server in servers]
        self._at = 0
        self._closed = threading.Event()

    def make(self, call: Call, limit_s: float | None = None) -> Any:
        """Make a call and return its answer; see ``calls``.

        Args:
            call: The call.
            limit_s: Its time limit; None: the one of all calls.

        Raises:
            JobxError: No server answered, or one refused; see ``errors.translate``.
        """
        match call:
            case Look():
                return self._look(call.path)
            case List():
                return self._list(call)
            case Write():
                return self._write(call, limit_s)
            case Remove():
                fields: dict[str, Any] = {} if call.index is None else {"prevIndex": call.index}
                return self._changes("DELETE", call.path, fields) > 0
            case RemoveFolder():
                fields = {"dir": "true", **({"recursive": "true"} if call.is_deep else {})}
                return self._changes("DELETE", call.path, fields) > 0
            case Pause():
                self._closed.wait(call.seconds)
                return None

    def watch(
        self, path: str, index: int, limit_s: float, *, is_deep: bool = False
    ) -> TreeNode | None:
        """Wait until a path has changed since an index.

        Returns:
            The first change; one without an index if the servers do not remember that one. None at
            the limit, or if the server failed.
        """
        fields = {"wait": "true", "waitIndex": str(index)}
        if is_deep:
            fields["recursive"] = "true"
        at = self._at
        self.check_open()
        limit = CallLimit(limit_s, connect_s=self.timeout_s)
        try:
            client = self._clients[at]
            answer = _read(client.api_execute(_KEYS + path, "GET", fields, timeout=limit))
            return _tree_node(answer.found, answer.index)
        except etcd.EtcdWatchTimedOut:
            return None
        except (etcd.EtcdException, ValueError) as error:
            self.check_open()
            if isinstance(error, etcd.EtcdEventIndexCleared):  # whoever waits reads it anew
                return TreeNode(path)
            self._turn_from(at, error)
            self._closed.wait(_PAUSE_S)
            return None

    def close(self) -> None:
        """End all calls to come; idempotent."""
        self._closed.set()
        for client in self._clients:
            client.http.clear()

    def check_open(self) -> None:
        """Raise StoreRefused if the connection is closed."""
        if self._closed.is_set():
            raise StoreRefused(f"etcd at {self.where}", "it is closed")

    def _look(self, path: str) -> TreeNode:
        try:
            answer = self._call("GET", path, {"quorum": "true"})
        except etcd.EtcdKeyNotFound as error:
            return TreeNode(path, seen=int(error.payload.get("index", 0)))
        return _tree_node(answer.found, answer.index)

    def _list(self, call: List) -> list[TreeNode]:
        fields = {"quorum": "true", **({"recursive": "true"} if call.is_deep else {})}
        try:
            answer = self._call("GET", call.path, fields)
        except etcd.EtcdKeyNotFound:
            return []
        found: list[TreeNode] = []
        stack = [answer.found]
        while stack:
            for item in stack.pop().get("nodes", ()):
                if call.is_deep and item.get("dir"):
                    stack.append(item)
                else:
                    found.append(_tree_node(item, answer.index))
        return found

    def _write(self, call: Write, limit_s: float | None) -> int:
        fields: dict[str, Any] = {"noValueOnSuccess": "true"}
        if not call.is_refresh:
            fields["value"] = call.text
        if call.index == 0:
            fields["prevExist"] = "false"
        elif call.index is not None:
            fields["prevIndex"] = call.index
        if call.ttl_s is not None:
            fields["ttl"] = call.ttl_s
        if call.is_refresh:
            fields |= {"refresh": "true", "prevExist": "true"}
        return self._changes("PUT", call.path, fields, limit_s)

    def _changes(
        self, method: str, path: str, fields: dict[str, Any], limit_s: float | None = None
    ) -> int:
        """Make a change and return its index, 0 if its condition did not hold."""
        try:
            answer = self._call(method, path, fields, limit_s, writes=True)
        except errors.REFUSED:
            return 0
        return answer.index  # as it was at this change

    def _call(
        self,
        method: str,
        path: str,
        fields: dict[str, Any],
        limit_s: float | None = None,
        *,
        writes: bool = False,
    ) -> _Answer:
        deadline = time.monotonic() + min(self.timeout_s, limit_s or self.timeout_s)
        failed: Exception | None = None
        while (left_s := deadline - time.monotonic()) > 0:
            self.check_open()
            at = self._at
            is_split = not writes and len(self._clients) > 1
            part_s = left_s / 2 if is_split else left_s
            limit = CallLimit(part_s, connect_s=part_s)
            try:
                client = self._clients[at]
                return _read(client.api_execute(_KEYS + path, method, fields, timeout=limit))
            except errors.REFUSED:
                raise
            except (etcd.EtcdException, ValueError) as error:
                failed = error
            self.check_open()
            self._turn_from(at, failed)
            may_go_on = errors.is_undone(failed) if writes else errors.is_transient(failed)
            if not may_go_on:
                break
            self._closed.wait(_PAUSE_S)
        if failed is None:
            raise StoreUnavailable(f"etcd at {self.where} has not answered in time")
        raise errors.translate(failed, self.where, path if writes else None) from failed

    def _turn_from(self, at: int, error: Exception) -> None:
        """Switch to the next server, unless another thread has done so."""
        if errors.is_transient(error) and self._at == at:
            self._at = (at + 1) % len(self._clients)


class _Answer(Struct, frozen=True):
    """What etcd answers: a file or a folder as it has it, and the index of the whole store."""

    found: dict[str, Any]
    index: int


def _read(answer: HttpAnswer) -> _Answer:
    said = errors.understood(answer.status, answer.data)
    index = answer.headers.get("X-Etcd-Index", "")
    if not index.isdecimal():
        raise errors.NotUnderstood(answer.status, answer.data)
    return _Answer(said.get("node") or {}, int(index))


def _tree_node(found: dict[str, Any], seen: int) -> TreeNode:
    return TreeNode(
        path=found.get("key", "/"),
        text=found.get("value", ""),
        index=found.get("modifiedIndex", 0),
        is_folder=found.get("dir", False),
        seen=seen,
    )
