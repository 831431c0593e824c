"""Processes that must not outlive their parent."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from jobx.system import kernel

#: Passes over the process table; more than one, because a process may fork while it is killed.
_SWEEPS: Final = 3


class Child:
    """A restartable process in its own session, which dies with this process.

    Args:
        name: Its name in messages.
        command: Program and arguments.
        environ: Its whole environment.
        orphan_signal: The signal that it gets when this process dies.
        pass_fds: Descriptors that it inherits under their numbers.
        folder: Its working folder; default: that of this process.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environ: Mapping[str, str],
        orphan_signal: signal.Signals,
        pass_fds: Sequence[int] = (),
        *,
        folder: str | None = None,
    ) -> None:
        self.name = name
        self._command = list(command)
        self._environ = dict(environ)
        self._orphan_signal = orphan_signal
        self._pass_fds = tuple(pass_fds)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, or None before the first start."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start or restart it; the calling thread must live as long as this process."""
        self._process = subprocess.Popen(  # noqa: S603 - a command of our own
            self._command,
            env=self._environ,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            pass_fds=self._pass_fds,
            preexec_fn=_tie(os.getpid(), self._orphan_signal),  # noqa: PLW1509 - no threads here
        )

    def ended(self) -> int | None:
        """Return its exit code (minus a signal) once it has ended; kill what it left behind."""
        if self._process is None:
            return None
        running = self._process.returncode is None
        code = self._process.poll()
        if running and code is not None:
            kill_session(self._process.pid)
        return code

    @property
    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self.ended() is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self._process is not None and self.running:
            self._process.send_signal(number)

    def kill(self) -> None:
        """Kill it and its whole session at once, and reap it."""
        if self._process is None or self._process.returncode is not None:
            return
        kill_session(self._process.pid)
        self._process.wait(timeout=10.0)


def kill_session(session: int) -> None:
    """Kill every process of a session, including those in their own process groups."""
    for _ in range(_SWEEPS):
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                _kill_member(int(entry), session)


def _kill_member(pid: int, session: int) -> None:
    try:
        if os.getsid(pid) == session:
            os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # it has ended, or is not ours


def _tie(parent: int, orphan_signal: signal.Signals) -> Callable[[], None]:
    def tie() -> None:
        kernel.prctl(kernel.DIE_WITH_PARENT, orphan_signal)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if os.getppid() != parent:  # it died before the tie held
            os._exit(1)

    return tie
