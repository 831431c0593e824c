"""Faults of the soak: what a strike does to a running ``serve`` and to the machine below it."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Final

from tests.chaos.soak.history import History, Struck, Violation
from tests.chaos.soak.plan import Strike
from tests.support.fault.rules import Fault, Faults, full_disk, read_only, slow_sync
from tests.support.processes import alive
from tests.support.served import Served, kill

#: ``serve`` gives up a child that dies more often than five times a minute.
_DEATHS_A_MINUTE: Final = 4
_RESTART_S: Final = 60.0
#: ``serve`` counts deaths of a child for so long, those by a sick disk among them.
_COUNTED_S: Final = 65.0
#: What is looked at of the end of the log.
_TAIL_BYTES: Final = 4096
_JUMPS_S: Final = (3600.0, -3600.0, 86_400.0, -86_400.0)


class Striker:
    """Strikes, one fault after the other, until it is told to stop.

    Args:
        serving: What is struck.
        history: What was struck is noted there.
        faults: The shim below it.
        data_dir: Where its disk is.
        keeper: Held while processes of it are replaced.
        log: Strikes and what was met are written there, with wall-clock times as in other logs.
        name: Follows each of those lines.
    """

    def __init__(
        self,
        serving: Served,
        *,
        history: History,
        faults: Faults,
        data_dir: Path,
        keeper: threading.RLock,
        log: IO[str],
        name: str = "",
    ) -> None:
        self._serving = serving
        self._history = history
        self._faults = faults
        self._data_dir = data_dir
        self._keeper = keeper
        self._log = log
        self._name = name
        self._deaths: dict[str, deque[float]] = {}
        self._healed_at = float("-inf")

    def run(self, strikes: Iterator[Strike], stop: threading.Event) -> None:
        """Do one strike after the other."""
        for strike in strikes:
            if stop.wait(strike.pause_s):
                return
            began = time.monotonic()
            self._note(f"{strike.fault} for {strike.lasts_s:g} s, luck {strike.luck:.2f}")
            try:
                struck = self._strike(strike, stop)
            except Exception as error:  # noqa: BLE001 - told by the check
                self._met("striker", f"{strike.fault}: {type(error).__name__}: {error}")
                struck = True
            if struck:
                ended = time.monotonic()
                self._history.struck.append(Struck(strike.fault, began, ended))
            self._note(f"{strike.fault} is over" if struck else f"{strike.fault} met nobody")

    def _strike(self, strike: Strike, stop: threading.Event) -> bool:
        verb, _, part = strike.fault.partition(" ")
        if verb == "kill":
            return self._kill(part, strike.luck)
        if verb == "stop":
            return self._stop(part, strike, stop)
        if strike.fault == "restart":
            return self._restart()
        self._hurt(strike, stop)
        return True

    def _kill(self, part: str, luck: float) -> bool:
        if not self._may_die(part):
            return False
        with self._keeper:
            if part == "all":
                self._serving.kill_all()
                self.start()
            elif part == "serve":
                self._serving.note()
                kill(self._serving.process.pid)
                self._serving.process.wait(30)
                self.start()
            else:
                self._serving.note()
                pid = self._victim(part, luck)
                if pid is None:
                    return False
                kill(pid)
        return True

    def _restart(self) -> bool:
        with self._keeper:
            code = self._serving.process.poll()
            if code is None:
                code = self._serving.stop()
            if code != 0:
                self._met("exit", f"a stopped serve ended with code {code}")
            self.start()
        return True

    def _stop(self, part: str, strike: Strike, stop: threading.Event) -> bool:
        """Let a process stand still for a while; it may be killed meanwhile."""
        if not self._may_die(part):
            return False
        pid = self._serving.process.pid if part == "serve" else self._victim(part, strike.luck)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            stop.wait(strike.lasts_s)
            os.kill(pid, signal.SIGCONT)
        return True

    def _victim(self, part: str, luck: float) -> int | None:
        """Return a process; None: another death has just taken it along."""
        find: dict[str, Callable[[], list[int]]] = {
            "executor": self._serving.executors,
            "fork server": lambda: [self._serving.fork_server()],
            "web worker": self._serving.web_workers,
            "web server": lambda: [self._serving.web_server()],
            "node": lambda: [self._serving.node()],
        }
        with contextlib.suppress(IndexError, ValueError, OSError):
            found = find[part]()
            return found[int(luck * len(found))]
        return None

    def _may_die(self, part: str) -> bool:
        if part not in ("node", "web server"):
            return True
        deaths = self._deaths.setdefault(part, deque())
        now = time.monotonic()
        while deaths and deaths[0] < now - _COUNTED_S:
            deaths.popleft()
        if len(deaths) >= _DEATHS_A_MINUTE:
            return False
        deaths.append(now)
        return True

    def start(self) -> None:
        """Start ``serve`` again; what keeps it from that is noted, and it is tried again."""
        self._deaths.clear()
        deadline = time.monotonic() + _RESTART_S
        while True:
            began = time.monotonic()
            try:
                self._serving.start()
                return
            except AssertionError as error:
                after_s = time.monotonic() - began
                if not self._was_sick(began):
                    self._met("start", f"serve did not start, after {after_s:.1f} s: {error}")
                self._serving.kill_all()
            if time.monotonic() > deadline:
                raise TimeoutError(f"serve did not start within {_RESTART_S:g} s")
            time.sleep(0.5)

    def watch(self, stop: threading.Event) -> None:
        """Start ``serve`` again where it ended by itself, which is a violation."""
        while not stop.wait(0.5):
            if not self._keeper.acquire(blocking=False):
                continue
            try:
                code = self._serving.process.poll()
                if code is not None and not stop.is_set():
                    if not (self._gave_up() and self._was_sick(time.monotonic() - _COUNTED_S)):
                        self._met("exit", f"serve ended by itself with code {code}")
                    self._serving.kill_all()
                    self.start()
            except Exception as error:  # noqa: BLE001 - told by the check
                self._met("striker", f"watching: {type(error).__name__}: {error}")
            finally:
                self._keeper.release()

    def _was_sick(self, since: float) -> bool:
        """Whether the disk was so at any time since an instant that a start may be refused."""
        return self._faults.is_set or self._healed_at > since

    def _gave_up(self) -> bool:
        """Whether ``serve`` said that it starts a child no more that died too often."""
        with Path(self._log.name).open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return b" too often\n" in log.read()

    def _hurt(self, strike: Strike, stop: threading.Event) -> None:
        if strike.fault == "clock":
            self._faults.jump(_JUMPS_S[int(strike.luck * len(_JUMPS_S))])
            stop.wait(strike.lasts_s)
            self._faults.jump(0.0)
            return
        self._faults.set(_machine_faults(strike, self._data_dir))
        stop.wait(strike.lasts_s)
        self._healed_at = time.monotonic()
        self._faults.clear()

    def _met(self, kind: str, detail: str) -> None:
        self._history.met.append(Violation(kind, detail))
        self._note(f"{kind}: {detail}")

    def _note(self, text: str) -> None:
        self._log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} soak: {text}{self._name}\n")
        self._log.flush()


def _machine_faults(strike: Strike, data_dir: Path) -> list[Fault]:
    below = f"{data_dir.absolute()}/*"
    chance = strike.luck**2
    eio = errno.EIO
    found: dict[str, list[Fault]] = {
        "full disk": full_disk(data_dir),
        "read-only": read_only(data_dir),
        "slow sync": slow_sync(data_dir, 0.01 + 1.5 * chance),
        "failing sync": [Fault(calls=("sync",), path=below, error=eio, probability=chance)],
        "failing write": [Fault(calls=("write",), path=below, error=eio, probability=chance)],
        "failing read": [Fault(calls=("read",), path=below, error=eio, probability=chance)],
        "no descriptors": [
            Fault(calls=("open",), path=below, error=errno.EMFILE, probability=chance)
        ],
        "short writes": [Fault(calls=("write",), path=below, at_most_bytes=1000)],
    }
    return found[strike.fault]


def cont(pids: set[int]) -> None:
    """Let processes go on that a strike may have left standing."""
    for pid in pids:
        if alive(pid):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGCONT)
