"""Views of a request, each made from all of its trace: what the pages must equal."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final, NamedTuple, cast

from msgspec.structs import replace

from jobx import model, questions, views
from jobx.actors.inspection import trace
from jobx.actors.request import events
from jobx.actors.request.ids import invocation_id
from jobx.errors import InvalidInput, NotFound, quote
from jobx.kv.requests import event_log
from jobx.kv.store import Store
from jobx.payload import unpack_offsets

#: More bars than these are shown as columns.
MAX_BARS: Final = 10_000


class _Vertex(NamedTuple):
    number: int
    depth: int
    parent: int
    step: str
    state: views.InvocationState
    children: int
    own: list[views.TraceNode]

    @property
    def began_at(self) -> float | None:
        """When its mapper began."""
        return self.own[0].started_at

    @property
    def ended_at(self) -> float | None:
        """When its reducer ended."""
        last = self.own[-1]
        if self.state != "succeeded" or last.started_at is None:
            return None
        return last.started_at + (last.duration_s or 0.0)


def summary(store: Store, asked: questions.GetSummary) -> views.SummaryView:
    """Return what a request has done so far."""
    request, as_of, log, vertices = _read(store, asked)
    steps: dict[tuple[int, str], views.StepSummary] = {}
    for vertex in vertices:
        key = vertex.depth, vertex.step
        found = steps.get(key) or views.StepSummary(step_name=vertex.step, depth=vertex.depth)
        steps[key] = _with(found, vertex)
    places = {vertex.number: (vertex.depth, vertex.step) for vertex in vertices}
    groups: dict[tuple[str, str | None, str], views.FailureGroup] = {}
    for event in log:
        if isinstance(event, events.Retried | events.Failed):
            _count_failure(event, places, steps, groups)
    for key, spent in _spent(log, places).items():
        mean_s, max_s = sum(spent) / len(spent) / 1e6, max(spent) / 1e6
        steps[key] = replace(steps[key], mean_s=mean_s, max_s=max_s)
    failures = sorted(groups.values(), key=lambda group: -group.count)
    ordered = [steps[key] for key in sorted(steps)]
    return views.SummaryView(
        request=replace(request, deliveries=[]), as_of=as_of, steps=ordered, failures=failures
    )


def tree(store: Store, asked: questions.GetTree) -> views.TreePage:
    """Return the children of a mapper in runs of one state."""
    of = _vertex(asked.of, "of")
    _, as_of, _, vertices = _read(store, asked)
    found = {vertex.number: vertex for vertex in vertices}
    if of not in found:
        raise NotFound("invocation", f"{asked.workflow}/{asked.request_id}/{asked.of}")
    after = _position(asked.after, "after", _mark(asked, asked.of), -1)
    below = [vertex for vertex in vertices if vertex.parent == of and vertex.number > after]
    runs = [_run(list(run)) for _, run in groupby(below, _run_key(below))]
    shown = runs[: asked.limit]
    last = int(shown[-1].first[1:]) + shown[-1].count - 1 if shown else 0
    return views.TreePage(
        request_id=asked.request_id,
        as_of=as_of,
        of=asked.of,
        parent=_run([found[of]]),
        runs=shown,
        next=f"{last}.{_mark(asked, asked.of)}" if len(runs) > len(shown) else None,
    )


def invocations(store: Store, asked: questions.ListInvocations) -> views.InvocationPage:
    """Return a page of invocations."""
    mark = _mark(asked, asked.state, asked.step, asked.kind)
    is_name = asked.start is not None and asked.start[:1] in "mcr"
    first = _vertex(asked.start or "", "from") if is_name else None
    position = 3 * first if first is not None else _position(asked.start, "from", mark, 0)
    _, as_of, _, vertices = _read(store, asked)
    rows = [
        (3 * vertex.number + "mcr".index(node.invocation_id[0]), _row(vertex, node))
        for vertex in vertices
        for node in vertex.own
    ]
    kept = [
        (place, row)
        for place, row in rows
        if place >= position
        and asked.state in (None, row.state)
        and asked.step in (None, row.step_name)
        and asked.kind in (None, row.kind)
    ]
    more = f"{kept[asked.limit][0]}.{mark}" if len(kept) > asked.limit else None
    return views.InvocationPage(
        as_of=as_of, invocations=[row for _, row in kept[: asked.limit]], next=more
    )


def timeline(store: Store, asked: questions.GetTimeline) -> views.TimelineView:
    """Return what ran when."""
    request, as_of, log, vertices = _read(store, asked)
    lanes: dict[str, int] = {}
    steps = {vertex.number: vertex.step for vertex in vertices}
    bars = [bar for vertex in vertices for bar in _bars(vertex, lanes)]
    for event in log:
        if isinstance(event, events.Retried | events.Failed):
            first = event.first if isinstance(event, events.Retried) else event.vertex
            name = invocation_id(event.kind, first)
            bars.append(
                views.Bar(
                    invocation_id=name, step_name=steps.get(first, ""), state="failed",
                    started_at=event.at, duration_s=0.0,
                )
            )  # fmt: skip
    ends = [bar.started_at + bar.duration_s for bar in bars]
    from_at = request.accepted_at if asked.from_at is None else asked.from_at
    until_at = max([*ends, from_at]) if asked.until_at is None else asked.until_at
    if until_at < from_at:
        raise InvalidInput("to", str(until_at), f"is before from, {from_at}")
    shown = [
        bar
        for bar in bars
        if bar.started_at <= until_at and bar.started_at + bar.duration_s >= from_at
    ]
    view = views.TimelineView(as_of=as_of, from_at=from_at, until_at=until_at, lanes=list(lanes))
    if len(shown) <= MAX_BARS:
        return replace(view, bars=sorted(shown, key=lambda bar: bar.started_at))
    return replace(view, columns=_columns(shown, from_at, until_at, asked.width))


def _read(
    store: Store, asked: questions.OfRequest[Any]
) -> tuple[views.RequestView, int, list[events.Event], list[_Vertex]]:
    found = trace.read(store, asked.workflow, asked.request_id, 1_000_000)
    log, as_of = [], -1
    for number, record in event_log.read(store, asked.workflow, asked.request_id):
        as_of, event = number, events.known_part(record)
        if event is not None:
            log.append(event)
    vertices = list(_walk(found)) if found.root is not None else []
    return found.request, as_of, log, sorted(vertices)


def _walk(view: views.TraceView) -> Iterator[_Vertex]:
    todo = [(cast("views.TraceNode", view.root), 0, -1)]
    while todo:
        mapper, depth, parent = todo.pop()
        number = int(mapper.invocation_id[1:])
        own = [mapper, *(node for node in mapper.children if node.kind != "map")]
        below = [node for node in mapper.children if node.kind == "map"]
        state = _state(own, is_done=view.request.state != "running")
        yield _Vertex(number, depth, parent, mapper.step_name, state, len(below), own)
        todo += [(node, depth + 1, number) for node in below]


def _spent(
    log: list[events.Event], places: dict[int, tuple[int, str]]
) -> dict[tuple[int, str], list[int]]:
    """Return what mappers that succeeded took, by depth and step."""
    found: dict[tuple[int, str], list[int]] = {}
    for event in log:
        if isinstance(event, events.Done) and event.kind != "reduce" and event.first in places:
            spent = unpack_offsets(event.durations)[: event.count]
            found.setdefault(places[event.first], []).extend(spent)
    return {key: spent for key, spent in found.items() if spent}


def _state(own: list[views.TraceNode], *, is_done: bool) -> views.InvocationState:
    states = [node.state for node in own]
    if states[-1] == "succeeded":
        return "succeeded"
    if "failed" in states:
        return "failed"
    if is_done:
        return "cancelled"
    return "running" if states[0] in ("running", "succeeded") else "pending"


def _with(step: views.StepSummary, vertex: _Vertex) -> views.StepSummary:
    counts = {vertex.state: getattr(step, vertex.state) + 1, "mapped": step.mapped + 1}
    for node in vertex.own:
        if node.kind != "map" and node.state == "succeeded":
            name = "combined" if node.kind == "combine" else "reduced"
            counts[name] = getattr(step, name) + 1
    return replace(step, **counts)


def _count_failure(
    event: events.Retried | events.Failed,
    places: dict[int, tuple[int, str]],
    steps: dict[tuple[int, str], views.StepSummary],
    groups: dict[tuple[str, str | None, str], views.FailureGroup],
) -> None:
    is_final = isinstance(event, events.Failed)
    first = event.vertex if isinstance(event, events.Failed) else event.first
    count = 1 if isinstance(event, events.Failed) else event.count
    place = places.get(first)
    if place is None:
        return
    if not is_final:
        steps[place] = replace(steps[place], retries=steps[place].retries + count)
    line = line_of(event.failure)
    key = event.failure.type, line, place[1]
    group = groups.get(key) or views.FailureGroup(
        type=event.failure.type, line=line, step_name=place[1], count=0,
        first=invocation_id(event.kind, first), message=event.failure.message,
    )  # fmt: skip
    groups[key] = replace(group, count=group.count + count, is_final=group.is_final or is_final)


def line_of(failure: model.Failure) -> str | None:
    """Return the innermost line of the author, as a failure quotes it."""
    lines = [line.strip() for line in failure.traceback.splitlines()]
    found = [line for line in lines if line.startswith("File ")]
    return found[-1].removeprefix("File ") if found else None


def _run_key(below: list[_Vertex]):  # type: ignore[no-untyped-def]  # goes soon
    before: list[_Vertex] = []
    number = 0

    def key(vertex: _Vertex) -> int:
        nonlocal number
        last = before[-1] if before else None
        if (
            last is None
            or (last.number + 1, last.state, last.step)
            != (vertex.number, vertex.state, vertex.step)
            or vertex.state == "failed"
        ):
            number += 1
        before[:] = [vertex]
        return number

    return key


def _run(run: list[_Vertex]) -> views.SiblingRun:
    first = run[0]
    begun = [vertex.began_at for vertex in run if vertex.began_at is not None]
    ends = [vertex.ended_at for vertex in run]
    failed = [node.failure for node in first.own if node.failure is not None]
    known = [end for end in ends if end is not None]
    took = max(known) - min(begun) if begun and len(known) == len(run) else None
    return views.SiblingRun(
        first=f"m{first.number}",
        count=len(run),
        state=first.state,
        step_name=first.step,
        children=sum(vertex.children for vertex in run),
        failure=failed[0] if failed and first.state == "failed" else None,
        queued_at=first.own[0].queued_at,
        started_at=min(begun) if begun else None,
        duration_s=took,
    )


def _row(vertex: _Vertex, node: views.TraceNode) -> views.InvocationRow:
    state = cast("views.InvocationState", node.state)
    if node.kind == "map" and node.state == "succeeded" and vertex.state == "running":
        state = "succeeded"
    return views.InvocationRow(
        invocation_id=node.invocation_id,
        kind=node.kind,
        step_name=node.step_name,
        state=state,
        attempt=node.attempt,
        node_id=node.node_id,
        executor=node.executor,
        queued_at=node.queued_at,
        started_at=node.started_at,
        duration_s=node.duration_s,
        failure=node.failure,
    )


def _bars(vertex: _Vertex, lanes: dict[str, int]) -> Iterator[views.Bar]:
    mapper, last = vertex.own[0], vertex.own[-1]
    trip_s = 0.0
    for node in vertex.own:
        if node.started_at is None or node.duration_s is None:
            continue
        is_alone = node is last and node is not mapper and "reduced" not in _outcome(vertex)
        lane = lanes.setdefault(f"{node.node_id or ''} {node.executor}", len(lanes))
        if is_alone:
            yield _bar(vertex, node, node.started_at, node.duration_s, lane)
        else:
            trip_s += node.duration_s
    if mapper.started_at is not None:
        lane = lanes.setdefault(f"{mapper.node_id or ''} {mapper.executor}", len(lanes))
        yield _bar(vertex, mapper, mapper.started_at, trip_s, lane)


def _outcome(vertex: _Vertex) -> str:
    mapper, last = vertex.own[0], vertex.own[-1]
    same = (mapper.executor, mapper.node_id) == (last.executor, last.node_id)
    return "reduced" if same and not vertex.children else "mapped"


def _bar(vertex: _Vertex, node: views.TraceNode, at: float, spent_s: float, lane: int) -> views.Bar:
    return views.Bar(
        invocation_id=node.invocation_id, step_name=vertex.step,
        state=cast("views.InvocationState", node.state), started_at=at, duration_s=spent_s,
        lane=lane,
    )  # fmt: skip


def _columns(
    bars: list[views.Bar], from_at: float, until_at: float, width: int
) -> list[views.Column]:
    width_s = (until_at - from_at) / width or 1.0
    ran: list[dict[str, float]] = [{} for _ in range(width)]
    failed = [0] * width
    for bar in bars:
        first = min(max(int((bar.started_at - from_at) / width_s), 0), width - 1)
        ended_at = bar.started_at + bar.duration_s
        last = min(int((ended_at - from_at) / width_s), width - 1)
        if bar.state == "failed":
            failed[first] += 1
            continue
        for number in range(first, last + 1):
            low = max(bar.started_at, from_at + number * width_s)
            high = min(ended_at, from_at + (number + 1) * width_s)
            share = max(high - low, 0.0) / width_s
            ran[number][bar.step_name] = ran[number].get(bar.step_name, 0.0) + share
    return [
        views.Column(at=from_at + n * width_s, width_s=width_s, running=ran[n], failed=failed[n])
        for n in range(width)
    ]


def _vertex(name: str, where: str) -> int:
    if name[:1] in ("m", "c", "r") and name[1:].isdecimal() and len(name) < 19:
        return int(name[1:])
    raise InvalidInput(where, quote(name), "an invocation id is m, c or r and a number")


def _mark(asked: questions.OfRequest[Any], *filters: str | None) -> str:
    """Return what ties a cursor to its request and its filter."""
    words = "/".join((asked.workflow, asked.request_id, *map(str, filters)))
    return f"{zlib.crc32(words.encode()):08x}"


def _position(cursor: str | None, where: str, mark: str, first: int) -> int:
    if cursor is None:
        return first
    number, _, found = cursor.partition(".")
    if number.isdecimal() and len(number) < 19 and found == mark:
        return int(number)
    reason = "is no cursor of this request and filter: give `next` of the page before"
    raise InvalidInput(where, quote(cursor), reason)
