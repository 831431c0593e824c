"""Main of the fork server: makes executors for a node, and reports their ends.

``python -m jobx.handlers.execution.fork_server CONTROL_FD``: the node gives one SOCK_SEQPACKET
socket, and sends ``executor.Config`` as JSON over it before anything else. It never held a socket,
a lock or a thread of the node, so what it forks is clean. Messages are packed maps::

    node to fork server    spawn    n, with a stream socket and a page of PAGE_BYTES as descriptors
                           ping     n
    fork server to node    spawned  n, pid
                           exited   pid, status (exit code; negative: the signal)
                           pong     n

When the node closes its end or dies, all executors and what they started are killed, and the
fork server ends. Executors die with the fork server even when it is killed.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import random
import resource
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import traceback
from contextlib import suppress
from dataclasses import dataclass
from mmap import mmap
from typing import Final

import msgspec

from jobx.handlers import languages
from jobx.handlers.blobs import opening
from jobx.handlers.execution import main as executor
from jobx.handlers.execution.fork_messages import (
    FORK_ORDER,
    Forked,
    NotForked,
    Ping,
    Pong,
    ProcessEnded,
)
from jobx.handlers.execution.main import Config
from jobx.handlers.execution.shared_page import PAGE_BYTES, SharedPage
from jobx.handlers.execution.surroundings import Surroundings
from jobx.system import kernel

_MESSAGE_BYTES: Final = 1 << 12
#: Descriptors that come with a message: an executor's stream and its shared page.
_GIVEN: Final = 2
_CONFIG_BYTES: Final = 1 << 20
#: Grouping creates many long-lived containers; with the defaults, half the time is collections.
_GC_THRESHOLD: Final = (100_000, 50, 50)


@dataclass(frozen=True, slots=True)
class _Child:
    pid: int
    pidfd: int
    folder: str


class ForkServer:
    """Makes executors on demand.

    Args:
        control: The socket to the node.
        config: What executors are given.
        surroundings: What they restore around author code.
    """

    def __init__(self, control: socket.socket, config: Config, surroundings: Surroundings) -> None:
        self._control = control
        self._config = config
        self._surroundings = surroundings
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._children: dict[int, _Child] = {}

    def run(self) -> None:
        """Serve until the node is gone."""
        try:
            while True:
                for key, _ in self._selector.select():
                    if key.data is not None:
                        self._reap(key.data)
                    elif not self._serve():
                        return
        finally:
            for child in self._children.values():
                _kill(child)
            for child in self._children.values():
                os.waitpid(child.pid, 0)
                _forget(child)

    def _serve(self) -> bool:
        """Take one message; False when the node is gone."""
        try:
            message, descriptors, _, _ = socket.recv_fds(self._control, _MESSAGE_BYTES, _GIVEN)
        except ConnectionError:
            return False
        if not message:
            return False
        order = FORK_ORDER.decode(message)
        if isinstance(order, Ping):
            self._tell(Pong(order.n))
            return True
        try:
            child = self._fork(descriptors)
        except OSError as error:
            self._tell(NotForked(order.n, str(error)))  # no room, no memory, no descriptors
            return True
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self._children[child.pid] = child
        self._selector.register(child.pidfd, selectors.EVENT_READ, child)
        self._tell(Forked(order.n, child.pid))
        return True

    def _fork(self, descriptors: list[int]) -> _Child:
        if len(descriptors) < _GIVEN:  # the kernel drops descriptors that exceed the limit
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        os.makedirs(self._config.temp_dir, exist_ok=True)
        folder = tempfile.mkdtemp(prefix="executor-", dir=self._config.temp_dir)
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            os.rmdir(folder)
            raise
        if pid == 0:
            _become_executor(parent, descriptors, self._config, folder, self._surroundings)
        try:
            return _Child(pid, os.pidfd_open(pid), folder)
        except OSError:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            shutil.rmtree(folder, ignore_errors=True)
            raise

    def _reap(self, child: _Child) -> None:
        _, status = os.waitpid(child.pid, 0)
        self._selector.unregister(child.pidfd)
        del self._children[child.pid]
        _kill(child)
        _forget(child)
        code = os.waitstatus_to_exitcode(status)
        self._tell(ProcessEnded(child.pid, code))

    def _tell(self, news: Pong | Forked | NotForked | ProcessEnded) -> None:
        with suppress(ConnectionError):  # the end of the control socket is seen when it is read
            self._control.send(msgspec.msgpack.encode(news))


def _kill(child: _Child) -> None:
    """Kill an executor and what it started; a new one may not lead its group yet."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def _forget(child: _Child) -> None:
    os.close(child.pidfd)
    try:
        os.rmdir(child.folder)  # far quicker, and mostly enough
    except OSError:
        shutil.rmtree(child.folder, ignore_errors=True)


def _become_executor(
    parent: int, descriptors: list[int], config: Config, folder: str, surroundings: Surroundings
) -> None:
    """Turn this new process into an executor; does not return."""
    stream_fd, page_fd = descriptors
    status, complaints_fd = 1, 2
    try:
        complaints_fd = executor.lift(os.dup(2))  # author code gets another one
        os.setsid()
        kernel.prctl(kernel.DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            return
        gc.enable()
        gc.set_threshold(*_GC_THRESHOLD)
        _confine(config, folder)
        page = SharedPage(mmap(page_fd, PAGE_BYTES))
        executor.main(stream_fd, page, config, folder, surroundings, complaints_fd=complaints_fd)
        status = 0
    except BaseException:  # noqa: BLE001 - the process ends here, and says why
        os.write(complaints_fd, traceback.format_exc().encode("utf-8", "backslashreplace"))
    finally:
        os._exit(status)


def _confine(config: Config, folder: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    kernel.prctl(kernel.NO_NEW_PRIVILEGES, 1)
    kernel.limit(resource.RLIMIT_CORE, 0)
    if config.memory_bytes:
        kernel.limit(resource.RLIMIT_AS, config.memory_bytes)
    os.environ["TMPDIR"] = tempfile.tempdir = folder
    os.chdir(folder)
    random.seed()


def main(arguments: list[str]) -> None:
    """Run the fork server with the arguments of the command line."""
    (control_fd,) = arguments
    kernel.reset_signals()  # who starts executors without a command may have left any
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the node, which drains first
    control = socket.socket(fileno=int(control_fd))
    control.set_inheritable(False)
    config = control.recv(_CONFIG_BYTES)
    if not config:
        return  # the node is gone
    made = Config(**json.loads(config))
    languages.processor("python")  # executors share these modules, which most of them need
    if made.blobs is not None:
        opening.load(opening.from_plain(made.blobs))
    os.environ.clear()
    os.environ.update(made.environment)
    server = ForkServer(control, made, Surroundings())
    # Collections and reference counts of what is loaded now would copy shared pages.
    gc.disable()
    gc.collect()
    gc.freeze()
    server.run()


if __name__ == "__main__":
    main(sys.argv[1:])
