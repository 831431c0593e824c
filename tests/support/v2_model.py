"""etcd's v2 API as a dictionary, and processes whose calls come to it in any order."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any, TypeVar

from jobx.errors import JobxError, OutcomeUnknown
from jobx.kv.etcd2.calls import (
    Call,
    List,
    Look,
    Pause,
    Remove,
    RemoveFolder,
    Steps,
    TreeNode,
    Write,
)
from jobx.kv.etcd2.names import Names
from jobx.kv.etcd2.notes import Notes
from jobx.kv.etcd2.reading import Reader
from jobx.kv.etcd2.redo import Redo
from jobx.kv.etcd2.units import UnitWriter

T = TypeVar("T")


class Server:
    """What one server has; each call is one step."""

    def __init__(self) -> None:
        self.index = 0
        self.files: dict[str, tuple[str, int]] = {}
        #: Changes that were sent, and that nobody has an answer of: they come at any time.
        self.late: list[Call] = []

    def make(self, call: Call) -> Any:
        """Make a call and return its answer."""
        match call:
            case Look(path):
                return self._node(path)
            case List(path, _):
                below = path.rstrip("/") + "/"
                return [self._node(one) for one in self.files if one.startswith(below)]
            case Write(path, text, index):
                return self._write(path, text, index)
            case Remove(path, index):
                is_there = path in self.files and index in (None, self.files[path][1])
                if is_there:
                    self.index += 1
                    del self.files[path]
                return is_there
            case RemoveFolder(path, is_deep):
                below = [one for one in self.files if one.startswith(f"{path}/")]
                for one in below if is_deep else ():
                    del self.files[one]
                return is_deep and bool(below)
            case Pause():
                return None

    def deliver(self, random: Random) -> None:
        """Make one change that is late, or lose it."""
        if self.late:
            call = self.late.pop(random.randrange(len(self.late)))
            if random.random() < 0.8:
                self.make(call)

    def _node(self, path: str) -> TreeNode:
        text, index = self.files.get(path, ("", 0))
        return TreeNode(path, text, index, seen=self.index)

    def _write(self, path: str, text: str, index: int | None) -> int:
        if index not in (None, self.files.get(path, ("", 0))[1]):
            return 0
        self.index += 1
        self.files[path] = text, self.index
        return self.index


class Party:
    """A process with a store of its own, which takes nothing for under way that it meets."""

    def __init__(self) -> None:
        names, notes = Names("root/"), Notes(patience_s=0.0)
        redo = Redo(names, notes)
        self.reader = Reader(names, notes, redo)
        self.writer = UnitWriter(names, notes, self.reader, redo)


class Process:
    """Steps on their way: their calls are made one by one."""

    def __init__(self, steps: Steps[Any]) -> None:
        self._steps = steps
        self._calls: list[Call] = []
        self._order: list[int] = []
        self._answers: dict[int, Any] = {}
        self.has_ended = False
        self.made = 0
        self._resume(lambda: next(steps))

    def step(self, server: Server, random: Random, lost: float = 0.0) -> None:
        """Make one of its calls; with the chance ``lost`` the answer of a change does not come."""
        number = self._order.pop(random.randrange(len(self._order)))
        call = self._calls[number]
        self.made += 1
        if isinstance(call, Write | Remove) and random.random() < lost:
            server.late.append(call)
            self._answers[number] = OutcomeUnknown(call.path, "lost")
        else:
            self._answers[number] = server.make(call)
        if self._order:
            return
        answers = [self._answers[place] for place in range(len(self._calls))]
        failed = next((one for one in answers if isinstance(one, JobxError)), None)
        if failed is None:
            self._resume(lambda: self._steps.send(answers))
        else:
            self._resume(lambda: self._steps.throw(failed))

    def _resume(self, ahead: Callable[[], list[Call]]) -> None:
        try:
            self._calls, self._answers = ahead(), {}
        except StopIteration:
            self.has_ended = True
            return
        self._order = list(range(len(self._calls)))
        if not self._calls:
            self._resume(lambda: self._steps.send([]))


def interleave(
    server: Server, random: Random, parts: list[Callable[[], Steps[None]]], lost: float
) -> None:
    """Run processes in a random order, from random moments on; some of them crash."""
    waiting = {part: random.randrange(20) if place else 0 for place, part in enumerate(parts)}
    crashes = {part: random.randrange(1, 25) for part in parts if random.random() < 0.4}
    alive: dict[Callable[[], Steps[None]], Process] = {}
    for now in count():
        for part in [part for part, at in waiting.items() if at <= now or not alive]:
            alive[part] = Process(part())
            del waiting[part]
        if not alive:
            break
        part = random.choice(list(alive))
        for _ in range(random.choice((1, 1, 1, 5))):
            if not alive[part].has_ended:
                alive[part].step(server, random, lost)
        if alive[part].has_ended or alive[part].made >= crashes.get(part, 1 << 30):
            del alive[part]
        if random.random() < 0.3:
            server.deliver(random)


def run(server: Server, steps: Steps[T]) -> T:
    """Make all calls of steps, one after the other."""
    try:
        calls = next(steps)
        while True:
            calls = steps.send([server.make(call) for call in calls])
    except StopIteration as end:
        result: T = end.value
        return result
