"""The line protocol: a call as lines that a program reads, its answer as lines that it writes.

A line is one JSON document; ``docs/languages.md`` has the reference. What a program writes that
is not of the protocol is its output.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final

from jobx import values
from jobx.errors import InvalidInput
from jobx.handlers.failures import GuestFailed, Misuse, filename, shorten
from jobx.handlers.languages.base import Grouped, context
from jobx.handlers.markers import Map, Return
from jobx.handlers.pairs.grouping import PairReader, snapshot
from jobx.handlers.pairs.spooled import SpooledValues
from jobx.handlers.scope.arguments import Arguments
from jobx.handlers.scope.names import Scope
from jobx.values import Pair, Value

END: Final = b'{"end":true}\n'
#: How alike words are of which one is taken for a slip of the other.
_NEAR: Final = 0.75
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

    A line that begins as one of the protocol is one: if it cannot be read, the call has failed.
    Any other line is output; a call that is answered by nothing else has failed too.

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
            Misuse: A line of the protocol holds what it should not; the message has its number.
        """
        output = Unread('a line of the protocol, such as {"pair":[key,value]}')
        for number, line in enumerate(lines, 1):
            word, content = _parse(line, number)
            if word is not None:
                output.is_answered = True
            if word == "pair":
                yield _pair(content, number)
            elif word is None:
                self._scope.take(line + b"\n")
                output.note(line, number)
            elif word == "end":
                self._take_end(content)
                return
            else:
                yield from _TAKE[word](self, content)
        output.check()

    def late(self, line: bytes) -> None:
        """Take a line that came after the end: output, if it is that.

        Raises:
            Misuse: It is of the protocol, and belongs to no call.
        """
        if _HEAD.match(line):
            raise Misuse(
                "protocol", f"after its end it wrote {shorten(line.decode(errors='replace'))}"
            )
        self._scope.take(line + b"\n")

    def _take_end(self, content: Any) -> None:
        _check_true("end", content)
        self.has_ended = True

    def _marker_map(self, step: Any) -> Iterator[object]:
        if not isinstance(step, str) or not step:
            raise Misuse("protocol", f'"map" names a step by text, not {shorten(step)}')
        yield Map(step)

    def _marker_return(self, content: Any) -> Iterator[object]:
        _check_true("return", content)
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
#: What a line of the protocol begins with; whatever follows, it is not output.
_HEAD: Final = re.compile(rb'\s*\{\s*"(\w{1,16})"\s*:')


class Unread:
    """The output of a program that was to answer, for when that is all it wrote.

    Args:
        wanted: What an answer is, in words.

    Attributes:
        is_answered: Something of an answer came.
    """

    def __init__(self, wanted: str) -> None:
        self.is_answered = False
        self._wanted = wanted
        self._first = ""
        self._count = 0

    def note(self, line: bytes, number: int) -> None:
        """Take a line of output."""
        if not self._first and line.strip():
            self._first = f"line {number} is {shorten(line.decode('utf-8', 'replace'))}"
        self._count += 1

    def check(self) -> None:
        """See that there was an answer, or no output either.

        Raises:
            Misuse: There was none.
        """
        if self._first and not self.is_answered:
            reason = (
                f"none of its {self._count} lines is {self._wanted}; {self._first}"
                " (what is no answer goes to the standard error)"
            )
            raise Misuse("protocol", reason)


def _parse(line: bytes, number: int) -> tuple[str | None, Any]:
    """Return the word of a line and what it holds; no word when it is not of the protocol.

    Raises:
        Misuse: It begins as a line of the protocol and is none.
    """
    head = _HEAD.match(line)
    if head is None:
        return None, None
    word = head[1].decode("utf-8", "replace")
    if word not in _WORDS:
        near = difflib.get_close_matches(word.lower(), _WORDS, 1, _NEAR)
        if near:
            reason = f'the protocol has no "{word}"; near is "{near[0]}"'
            raise Misuse("protocol", f"line {number}: {reason}")
        return None, None
    try:
        document = values.read_json(line.decode())
    except ValueError as error:
        raise Misuse("protocol", f'line {number}: "{word}" cannot be read: {error}') from error
    if len(document) != 1:
        reason = f'"{word}" stands alone, not with {shorten([*document][1])}'
        raise Misuse("protocol", f"line {number}: {reason}")
    return word, document[word]


def _check_true(word: str, content: Any) -> None:
    if content is not True:
        raise Misuse("protocol", f'"{word}" is followed by true, not {shorten(content)}')


def _pair(content: Any, number: int) -> object:
    if not isinstance(content, list) or len(content) != 2:
        return content  # what takes the pairs says what is wrong
    try:
        return (values.from_jsonable(content[0]), values.from_jsonable(content[1]))
    except InvalidInput as error:
        raise Misuse("pair", f"line {number}: {error}") from error


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
    intake = PairReader(stream)
    taken = intake.take()
    pairs = taken if intake.done else _spooled(taken, intake)
    yield marker
    yield from pairs


def _spooled(taken: list[Pair], intake: PairReader) -> Iterable[object]:
    spooled = SpooledValues()
    spooled.extend(taken)
    for more in iter(intake.take, []):
        spooled.extend(more)
    return spooled
