"""How servers of etcd are: sizes, quota, alarms, compaction. For people, so nothing here raises.

The quota and the flags of a server are not in etcd's API up to 3.5. A server shows them over HTTP
on the same port, in its metrics and in the words of its command line.
"""

from __future__ import annotations

import json
import re
import ssl
import urllib.request
from contextlib import closing, suppress
from typing import Any, Final

from aetcd.rpc import rpc_pb2, rpc_pb2_grpc

from jobx.errors import JobxError
from jobx.kv.etcd.connection import EtcdConnection, Server
from jobx.views import StoreServerView

_HTTP_S: Final = 2.0
_MAX_BYTES: Final = 4 << 20
_QUOTA: Final = re.compile(r"^etcd_server_quota_backend_bytes (\S+)$", re.MULTILINE)
_COMPACTS: Final = re.compile(r"--?auto-compaction-retention(=| )0*[1-9]")
_ALARMS: Final = {rpc_pb2.NOSPACE: "NOSPACE", rpc_pb2.CORRUPT: "CORRUPT"}


def survey(connection: EtcdConnection, tls: ssl.SSLContext | None) -> StoreServerView:
    """Describe the one server of a connection, and close the connection."""
    server = connection.where
    with closing(connection):
        try:
            status = _call(connection, _status, rpc_pb2.StatusRequest())
            alarms = _call(connection, _alarm, rpc_pb2.AlarmRequest()).alarms
            is_compacted = _is_compacted(connection)
        except JobxError as error:
            return StoreServerView(server=server, error=str(error))
    words = _read(server, "/debug/vars", tls)
    return StoreServerView(
        server=server,
        version=status.version,
        is_leader=status.leader == status.header.member_id,
        has_leader=bool(status.leader),
        size_bytes=status.dbSize,
        quota_bytes=_quota(_read(server, "/metrics", tls)),
        alarms=[_ALARMS.get(one.alarm, str(one.alarm)) for one in alarms],
        revision=status.header.revision,
        is_compacted=is_compacted or _compacts(words),
    )


def _quota(metrics: str) -> int | None:
    found = _QUOTA.search(metrics)
    return int(float(found[1])) if found else None


def _compacts(variables: str) -> bool | None:
    """Tell whether a server's command line switches compaction on; None: it does not say."""
    with suppress(ValueError, LookupError, TypeError):
        if _COMPACTS.search(" ".join(json.loads(variables)["cmdline"])):
            return True
    return None


def _is_compacted(connection: EtcdConnection) -> bool:
    """Tell whether old values were ever removed: then nobody can read the first ones."""
    request = rpc_pb2.RangeRequest(key=b"\0", revision=1, limit=1)
    try:
        _call(connection, _range, request)
    except JobxError as error:
        if "compacted" in str(error):
            return True
        raise
    return False


def _read(server: str, path: str, tls: ssl.SSLContext | None) -> str:
    url = f"{'https' if tls else 'http'}://{server}{path}"
    try:
        with urllib.request.urlopen(url, timeout=_HTTP_S, context=tls) as answer:  # noqa: S310 - as set
            text: bytes = answer.read(_MAX_BYTES)
    except (OSError, ValueError):
        return ""
    return text.decode(errors="replace")


def _call(connection: EtcdConnection, pick: Any, request: Any) -> Any:
    return connection.call(pick, request, connection.deadline())


def _range(server: Server) -> Any:
    return server.range


def _status(server: Server) -> Any:
    return rpc_pb2_grpc.MaintenanceStub(server.channel).Status


def _alarm(server: Server) -> Any:
    return rpc_pb2_grpc.MaintenanceStub(server.channel).Alarm
