"""The node process of an executor: what it is told, and what it answers (``node/host.mjs``)."""

from __future__ import annotations

import dataclasses
import itertools
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from jobx import values
from jobx.errors import FrameError, JobxError
from jobx.frames import Frame, FrameSocket
from jobx.handlers.failures import GuestFailed, HandlerTimeout, Misuse, describe, filename
from jobx.handlers.languages.base import Grouped, context
from jobx.handlers.languages.child_processes import Guests
from jobx.handlers.markers import Map, Return
from jobx.handlers.pairs.grouping import snapshot
from jobx.handlers.scope.names import Scope
from jobx.values import Key, Pair, Value

#: The program that runs JavaScript.
NODE: Final = "node"
_HOST: Final = Path(__file__).with_name("node") / "host.mjs"
_NAME: Final = "the node process"
#: Names that the node process has for itself.
_ITS_OWN: Final = frozenset(
    {
        "Map",
        "MrConfigureToMap",
        "MrConfigureToReturn",
        "Return",
        "LOG",
        "PRINT",
        "REQUEST",
        "INVOCATION",
    }
)
#: Values of a key that are sent together at most, and bytes of keys with their values.
_SENT_VALUES: Final = 1000
_SENT_BYTES: Final = 1 << 18
#: A handler that is closed gets so long for its ``finally`` blocks.
_CLOSE_S: Final = 1.0
_GONE: Final = f"{_NAME} that kept the mapper is gone"


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler as the node process needs it.

    Attributes:
        version: Its version.
        name: Its name.
        source_code: Its source.
        form: How its function is called.
        parameters: Names of the parameters of that function.
        required: How many of them have no default.
        scope: The names that it finds in its globals.
    """

    version: str
    name: str
    source_code: str
    form: str
    parameters: Sequence[str]
    required: int
    scope: Scope


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """A running node process, how it is talked to, and the handlers that it has loaded."""

    guest: subprocess.Popen[bytes]
    socket: socket.socket
    frames: FrameSocket
    loaded: dict[str, Handler]


class NodeHost:
    """Runs handlers in one node process, which is started when it is needed.

    Whatever interrupts an exchange ends that process, and with it every handler that is suspended
    there; the executor lives on.
    """

    def __init__(self, guests: Guests) -> None:
        self._guests = guests
        self._numbers = itertools.count(1)
        self._link: _Link | None = None
        self._is_busy = False
        self._is_used = False
        guests.on_close(self._disconnect)
        guests.on_restore(self._restore)

    def map(self, handler: Handler, pairs: Sequence[Pair]) -> Iterator[object]:
        """Return what a mapper yields; its code runs meanwhile.

        Raises:
            GuestFailed: Its code, or the process.
        """
        return self._run(handler, [list(pair) for pair in pairs], None)

    def reduce(self, handler: Handler, grouped: Grouped) -> Iterator[object]:
        """Return what a combiner or reducer yields; its code runs meanwhile.

        Raises:
            GuestFailed: Its code, or the process.
        """
        return self._run(handler, None, _Sender(grouped))

    def _run(
        self, handler: Handler, given: list[list[Value]] | None, sender: _Sender | None
    ) -> Iterator[object]:
        link, scope, run = self._loaded(handler), handler.scope, next(self._numbers)
        first = sender.part(True) if sender is not None else {}
        start = {"t": "start", "run": run, "version": handler.version, "given": given}
        answer = self._ask(link, scope, start | context(scope) | first, sender)
        try:
            if answer["marker"] is not None:
                yield Map(answer["marker"]) if answer["marker"] else Return()
            count = 0
            while True:
                count = yield from _items(answer["items"], count)
                if answer["done"]:
                    return
                if link is not self._link:
                    raise GuestFailed("lost", "GuestLost", _GONE)
                answer = {"done": True}  # that it is, if this raises
                left_s = scope.at_work().deadline - time.monotonic()
                frame = {"t": "next", "run": run, "remaining_s": left_s}
                answer = self._ask(link, scope, frame, sender)
        finally:
            if not answer["done"] and link is self._link:
                self._close(link, scope, run)

    def _close(self, link: _Link, scope: Scope, run: int) -> None:
        if self._is_busy:  # a garbage collection in the middle of an exchange: let it be
            return
        link.socket.settimeout(_CLOSE_S)
        with suppress(GuestFailed):  # its outcome is not wanted
            self._ask(link, scope, {"t": "close", "run": run})
            link.socket.settimeout(None)

    def _restore(self) -> None:
        """Have the process put back what handlers changed; replace it when it cannot."""
        link = self._link
        if link is None or not self._is_used:
            return
        self._is_used = False
        answer = None
        with suppress(OSError, FrameError):
            link.socket.settimeout(_CLOSE_S)
            link.frames.send({"t": "restore"})
            while (answer := link.frames.receive()) is not None and answer["t"] == "output":
                continue  # of the request that is over
            link.socket.settimeout(None)
        if answer is None or answer["t"] != "done":
            self._end(link)

    def _loaded(self, handler: Handler) -> _Link:
        """Return the link to a process that has loaded a handler."""
        link = self._link = self._link or self._start()
        self._is_used = True
        if handler.version in link.loaded:
            return link
        path = Path(self._guests.folder, f"handler-{handler.version}.mjs")
        path.write_text(handler.source_code, encoding="utf-8")
        frame = {
            "t": "load",
            "version": handler.version,
            "path": str(path),
            "form": handler.form,
            "parameters": list(handler.parameters),
            "required": handler.required,
            "names": _names(handler),
        }
        link.loaded[handler.version] = handler
        try:
            self._ask(link, handler.scope, frame)
        except GuestFailed as error:
            del link.loaded[handler.version]
            if error.args[0] == "disk":  # node remembers that it could not read a module
                self._end(link)
            raise
        return link

    def _start(self) -> _Link:
        ours, theirs = socket.socketpair()
        with theirs:
            end = theirs.fileno()
            argv = [NODE, str(_HOST), str(end)]
            try:
                guest = self._guests.start(argv, stdin=subprocess.DEVNULL, pass_fds=(end,))
            except JobxError:
                ours.close()
                raise
        return _Link(guest, ours, FrameSocket(ours), {})

    def _ask(self, link: _Link, scope: Scope, frame: Frame, sender: _Sender | None = None) -> Frame:
        """Return the answer to a frame, after doing what is asked for meanwhile."""
        self._is_busy = True
        try:
            return self._exchange(link, scope, frame, sender)
        except GuestFailed:
            raise
        except OSError as error:
            raise self._crashed(link) from error
        except FrameError as error:
            self._end(link)
            reason = f"what {_NAME} wrote cannot be read: {error}"
            raise GuestFailed("protocol", "BadFrame", reason) from error
        except BaseException:
            self._end(link)
            raise
        finally:
            self._is_busy = False

    def _exchange(self, link: _Link, scope: Scope, frame: Frame, sender: _Sender | None) -> Frame:
        frames = link.frames
        frames.send(frame)
        while (answer := frames.receive()) is not None:
            kind = answer["t"]
            if kind == "output":
                scope.take(answer["bytes"])
            elif kind == "log":
                scope.log(answer["level"], answer["message"])
            elif kind == "call":
                _answer(frames, _call(scope, answer["name"], answer["args"]))
            elif kind == "more" and sender is not None:
                frames.send({"t": "groups", **sender.part(answer["again"])})
            elif kind == "fail":
                raise _failed(link, answer)
            else:
                return answer
        raise self._crashed(link)

    def _crashed(self, link: _Link) -> GuestFailed:
        self._disconnect()
        return self._guests.crashed(link.guest, _NAME)

    def _end(self, link: _Link) -> None:
        self._disconnect()
        self._guests.end(link.guest)

    def _disconnect(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.frames.close()


def _failed(link: _Link, answer: Frame) -> GuestFailed:
    """Return the failure that a process told, with the frames of handlers only."""
    names = {f"handler-{one.version}.mjs": one.name for one in link.loaded.values()}
    frames = [
        (filename(names[PurePosixPath(url).name]), line, function or "<module>")
        for url, line, function in answer["frames"]
        if PurePosixPath(url).name in names
    ]
    return GuestFailed(answer["kind"], answer["type"], answer["message"], frames, answer["pair"])


class _Sender:
    """Keys with their values, cut into parts that fit a frame."""

    def __init__(self, grouped: Grouped) -> None:
        self._grouped = grouped
        self._pieces: Iterator[bytes] = iter(())

    def part(self, again: bool) -> Frame:
        """Return the next part, the first one when ``again``."""
        if again:
            self._pieces = _pieces(self._grouped)
        part = bytearray()
        for piece in self._pieces:
            part += piece
            if len(part) >= _SENT_BYTES:
                return {"groups": bytes(part), "last": False}
        return {"groups": bytes(part), "last": True}


def _pieces(grouped: Grouped) -> Iterator[bytes]:
    """Yield keys with some of their values each, and whether those are the last."""
    pack = values.packer()
    for key, listed in grouped:
        rest = iter(listed)
        some = list(itertools.islice(rest, _SENT_VALUES))
        while True:
            more = list(itertools.islice(rest, _SENT_VALUES))
            piece = pack([key, some, not more])
            if len(piece) > _SENT_BYTES and len(some) > 1:
                yield from _halved(pack, key, some, not more)
            else:
                yield piece
            if not more:
                break
            some = more


def _halved(
    pack: Callable[[object], bytes], key: Key, some: list[Value], is_last: bool
) -> Iterator[bytes]:
    """Yield a key with long values in halves, and in halves of these while they are too large."""
    half = len(some) // 2
    for part, ends in ((some[:half], False), (some[half:], is_last)):
        piece = pack([key, part, ends])
        if len(piece) > _SENT_BYTES and len(part) > 1:
            yield from _halved(pack, key, part, ends)
        else:
            yield piece


def _items(packed: bytes, first: int) -> Generator[object, None, int]:
    """Yield what was packed in the process; return the index of the pair that comes next.

    Args:
        packed: The pairs, one after the other.
        first: The index of the first.

    Raises:
        Misuse: One is no pair of values.
    """
    reader = values.unpacker(is_foreign=True)
    reader.feed(packed)
    index = first
    try:
        for item in reader:  # one by one: many at once are work for the garbage collector
            yield tuple(item) if type(item) is list else item
            index += 1
    except (ValueError, TypeError, ArithmeticError) as error:
        raise Misuse("pair", f"pair {index}: {error}", index) from error
    return index


def _answer(frames: FrameSocket, answer: Frame) -> None:
    """Send what a call gave; what is too large for that is a failure of the call."""
    try:
        frames.send(answer)
    except FrameError as error:
        frames.send({"t": "raise", "type": "ValueError", "message": str(error)})


def _names(handler: Handler) -> dict[str, dict[str, Value]]:
    """Return the names of a handler's scope, with their values; the rest are called here."""
    names = handler.scope.names(handler.name)
    return {
        name: _meaning(thing)
        for name, thing in names.items()
        if name not in _ITS_OWN and not name.startswith("_")
    }


def _meaning(thing: object) -> dict[str, Value]:
    try:
        return {"value": snapshot(thing)}
    except ValueError:
        return {}


def _call(scope: Scope, name: str, args: bytes) -> Frame:
    """Call a name of the scope for the process; a failure goes back there."""
    try:
        return {"t": "answer", "value": _plain(_named(scope, name)(*values.unpack_foreign(args)))}
    except HandlerTimeout:
        raise
    except BaseException as error:  # noqa: BLE001 - the handler that called decides what it is
        told = describe(error)
        return {"t": "raise", "type": told["type"], "message": told["message"]}


def _named(scope: Scope, name: str) -> Any:
    head, *rest = name.split(".")
    thing: Any = scope.names(scope.at_work().handler)[head]
    if any(part.startswith("_") for part in rest):
        raise AttributeError(name)
    if head == "FS" and rest in (["read"], ["write"]):
        return _Whole(thing).read if rest == ["read"] else _Whole(thing).write
    for part in rest:
        thing = getattr(thing, part)
    return thing


@dataclass(frozen=True, slots=True)
class _Whole:
    """FS.read and FS.write: files cannot be sent, what is in them can."""

    fs: Any

    def read(self, path: str) -> bytes:
        with self.fs.open(path, "rb") as file:
            return bytes(file.read())

    def write(self, path: str, content: str | bytes) -> None:
        with self.fs.open(path, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)


def _plain(result: object) -> Value:
    """Return what a call gave as a value: iterators as lists, records as maps."""
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        return {f.name: _plain(getattr(result, f.name)) for f in dataclasses.fields(result)}
    if isinstance(result, list | tuple | Iterator):
        return [_plain(item) for item in result]
    return snapshot(result)
