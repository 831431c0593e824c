"""What a process itself lacks is told from what others do, also where an error does not say so."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys

import pytest

from jobx.errors import StoreRefused, Unavailable
from jobx.system.errors import confirm_room, is_of_own_limit, is_own_lack

#: Resolves a name while the process can open nothing.
RESOLVE = """
import encodings.idna, errno, os, resource, socket
from jobx.system.errors import confirm_room
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
try:
    while True:
        os.dup(0)
except OSError:
    pass
try:
    socket.getaddrinfo("name.invalid", 80)
except socket.gaierror as error:
    try:
        confirm_room(error)
    except OSError as lack:
        print(errno.errorcode[lack.errno])
"""


def _wrapped(error: Exception) -> Exception:
    try:
        try:
            raise error
        except OSError as cause:
            raise Unavailable("the receiver cannot be reached", 0.0) from cause
    except Unavailable as wrapped:
        return wrapped


UNKNOWN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def test_a_name_is_not_unknown_to_who_can_open_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RESOLVE], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "EMFILE\n"


@pytest.mark.parametrize("error", [UNKNOWN, _wrapped(UNKNOWN), OSError(errno.ECONNREFUSED, "")])
def test_an_error_is_others_where_there_is_room(error: Exception) -> None:
    confirm_room(error)


def test_a_resolver_without_memory_is_a_lack_of_ours() -> None:
    with pytest.raises(OSError, match=os.strerror(errno.ENOMEM)) as raised:
        confirm_room(_wrapped(socket.gaierror(socket.EAI_MEMORY, "")))
    assert is_own_lack(raised.value)


def test_an_error_of_another_kind_asks_for_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(os, "open", full)
    confirm_room(OSError(errno.ECONNREFUSED, ""))
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
        confirm_room(UNKNOWN)


def test_a_limit_of_this_process_is_told_without_a_cause_as_what_is_compiled_raises() -> None:
    error = StoreRefused("the temporary folder", "File too large")
    error.__context__ = OSError(errno.EFBIG, "File too large")
    assert is_of_own_limit(error)


def test_a_lack_of_descriptors_on_the_machine_is_no_limit_of_this_process() -> None:
    error = StoreRefused("the temporary folder", "Too many open files in system")
    error.__cause__ = OSError(errno.ENFILE, "Too many open files in system")
    assert not is_of_own_limit(error)
