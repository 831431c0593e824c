"""Lines of mappers that ended as most do, encoded by columns: one by one they are slow to make.

Nothing was tried again, printed or kept of what they did. So the lines of a step differ in ids,
times, executors and arguments alone. What they have in common is encoded once.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import msgspec

from jobx.actors.inspection.dumps.ended import batch_of, ended_lines, lines_of
from jobx.actors.inspection.dumps.line_maker import LineMaker, why_absent
from jobx.actors.inspection.dumps.lines import DumpLine
from jobx.actors.inspection.dumps.log import Ended
from jobx.actors.inspection.dumps.values import Shown
from jobx.actors.request import spans
from jobx.payload import Payload, unpack_offsets

#: Mappers, and bytes of their arguments and events, that are encoded together.
_MANY: Final = 512
_MOST_BYTES: Final = 1 << 20
#: Patterns that are held; siblings have the same one.
_PATTERNS: Final = 64
#: In place of numbers and values in a pattern; no name in a line has these characters.
_NUMBER: Final = "#"
_VALUE: Final = "@"
_NO_SPAN: Final = spans.Span(0, 0, 0)
_ENCODER: Final = msgspec.json.Encoder()


class PlainEnds:
    """Events of such mappers; they are all of steps with a combiner, or all of steps without one.

    Args:
        maker: What is known of the request; nothing of it changes while they are held.

    Attributes:
        position: The chunk that the next of them is of; -1: none.
        has_combiner: Whether their steps have one.
    """

    def __init__(self, maker: LineMaker) -> None:
        self.position = -1
        self.has_combiner = False
        self._payload = Payload(0, 0)
        self._maker = maker
        self._ends: list[tuple[int, Ended, Payload]] = []
        self._rows = 0
        self._bytes = 0
        self._patterns: dict[tuple[int, str, Shown], bytes] = {}

    def __bool__(self) -> bool:
        return bool(self._ends)

    @property
    def is_full(self) -> bool:
        """Whether they are to be encoded before another one is added."""
        return self._rows >= _MANY or self._bytes >= _MOST_BYTES

    def turn_to(self, position: int) -> bool:
        """Let the next events be of another chunk; False: none of them can be plain, or now."""
        maker = self._maker
        payload = maker.payload(position)
        if payload is None or payload.inline is None or not payload.offsets:
            return False
        has_combiner = "combine" in maker.handlers_of(maker.chunks.steps[position])
        if self._ends and has_combiner != self.has_combiner:
            return False
        if not maker.values.has_room_for(payload):
            return False
        self.position, self.has_combiner, self._payload = position, has_combiner, payload
        return True

    def add(self, event: Ended) -> bool:
        """Add an event of the chunk; False: it is no plain one."""
        if event.outcome != "reduced" or event.kind != "map" or event.span is None:
            return False
        count, payload = event.count, self._payload
        if len(event.durations) != 12 * count:
            return False
        self._ends.append((self.position, event, payload))
        self._rows += count
        held = sum([len(one.inline or b"") for one in event.payloads])  # though they are not shown
        self._bytes += payload.size_bytes * count // payload.count + held
        return True

    def clear(self) -> None:
        """Forget them; what they have in common stays."""
        self._ends.clear()
        self._rows = self._bytes = 0

    def vertices(self) -> Iterator[range]:
        """Yield their vertices."""
        for _, event, _ in self._ends:
            yield range(event.first, event.first + event.count)

    def lines(self) -> Iterator[DumpLine]:
        """Yield their lines, one by one."""
        for position, event, _ in self._ends:
            yield from ended_lines(self._maker, position, event)

    def encoded(self) -> bytes:
        """Return their lines in JSON, each with a newline at its end."""
        patterns: list[bytes] = []
        ids: list[int] = []
        executors: list[int] = []
        arguments: list[bytes] = []
        times: list[tuple[float, ...]] = []
        starts, times_of = self._maker.chunks.starts, self._times
        encoded_arguments = self._maker.values.encoded_arguments
        for position, event, payload in self._ends:
            first, count, spent = event.first, event.count, unpack_offsets(event.durations)
            span = event.span or _NO_SPAN
            patterns += [self._pattern(position, event, sum(spent))] * count
            executors += [span.executor] * count
            ids += range(first, first + count)
            arguments += encoded_arguments(payload, first - starts[position], count)
            times += times_of(position, event.at, span, spent, count)
        columns: list[Sequence[Any]] = [ids, executors, *map(_encoded, zip(*times, strict=True))]
        return b"".join(map(operator.mod, patterns, _as_in_lines(columns, arguments)))

    def _pattern(self, position: int, event: Ended, all_us: int) -> bytes:
        node = event.node or self._maker.owner  # another one may have adopted the request
        key = position, node, why_absent(None, all_us / event.count)
        found = self._patterns.get(key)
        if found is None:
            if len(self._patterns) >= _PATTERNS:
                self._patterns.clear()
            batch = batch_of(self._maker, position, event)
            found = _pattern(lines_of(self._maker, batch, 0, event.first))
            self._patterns[key] = found
        return found

    def _times(
        self, position: int, at: float, span: spans.Span, spent: Sequence[int], count: int
    ) -> list[tuple[float, ...]]:
        """Return when each began, how long it waited and ran, and the same of its later stages."""
        queued_at = self._maker.chunks.at[position]
        begun: Iterable[float] = (at - span.began_us / 1e6,)
        if count > 1:
            begun = spans.starts(at, span, spent, count)
        of_stages = zip(begun, spent[:count], spent[count:-count], spent[-count:], strict=True)
        if self.has_combiner:
            return [
                (
                    *_mapped(began, queued_at, own_us),
                    round(began + own_us / 1e6, 6),
                    combined_us / 1e6,
                    round(began + (own_us + combined_us) / 1e6, 6),
                    us / 1e6,
                )
                for began, own_us, combined_us, us in of_stages
            ]
        return [
            (
                *_mapped(began, queued_at, own_us),
                round(began + (own_us + combined_us) / 1e6, 6),
                us / 1e6,
            )
            for began, own_us, combined_us, us in of_stages
        ]


def _mapped(began: float, queued_at: float, us: int) -> tuple[float, float, float]:
    return round(began, 6), round(max(began - queued_at, 0.0), 6), us / 1e6


def _encoded(column: Sequence[float]) -> list[bytes]:
    return _ENCODER.encode(column)[1:-1].split(b",")


def _as_in_lines(columns: list[Sequence[Any]], arguments: list[bytes]) -> Iterator[tuple[Any, ...]]:
    """Return columns as rows, in the order of what is marked in a pattern."""
    ids, executors, started, queue_s, run_s, *later = columns
    ordered = [ids, executors, started, queue_s, run_s, arguments]
    for n in range(0, len(later), 2):
        ordered += [ids, ids, executors, later[n], later[n + 1]]
    return zip(*ordered, strict=True)


def _pattern(lines: Sequence[DumpLine]) -> bytes:
    """Return the lines of a vertex in JSON, with marks for what differs from its siblings'."""
    value: Any = _VALUE
    for line in lines:
        line.invocation_id = f"{line.kind[0]}{_NUMBER}"
        line.executor = line.started_at = line.run_s = value
        if line.kind == "map":
            line.queue_s = line.arguments = value
        else:
            line.parent = f"m{_NUMBER}"
    body = _ENCODER.encode_lines(lines).replace(b"%", b"%%")
    body = body.replace(b'"executor":"%b"' % _VALUE.encode(), b'"executor":%d')
    marks = ((f'"{_VALUE}"', b"%b"), (f'{_NUMBER}"', b'%d"'))
    for mark, place in marks:
        body = body.replace(mark.encode(), place)
    return body
