"""The line protocol: a call as lines that a program reads, its answer as lines that it writes.

A line is one JSON document; ``docs/languages.md`` has the reference. What a program writes that
is not of the protocol is its output.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from jobx import values
from jobx.errors import InvalidInput
from jobx.handlers.arguments import Arguments
from jobx.handlers.failures import GuestFailed, Misuse, filename
from jobx.handlers.languages.base import Grouped, context
from jobx.handlers.pairs import Intake, snapshot
from jobx.handlers.scope import Map, Return, Scope
from jobx.handlers.spill import SpooledValues
from jobx.values import Pair, Value

END: Final = b'{"end":true}\n'
_CALLS: Final = {"combiner": "combine", "reducer": "reduce"}


def dump(value: Value) -> bytes:
    """Return a value as one line of JSON, without what JSON has not."""
    plain = values.to_jsonable(value)
    return json.dumps(plain, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def map_call(scope: Scope, arguments: Arguments) -> Iterator[bytes]:
    """Yield the line that calls a mapper."""
    given: dict[str, Value]
    if arguments.is_root:
        given = {"arguments": dict(arguments)}
    else:
        ((key, value),) = arguments
        given = {"key": key, "value": value}
    yield dump({"call": "map", **given, **_context(scope)})


def reduce_call(scope: Scope, grouped: Grouped) -> Iterator[bytes]:
    """Yield the lines that call a combiner or reducer: a head, one for each key, an end."""
    invocation = scope.at_work()
    session = {"session": invocation.session}
    yield dump({"call": _CALLS[invocation.stage], **session, **_context(scope)})
    for key, listed in grouped:
        yield dump({"key": key, "values": list(listed)})
    yield END


def _context(scope: Scope) -> dict[str, Value]:
    """Return the context, and what a scope factory added as far as it can be written."""
    own = {}
    for name, thing in scope.own.items():
        with suppress(ValueError):
            own[name] = snapshot(thing)
    return {**context(scope), **({"scope": own} if own else {})}


class Answer:
    """What a program answers to a call, line by line.

    Args:
        scope: Takes output and what is set in the session.

    Attributes:
        has_ended: The program said that it is done.
    """

    def __init__(self, scope: Scope) -> None:
        self.has_ended = False
        self._scope = scope

    def yielded(self, lines: Iterable[bytes]) -> Iterator[object]:
        """Yield markers and pairs, as a handler in Python would.

        Raises:
            GuestFailed: The program said that it failed.
            Misuse: A line of the protocol holds what it should not.
        """
        for line in lines:
            word, content = _parse(line)
            if word == "pair":
                yield _pair(content)
            elif word is None:
                self._scope.take(line + b"\n")
            elif word == "end":
                self.has_ended = True
                return
            else:
                yield from _TAKE[word](self, content)

    def _marker_map(self, step: Any) -> Iterator[object]:
        if not isinstance(step, str):
            raise Misuse("protocol", f'"map" names a step by text, not {dump(step).decode()}')
        yield Map(step)

    def _marker_return(self, _: Any) -> Iterator[object]:
        yield Return()

    def _take_session(self, content: Any) -> Iterable[object]:
        if not isinstance(content, dict):
            raise Misuse("protocol", '"session" holds a map')
        for key, value in content.items():
            self._scope.set_session(key, values.from_jsonable(value))
        return ()

    def _take_log(self, content: Any) -> Iterable[object]:
        fields = content if isinstance(content, dict) else {"message": content}
        level, message = fields.get("level", "info"), fields.get("message", "")
        self._scope.log(str(level).upper(), str(message))
        return ()

    def _take_error(self, content: Any) -> Iterable[object]:
        self.has_ended = True
        fields = content if isinstance(content, dict) else {"message": content}
        line, handler = fields.get("line"), self._scope.at_work().handler
        frames = [(filename(handler), line, "handler")] if isinstance(line, int) else []
        name, message = str(fields.get("type", "Error")), str(fields.get("message", ""))
        raise GuestFailed("author", name, message, frames)


_TAKE: Final[Mapping[str, Callable[[Answer, Any], Iterable[object]]]] = {
    "map": Answer._marker_map,
    "return": Answer._marker_return,
    "session": Answer._take_session,
    "log": Answer._take_log,
    "error": Answer._take_error,
}
_WORDS: Final = frozenset({"pair", "end", *_TAKE})


def _parse(line: bytes) -> tuple[str | None, Any]:
    """Return the word of a line and what it holds; no word when it is not of the protocol."""
    if not line.startswith(b"{"):
        return None, None
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None, None
    if len(document) != 1:
        return None, None
    ((word, content),) = document.items()
    return (word, content) if word in _WORDS else (None, None)


def _pair(content: Any) -> object:
    if not isinstance(content, list) or len(content) != 2:
        return content  # what takes the pairs says what is wrong
    try:
        return (values.from_jsonable(content[0]), values.from_jsonable(content[1]))
    except InvalidInput as error:
        raise Misuse("pair", str(error)) from error


def held(stream: Iterator[object]) -> Iterable[object]:
    """Return all that a mapper yields, held in memory or in a file, when it maps on.

    So a program is free for the next call while a mapper that it ran is suspended.
    """
    marker = next(stream, None)
    if type(marker) is not Map:
        if marker is not None:
            yield marker
        yield from stream
        return
    intake = Intake(stream)
    taken = intake.take()
    pairs = taken if intake.done else _spooled(taken, intake)
    yield marker
    yield from pairs


def _spooled(taken: list[Pair], intake: Intake) -> Iterable[object]:
    spooled = SpooledValues()
    spooled.extend(taken)
    for more in iter(intake.take, []):
        spooled.extend(more)
    return spooled
