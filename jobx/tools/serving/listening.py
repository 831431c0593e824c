"""The socket that web workers take connections from: made, reached, and told as a URL."""

from __future__ import annotations

import errno
import os
import shutil
import socket
from pathlib import Path
from typing import Any, Final

from jobx.config import MAX_SOCKET_PATH_BYTES, Settings
from jobx.errors import ConfigError, InUse, JobxError
from jobx.kv.folder_lock import FolderLock

_UNIX: Final = "unix:"
_BACKLOG: Final = 2048


def listen_for(settings: Settings) -> socket.socket:
    """Listen where the settings say.

    Raises:
        ConfigError: It is no address of this machine.
        InUse: JobX serves the data folder already, or somebody listens there.
    """
    try:
        return listen(settings.http.bind, settings.http.socket_group)
    except InUse as error:
        holder = FolderLock(settings.data_dir).holder()
        if holder is None:
            raise
        pid, role = holder
        by = f"process {pid} ({role})"
        raise InUse("data folder", str(settings.data_dir), by) from error


def listen(bind: str, group: str = "") -> socket.socket:
    """Return a listening socket; the web workers inherit it, so the address stays reserved.

    Args:
        bind: ``HOST:PORT``, an IPv6 host in brackets, port 0 for a free one; or ``unix:PATH``, a
            socket for this user alone (mode 0600).
        group: Members of this group may connect too (mode 0660).

    Raises:
        ConfigError: It is not an address of this machine.
        InUse: Another process listens there.
    """
    try:
        if bind.startswith(_UNIX):
            host_and_port(bind)
            return _listen_unix(Path(bind.removeprefix(_UNIX)), group)
        host, port = host_and_port(bind)
        family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        return socket.create_server((host.strip("[]"), port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise _bind_error(bind, error) from error


def host_and_port(bind: str) -> tuple[str, int]:
    """Return host and port of ``http.bind``; for a Unix socket its path and 0.

    Raises:
        ConfigError: It is no address.
    """
    if bind.startswith(_UNIX):
        path = bind.removeprefix(_UNIX)
        if not path or len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
            reason = f"must be unix:PATH, with a path of 1 to {MAX_SOCKET_PATH_BYTES} bytes"
            raise ConfigError("http.bind", repr(bind), reason)
        return path, 0
    host, _, port = bind.rpartition(":")
    is_port = port.isascii() and port.isdecimal() and len(port) < 6 and int(port) <= 0xFFFF
    if not host or not is_port or (":" in host and not host.startswith("[")):
        reason = "must be HOST:PORT (an IPv6 address in brackets) or unix:PATH"
        raise ConfigError("http.bind", repr(bind), reason)
    return host, int(port)


def _listen_unix(path: Path, group: str) -> socket.socket:
    if path.is_socket() and not _is_answered(path):
        path.unlink()  # a killed process left it
    listener = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)  # it is private from its first instant
    try:
        listener.bind(str(path.absolute()))
        if group:
            shutil.chown(path, group=group)
            path.chmod(0o660)
        listener.listen(_BACKLOG)
    except LookupError as error:
        listener.close()
        raise ConfigError("http.socket_group", repr(group), "there is no such group") from error
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _is_answered(path: Path) -> bool:
    try:
        dial(socket.AF_UNIX, str(path)).close()
    except ConnectionRefusedError:
        return False
    return True


def url_of(address: Any) -> str:
    """Return the URL under which this machine reaches a socket's address."""
    if isinstance(address, str):
        return f"{_UNIX}{address}"
    host, port = _reachable(address)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def dial(family: int, address: Any) -> socket.socket:
    """Connect to what listens at a socket's address."""
    sock = socket.socket(family)
    sock.settimeout(1.0)
    try:
        sock.connect(address if isinstance(address, str) else _reachable(address))
    except BaseException:
        sock.close()
        raise
    return sock


def _reachable(address: Any) -> tuple[str, int]:
    host, port = address[:2]
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port  # noqa: S104 - a comparison


def _bind_error(bind: str, error: OSError) -> JobxError:
    if isinstance(error, PermissionError):
        return ConfigError("http.bind", repr(bind), "this user may not listen there")
    if error.errno == errno.EADDRINUSE:
        return InUse("address", bind, "another process")
    return ConfigError("http.bind", repr(bind), error.strerror or str(error))
