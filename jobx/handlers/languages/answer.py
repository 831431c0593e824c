"""The line protocol: the answer of a program to a call, as lines.

``docs/languages.md`` has the reference. All other lines are the program's output.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from jobx import values
from jobx.errors import InvalidInput
from jobx.handlers.failures import GuestFailed, Misuse, shorten
from jobx.handlers.languages import asks, lines
from jobx.handlers.languages.base import Grouped
from jobx.handlers.languages.exchange import Replies
from jobx.handlers.markers import Map, Return
from jobx.handlers.scope.names import Scope
from jobx.handlers.tracebacks import filename
from jobx.values import Value

#: Similarity of two words from which one counts as a misspelling of the other.
_NEAR: Final = 0.75
#: The kinds of a failure that a program may report; see docs/languages.md.
_KINDS: Final = frozenset({"author", "disk", "pair", "protocol"})
#: Indexes of pairs, and lines of a source, that a failure may tell.
_COUNTED: Final = range(1 << 63)
#: Types of what JSON holds as it is.
_UNTAGGED: Final = frozenset({str, int, float, bool, type(None)})
#: Lines that most answers have.
_COMMON: Final[Mapping[bytes, tuple[str, Any]]] = {
    b'{"return":true}': ("return", True),
    b'{"end":true}': ("end", True),
}


class ProgramAnswer:
    """The answer of a program to a call, line by line.

    A line that begins like one of the protocol must be one: if it cannot be read, the call fails.
    Any other line is output, which is no answer.

    Args:
        scope: Takes output and session values; the program may call its names.
        grouped: The input of a reducer, which may request it again.
        hears: The program gets replies; not if its input was complete at its start.

    Attributes:
        has_ended: The program said that it is done.
        replies: The replies to send.
        offers: What it may ask for in addition to the names of the scope.
    """

    def __init__(self, scope: Scope, grouped: Grouped | None = None, *, hears: bool = True) -> None:
        self.has_ended = False
        self.replies = Replies()
        self._scope = scope
        self._grouped = grouped
        self.offers: dict[str, Callable[[], Value]] = {}
        self._hears = hears
        self._pairs = 0
        self._output = Unread('a line of the protocol, such as {"pair":[key,value]}')

    def yielded(self, written: Iterable[bytes]) -> Iterator[object]:
        """Yield markers and pairs, as a handler in Python would.

        Raises:
            GuestFailed: The program said that it failed.
            Misuse: A line of the protocol is invalid; the message has its number.
        """
        output = self._output
        for number, line in enumerate(written, 1):
            if (pairs := lines.scalar_pairs(line)) is not None:
                output.is_answered = True
                self._pairs += len(pairs)
                yield from pairs
                continue
            word, content = _COMMON.get(line) or _parse(line, number)
            if word is not None:
                output.is_answered = True
            if word == "pair":
                yield self._pair(content)
            elif word is None:
                self._scope.take(line + b"\n")
                output.note(line, number)
            elif word == "end":
                self._take_end(content)
                return
            else:
                yield from _TAKE[word](self, content)

    def check(self) -> None:
        """See that a program that has ended answered: one that lost its answer may be silent.

        Where it was given no keys, there was nothing to lose.

        Raises:
            Misuse: It did not answer.
        """
        self._output.check()
        if not self._output.is_answered and self._has_input():
            nothing = '{"end":true}'
            reason = f"the program ended without a line of the protocol: for nothing, {nothing}"
            raise Misuse("protocol", reason)

    def _has_input(self) -> bool:
        return self._grouped is None or any(True for _ in self._grouped)

    def late(self, line: bytes) -> None:
        """Take a line that came after the end: output, unless it is of the protocol.

        Raises:
            Misuse: It is of the protocol, but belongs to no call.
        """
        if _HEAD.match(line):
            raise Misuse(
                "protocol", f"after its end it wrote {shorten(line.decode(errors='replace'))}"
            )
        self._scope.take(line + b"\n")

    def _pair(self, content: Any) -> object:
        index, self._pairs = self._pairs, self._pairs + 1
        if not isinstance(content, list) or len(content) != 2:
            return content  # what takes the pairs says what is wrong
        key, value = content
        if type(key) is str and type(value) in _UNTAGGED:  # as most are
            return (key, value)
        try:
            return (values.from_jsonable(key), values.from_jsonable(value))
        except InvalidInput as error:
            raise Misuse("pair", f"pair {index}: {error}", index) from error

    def _take_pairs(self, content: Any) -> Iterator[object]:
        if not isinstance(content, list):
            raise Misuse("protocol", f'"pairs" holds a list of pairs, not {shorten(content)}')
        for pair in content:
            yield self._pair(pair)

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
            found = _value("session", value)
            try:
                self._scope.set_session(key, found)
            except InvalidInput as error:
                raise Misuse("protocol", f'"session" holds what is no value: {error}') from error
        return ()

    def _take_log(self, content: Any) -> Iterable[object]:
        fields = content if isinstance(content, dict) else {"message": content}
        level, message = fields.get("level", "info"), fields.get("message", "")
        self._scope.log(str(level).upper(), str(message))
        return ()

    def _take_output(self, content: Any) -> Iterable[object]:
        piece = _value("output", content)
        if not isinstance(piece, str | bytes):
            raise Misuse("protocol", f'"output" holds text or bytes, not {shorten(piece)}')
        self._scope.take(piece.encode() if isinstance(piece, str) else piece)
        return ()

    def _take_ask(self, content: Any) -> Iterable[object]:
        name, *arguments = content if isinstance(content, list) and content else [None]
        if not isinstance(name, str):
            reason = f'"ask" holds a name and what it is called with, not {shorten(content)}'
            raise Misuse("protocol", reason)
        self._check_hears("ask")
        if name in self.offers:
            found = {"answer": self.offers[name]()}
        else:
            found = asks.answer(self._scope, name, arguments)
        line = lines.dump(found)
        self.replies.add([line], len(line))
        return ()

    def _take_again(self, content: Any) -> Iterable[object]:
        _check_true("again", content)
        if self._grouped is None:
            raise Misuse("protocol", '"again" is for reducers: a mapper is sent no keys')
        self._check_hears("again")
        self.replies.add(lines.keys(self._grouped))
        return ()

    def _check_hears(self, word: str) -> None:
        if not self._hears:
            reason = f'"{word}" has no reply here: the input was complete when the program began'
            raise Misuse("protocol", reason)

    def _take_error(self, content: Any) -> Iterable[object]:
        self.has_ended = True
        fields = content if isinstance(content, dict) else {"message": content}
        kind, pair = fields.get("kind", "author"), fields.get("pair")
        if not isinstance(kind, str) or kind not in _KINDS:
            raise Misuse("protocol", f'"error" has no kind {shorten(kind)}')
        name, message = str(fields.get("type", "Error")), str(fields.get("message", ""))
        file = filename(self._scope.at_work().handler)
        frames = [
            (file, line, function if isinstance(function, str) else shorten(function))
            for line, function in _trace(fields)
            if _is_count(line)
        ]
        raise GuestFailed(kind, name, message, frames, pair if _is_count(pair) else None)


def _trace(fields: Mapping[str, Any]) -> list[Any]:
    """Return the trace of a program's failure, outermost first: lines and functions."""
    trace = fields.get("trace", [[fields.get("line"), "handler"]])
    if not isinstance(trace, list) or not all(
        isinstance(one, list) and len(one) == 2 for one in trace
    ):
        reason = f'"trace" holds lists of a line and a function, not {shorten(trace)}'
        raise Misuse("protocol", reason)
    return trace


_TAKE: Final[Mapping[str, Callable[[ProgramAnswer, Any], Iterable[object]]]] = {
    "map": ProgramAnswer._marker_map,
    "return": ProgramAnswer._marker_return,
    "pairs": ProgramAnswer._take_pairs,
    "session": ProgramAnswer._take_session,
    "output": ProgramAnswer._take_output,
    "log": ProgramAnswer._take_log,
    "ask": ProgramAnswer._take_ask,
    "again": ProgramAnswer._take_again,
    "error": ProgramAnswer._take_error,
}
_WORDS: Final = frozenset({"pair", "end", *_TAKE})
#: Words that another may be a slip of; "task" is none of "ask".
_MISSPELT: Final = _WORDS - {"ask"}
#: The beginning of a line of the protocol, which is never output.
_HEAD: Final = re.compile(rb'\s*\{\s*"(\w{1,16})"\s*:')


class Unread:
    """The output of a program that was to answer, for when that is all it wrote.

    Args:
        wanted: The form of an answer, in words.

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
                " (send everything else to standard error)"
            )
            raise Misuse("protocol", reason)


def _parse(line: bytes, number: int) -> tuple[str | None, Any]:
    """Return the word of a line and its content; no word if it is not of the protocol.

    Raises:
        Misuse: It begins like a line of the protocol, but is none.
    """
    head = _HEAD.match(line)
    if head is None:
        return None, None
    word = head[1].decode("utf-8", "replace")
    if word not in _WORDS:
        near = difflib.get_close_matches(word.lower(), _MISSPELT, 1, _NEAR)
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


def _value(word: str, content: Any) -> Value:
    """Return the value in the content of a line, whose tags are resolved."""
    try:
        return values.from_jsonable(content)
    except InvalidInput as error:
        raise Misuse("protocol", f'"{word}" holds what is no value: {error}') from error


def _is_count(number: object) -> bool:
    return type(number) is int and number in _COUNTED


def _check_true(word: str, content: Any) -> None:
    if content is not True:
        raise Misuse("protocol", f'"{word}" is followed by true, not {shorten(content)}')
