"""``jobx serve``: a node and its web workers, started, watched and stopped together."""

from __future__ import annotations

import http.client
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from jobx import amounts, logs, meanings, mr_variables
from jobx.actors.runtime.supervision import Restart, RestartBudget, RestartPolicy
from jobx.errors import DeadlineExceeded, InternalError, JobxError, StoreRefused
from jobx.kv.data_folder import identity_of
from jobx.questions import GetNode
from jobx.system.processes import how_ended, is_stopped
from jobx.tools.serving import checks, systemd
from jobx.tools.serving.children import Child
from jobx.tools.serving.listening import dial, listen_for, url_of
from jobx.tools.serving.programs import node_child, web_child
from jobx.tools.serving.watchdog import Heartbeat, Stillness
from jobx.tools.shared import render, streams
from jobx.tools.shared.command import Call, command

#: Time limit for the first answer of the node, and then of the web workers.
START_S: Final = 30.0
#: Extra time of the web workers after node.drain_s, for answers in progress.
WEB_GRACE_S: Final = 1.0
#: Extra time of the node after node.drain_s to end cleanly, before it is killed.
GRACE_S: Final = 5.0
#: A child that dies more often than this is not started again.
RESTARTS: Final = RestartPolicy(max_restarts=5)
#: How often the children are checked.
_LOOK_S: Final = 1.0
_TICK_S: Final = 0.05
_STOPPING: Final = frozenset({signal.SIGINT, signal.SIGTERM})
#: Make the web workers reopen their log; the node notices a rotated file by itself.
_REOPENING: Final = frozenset({signal.SIGHUP, signal.SIGUSR1})
_SIGNALS: Final = _STOPPING | _REOPENING | {signal.SIGCHLD, signal.SIGUSR2}

log = logging.getLogger("jobx.serve")


class Stopped(Exception):
    """A stop was requested before everything was up."""


@command(
    None,
    "serve",
    example="serve --data jobx-data --bind 127.0.0.1:8080 --executors 4",
    flags={"bind": "http.bind", "executors": "node.executors"},
)
@click.option(
    "--bind",
    metavar="ADDRESS",
    help="Where to listen: HOST:PORT (port 0: a free one) or unix:PATH.",
)
@click.option("--executors", type=int, help="Executor processes; 0: one for each processor.")
def serve(call: Call) -> int:
    """Run a node and its web workers until Ctrl-C or SIGTERM.

    The first signal drains: no new requests, waiting clients get answers. A second Ctrl-C kills.
    """
    for note in mr_variables.notes(os.environ):
        render.complain(note)
    checks.check(call.settings, os.environ)
    logs.start(call.settings.node)
    with listen_for(call.settings) as listener:
        return Serving(call, listener).run()


class Serving:
    """The parent of a node process and a gunicorn process.

    Signals are blocked and waited for, so that nothing interrupts a decision.
    """

    def __init__(self, call: Call, listener: socket.socket) -> None:
        self._call = call
        self._settings = call.settings
        self._listener = listener
        self._address = listener.getsockname()
        self._heartbeat = Heartbeat()
        self._node = node_child(call.settings, self._heartbeat.write_fd)
        self._web = web_child(call.settings, listener)
        self._restarts = {child: RestartBudget(RESTARTS) for child in (self._node, self._web)}
        self._due: dict[Child, float] = {}
        #: The data folder that the node has used.
        self._folder: tuple[int, int] | None = None
        limit_s = call.settings.node.watchdog_s
        self._stillness = {child: Stillness(limit_s) for child in (self._node, self._web)}

    def run(self) -> int:
        """Serve until a signal, and return the exit code; leaves no process behind.

        Raises:
            JobxError: It could not start, or a child died too often.
        """
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self._start()
            self._watch()
            return self._drain()
        except Stopped:
            return self._drain()
        finally:
            self._web.kill()
            self._node.kill()
            self._heartbeat.close()
            if isinstance(self._address, str):
                Path(self._address).unlink(missing_ok=True)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _start(self) -> None:
        self._node.start()
        self._until(self._node, self._node_answers)
        self._folder = identity_of(self._settings.data_dir)
        self._web.start()
        self._until(self._web, self._web_answers)
        url, executors = url_of(self._address), self._settings.executor_count
        data_dir = str(self._settings.data_dir)
        if self._call.as_json:
            answer = {"url": url, "data_dir": data_dir, "executors": executors}
            line = render.to_json(answer, indent=None)
        else:
            line = f"serving {url} (data {data_dir}, {amounts.count(executors, 'executor')})"
        try:
            render.say(line)
            sys.stdout.flush()
        except OSError:  # whoever started it does not listen, which is no fault at the end either
            streams.leave()
        systemd.notify(os.environ, "READY=1")

    def _until(self, child: Child, answers: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_S
        while not answers():
            if (code := child.ended()) is not None:
                if code >= 0:
                    raise self._start_failed(child, code)
                self._revive(child)  # it was killed, and may succeed now
                deadline = time.monotonic() + START_S
            if time.monotonic() > deadline:
                raise DeadlineExceeded(f"starting the {child.name}", START_S)
            if _next_signal(_TICK_S) in _STOPPING:
                raise Stopped

    def _start_failed(self, child: Child, code: int) -> Exception:
        if child is self._node and code > 0:  # it has already written why
            return click.exceptions.Exit(code)
        return InternalError(f"the {child.name} {how_ended(code)} while it started")

    def _node_answers(self) -> bool:
        try:
            with self._call.gateway() as gateway:
                view = gateway.call(GetNode())
        except JobxError:
            return False
        return view.pid == self._node.pid  # otherwise it is another node, and ours will say so

    def _web_answers(self) -> bool:
        connection = http.client.HTTPConnection("localhost", timeout=1.0)
        try:
            connection.sock = dial(self._listener.family, self._address)
            connection.request("GET", "/health/live")
            return connection.getresponse().status == http.client.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def _watch(self) -> None:
        while True:
            for child in (self._node, self._web):
                self._end_if_still(child)
                self._revive(child)
            waits = [due - time.monotonic() for due in self._due.values()]
            number = _next_signal(max(0.0, min([*waits, _LOOK_S])))
            if number in _STOPPING or self._heartbeat.wants_stop:
                return
            if number in _REOPENING:
                self._web.send(signal.SIGUSR1)

    def _end_if_still(self, child: Child) -> None:
        """Kill a hanging child, so that it is restarted."""
        if child is self._node:
            is_alive = self._heartbeat.was_heard()
            if is_alive:
                systemd.notify(os.environ, "WATCHDOG=1")
        else:
            is_alive = child.pid is None or not is_stopped(child.pid)
        is_late = self._stillness[child].look(time.monotonic(), is_alive=is_alive)
        if is_late and child.running:
            limit_s = self._settings.node.watchdog_s
            log.warning("the %s has stood still for %g s; killing it", child.name, limit_s)
            child.kill()

    def _revive(self, child: Child) -> None:
        now = time.monotonic()
        due = self._due.get(child)
        if due is not None and due <= now:
            self._check_folder()
            del self._due[child]
            child.start()
            self._stillness[child].reset()
        elif due is None and (code := child.ended()) is not None:
            if child is self._node and code == meanings.INVALID:  # it would be refused again
                raise self._start_failed(child, code)
            decision = self._restarts[child].failed(now)
            if not isinstance(decision, Restart):
                raise InternalError(f"the {child.name} {how_ended(code)} too often")
            log.warning("the %s %s; starting it again", child.name, how_ended(code))
            self._due[child] = now + decision.delay_s

    def _check_folder(self) -> None:
        """Check that the data folder is there: a node would make a new one, and know of nothing.

        Raises:
            StoreRefused: It was removed or replaced.
        """
        path, found = self._settings.data_dir, self._folder
        with suppress(OSError):  # a disk that fails takes nothing away
            found = identity_of(path)
        if self._folder not in (None, found):
            reason = "it was removed or replaced while it was in use; put it back, then start again"
            raise StoreRefused(str(path), reason)

    def _drain(self) -> int:
        """Let the web workers answer clients, then let the node finish; return the exit code.

        Both together have ``node.drain_s``. The web workers end their waits before that, and a
        second SIGTERM makes the node stop waiting for work. It still ends cleanly.
        """
        deadline = time.monotonic() + self._settings.node.drain_s
        systemd.notify(os.environ, "STOPPING=1")
        self._listener.close()
        self._web.send(signal.SIGTERM)
        ended = self._ends([self._web], deadline + WEB_GRACE_S)
        for patience_s in (deadline - time.monotonic(), GRACE_S):
            if ended is None:
                return meanings.INTERRUPTED
            self._node.send(signal.SIGTERM)
            ended = self._ends([self._node], time.monotonic() + patience_s)
            if ended:
                break
        if ended is None:
            return meanings.INTERRUPTED
        if not ended:
            log.warning("the rest was killed; open requests continue with the next start")
        return meanings.OK

    def _ends(self, children: list[Child], deadline: float) -> bool | None:
        """Return whether all end in time, or None as soon as a Ctrl-C stops the wait."""
        while any(child.running for child in children):
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                return False
            if _next_signal(min(left_s, 1.0)) is signal.SIGINT:
                return None
        return True


def _next_signal(timeout_s: float) -> signal.Signals | None:
    found = signal.sigtimedwait(_SIGNALS, timeout_s)
    # Without a signal the number is 0, when this process was stopped meanwhile.
    return signal.Signals(found.si_signo) if found and found.si_signo else None
