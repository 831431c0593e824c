"""Faults of a cluster: of single hosts, and of what the hosts share."""

from __future__ import annotations

import http.client
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from msgspec import structs

from tests.chaos.cluster.hosts import Host
from tests.chaos.cluster.plan import BAD_FLAGS
from tests.chaos.soak.faults import Striker
from tests.chaos.soak.history import History, Struck, Violation
from tests.chaos.soak.jobs import JOBS
from tests.chaos.soak.plan import Strike
from tests.support.authoring import WORKFLOW, handler
from tests.support.etcd import Etcd, Member
from tests.support.proxy import Proxy

#: So long after the store was struck a start may be refused because of it.
_AFTER_S: Final = 20.0
_OF_SERVERS: Final = ("kill etcd", "stop etcd", "kill quorum")
#: Fields of a handler that is stored again.
_CHANGED: Final = ("description", "handler_type", "source_code", "argument_spec")


class Health:
    """Whether the store is struck, or was a while ago: then a start may be refused."""

    def __init__(self) -> None:
        self._struck = 0
        self._healed_at = float("-inf")

    def strike(self) -> None:
        """Note that the store is struck."""
        self._struck += 1

    def heal(self) -> None:
        """Note that a strike of the store is over."""
        self._struck -= 1
        self._healed_at = time.monotonic()

    def was_sick(self, since: float) -> bool:
        """Whether a start after ``since`` may be refused."""
        return self._struck > 0 or self._healed_at + _AFTER_S > since


class HostStriker(Striker):
    """Strikes one host.

    Args:
        host: What is struck.
        history: What was struck is noted there.
        health: Of the store.
        log: See ``Striker``.
    """

    def __init__(
        self, host: Host, data_dir: Path, history: History, health: Health, log: IO[str]
    ) -> None:
        super().__init__(
            host.serving,
            history=history,
            faults=host.faults,
            data_dir=data_dir,
            keeper=host.keeper,
            log=log,
            name=f" of {host.name}",
        )
        self._health = health

    def _strike(self, strike: Strike, stop: threading.Event) -> bool:
        if strike.fault != "lose":
            return super()._strike(strike, stop)
        with self._keeper:
            self._serving.kill_all()
            stop.wait(strike.lasts_s)
            self.start()
        return True

    def _was_sick(self, since: float) -> bool:
        return super()._was_sick(since) or self._health.was_sick(since)


class SharedStriker:
    """Strikes what hosts share, and the ways between them.

    Args:
        hosts: The hosts.
        etcd: Their store.
        kind: Of their nsqd's.
        history: What was struck is noted there.
        health: Of the store.
        note: Gets a line for each strike.
    """

    def __init__(
        self,
        hosts: Sequence[Host],
        etcd: Etcd,
        kind: str,
        *,
        history: History,
        health: Health,
        note: Callable[[str], None],
    ) -> None:
        self._hosts = hosts
        self._etcd = etcd
        self._kind = kind
        self._history = history
        self._health = health
        self._note = note
        self._changes = 0

    def run(self, strikes: Iterator[Strike], stop: threading.Event) -> None:
        """Do one strike after the other."""
        for strike in strikes:
            if stop.wait(strike.pause_s):
                return
            began = time.monotonic()
            self._note(f"{strike.fault} for {strike.lasts_s:g} s, luck {strike.luck:.2f}")
            try:
                self._strike(strike, stop)
            except Exception as error:  # noqa: BLE001 - told by the check
                told = f"{strike.fault}: {type(error).__name__}: {error}"
                self._history.met.append(Violation("striker", told))
            self._history.struck.append(Struck(strike.fault, began, time.monotonic()))
            self._note(f"{strike.fault} is over")

    def _strike(self, strike: Strike, stop: threading.Event) -> None:
        verb, _, part = strike.fault.partition(" ")
        host = self._hosts[int(strike.luck * len(self._hosts))]

        def last() -> None:
            stop.wait(strike.lasts_s)

        if strike.fault == "change":
            self._change(host)
        elif part == "nsqd":
            self._strike_nsqd(verb, host, last)
        else:
            self._health.strike()
            try:
                if strike.fault in _OF_SERVERS:
                    self._strike_servers(strike.fault, last)
                else:
                    self._strike_ways(strike.fault, host, last)
            finally:
                self._health.heal()

    def _strike_nsqd(self, verb: str, host: Host, last: Callable[[], None]) -> None:
        broker = host.broker
        if verb == "cut":
            _cut([host.mail], last)
        elif verb == "stop":
            broker.signal(signal.SIGSTOP)
            last()
            broker.signal(signal.SIGCONT)
        elif verb == "kill":
            broker.kill()
            last()
            broker.start()
        elif self._kind == "broker":
            broker.kill()
            broker.start(*BAD_FLAGS[self._changes % len(BAD_FLAGS)])
            self._changes += 1
            last()
            broker.kill()
            broker.start()

    def _strike_ways(self, fault: str, host: Host, last: Callable[[], None]) -> None:
        """Strike the ways from a host to the store; ``cut host`` also that to its nsqd."""
        if fault == "cut host":
            _cut([host.mail, *host.store], last)
        elif fault == "cut etcd":
            _cut(host.store, last)
        elif fault == "compact etcd":
            _cut(host.store, last, self._compact)
        elif fault == "reset etcd":
            for way in host.store:
                way.cut()
        else:
            for way in host.store:
                way.delay_s = 0.25
            last()
            for way in host.store:
                way.delay_s = 0.0

    def _strike_servers(self, fault: str, last: Callable[[], None]) -> None:
        members = self._etcd.members
        if fault == "kill quorum":
            self._kill(members[: len(members) // 2 + 1], last)
        elif fault == "kill etcd":
            self._kill([self._etcd.leader()], last)
        else:
            leader = self._etcd.leader()
            leader.signal(signal.SIGSTOP)
            last()
            leader.signal(signal.SIGCONT)

    def _kill(self, members: Sequence[Member], last: Callable[[], None]) -> None:
        for member in members:
            member.kill()
        last()
        self._etcd.start(*members)

    def _compact(self) -> None:
        """Have the store forget what a watch has not seen yet."""
        for number in range(20):
            self._etcd.ctl("put", "unrelated", str(number))
        revision = self._etcd.ctl("get", "unrelated")["header"]["revision"]
        self._etcd.ctl("compact", str(revision))

    def _change(self, host: Host) -> None:
        """Store another version of a handler, which does the same."""
        self._changes += 1
        job = JOBS["narrow"]
        source = f"{job.mapper}\n# {self._changes}\n"
        fields = structs.asdict(handler("narrow_map", "mapper", source, **(job.options or {})))
        body = {name: fields[name] for name in _CHANGED}
        path = f"/workflow/{WORKFLOW}/handler/narrow_map"
        try:
            answer = host.serving.ask("PUT", path, body, 30.0, {})
        except (OSError, http.client.HTTPException):  # the host is struck, too
            return
        if answer.status not in (200, 204, 409, 412, 500, 503, 504, 507):
            self._history.met.append(Violation("change", f"{answer.status} {answer.body}"))


def _cut(
    ways: Sequence[Proxy], last: Callable[[], None], meanwhile: Callable[[], None] = lambda: None
) -> None:
    for way in ways:
        way.is_deaf = True
    meanwhile()
    last()
    for way in ways:
        way.is_deaf = False
