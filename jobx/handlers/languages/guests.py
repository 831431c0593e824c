"""Guests: processes that run author code for an executor, in languages other than Python."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeVar

from jobx.handlers.failures import GuestFailed, Misuse
from jobx.system import kernel, processes
from jobx.system.errors import translate

T = TypeVar("T")

#: Errors of a program that does not start; any other error is a lack of the machine.
_OF_PROGRAM: Final = frozenset(
    {
        *(errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENOEXEC, errno.ELOOP),
        *(errno.ENAMETOOLONG, errno.EINVAL),
    }
)


class Guests:
    """The guests of an executor, and their settings.

    A guest belongs to the process group of its executor, and ends with it. Processes that it
    leaves behind become children of the executor, which adopts orphans.

    Args:
        folder: The private folder of the executor, where guests work and find their source.
        programs: Folders whose programs may run handlers.
        wasm_fuel: Fuel of one invocation of a WebAssembly module; about one per instruction.
        wasm_memory_bytes: Memory of a WebAssembly module.
    """

    def __init__(
        self,
        folder: str,
        programs: Sequence[str] = (),
        wasm_fuel: int = 0,
        wasm_memory_bytes: int = 0,
    ) -> None:
        self.folder = folder
        self.programs = tuple(programs)
        self.wasm_fuel = wasm_fuel
        self.wasm_memory_bytes = wasm_memory_bytes
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._has_started = False
        self._kept: dict[object, Any] = {}
        self._restoring: list[Callable[[], object]] = []

    def keep(self, make: Callable[[Guests], T]) -> T:
        """Return the result of ``make``, which is called once in this executor."""
        if make not in self._kept:
            self._kept[make] = make(self)
        kept: T = self._kept[make]
        return kept

    def on_restore(self, restore: Callable[[], object]) -> None:
        """Call ``restore`` when changes by author code of a request are undone."""
        self._restoring.append(restore)

    @property
    def are_used(self) -> bool:
        """Whether there are guests, or have been since the last restore."""
        return self._has_started or bool(self._running)

    def restore(self) -> None:
        """Undo changes in guests by author code of a request."""
        self._has_started = False
        for restore in self._restoring:
            restore()

    def start(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a guest; ``options`` are those of Popen.

        Raises:
            GuestFailed: Its program cannot be started (kind ``capability``).
            Misuse: It is given more arguments and variables than the machine passes on.
            StoreUnavailable, StoreRefused: The machine lacks resources for a start.
        """
        try:
            guest = subprocess.Popen(  # noqa: S603 - this is what an executor is for
                argv,
                cwd=self.folder,
                preexec_fn=_die_with_executor,  # noqa: PLW1509 - one call of libc harms no thread
                **options,
            )
        except (OSError, subprocess.SubprocessError) as error:
            if isinstance(error, OSError) and error.errno == errno.E2BIG:
                reason = "is given more arguments and variables (session) than are passed on"
                raise Misuse("protocol", f"{argv[0]} {reason}: {error.strerror}") from error
            if isinstance(error, OSError) and error.errno not in _OF_PROGRAM:
                raise translate(error, argv[0]) from error
            reason = f"{argv[0]} cannot be started on this node: {error}"
            raise GuestFailed("capability", "RuntimeMissing", reason) from error
        self._running[guest.pid] = guest
        self._has_started = True
        return guest

    def end(self, guest: subprocess.Popen[bytes], patience_s: float = 0.0) -> int:
        """End a guest and return its exit code, negative when a signal ended it.

        Args:
            guest: The guest.
            patience_s: Time that it gets to end by itself.
        """
        try:
            guest.wait(patience_s)
        except subprocess.TimeoutExpired:
            guest.kill()
            guest.wait()
        finally:
            for stream in (guest.stdin, guest.stdout, guest.stderr):
                if stream is not None:
                    with suppress(OSError):  # nobody reads the rest of its buffer
                        stream.close()
        self._running.pop(guest.pid, None)
        return guest.returncode

    def close(self) -> None:
        """End all guests; for processes that go on without them."""
        for guest in list(self._running.values()):
            self.end(guest)
        self._kept.clear()

    def rss_bytes(self) -> int:
        """Return the resident memory of all guests."""
        return sum(map(processes.rss_bytes, self._running))

    def has_strangers(self) -> bool:
        """Tell whether this process has children, dead ones included, that are not guests."""
        if self._running:
            return bool(_children() - self._running.keys())
        try:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return False
        return True


def _die_with_executor() -> None:
    kernel.prctl(kernel.DIE_WITH_PARENT, signal.SIGKILL)


def _children() -> set[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", "rb", buffering=0) as children:
            return set(map(int, children.read().split()))
    except OSError:  # a kernel without this file
        return set()
