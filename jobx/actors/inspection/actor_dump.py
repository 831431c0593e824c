"""All actors of a node, asked for page by page, and as text or as a graph in DOT.

What actors call themselves may have any text in it: it appears only as quoted or escaped text.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterator
from typing import Any, Final, TypeAlias

from jobx import printable, questions, views
from jobx.actors.inspection.graph import quoted

#: Actors in one answer of the node.
PAGE: Final = 500
#: Actors of a dump.
MOST: Final = 20_000

#: Yields questions, is sent their answers, and returns the dump.
Gathering: TypeAlias = Generator[questions.Question[Any], Any, views.ActorDump]

_SHAPES: Final = {"Supervisor": "house", "Coordinator": "box", "Batch": "ellipse"}


def gather(node: str | None, most: int = MOST) -> Gathering:
    """Ask for the actors of a node, up to so many, with their summary and the dead letters.

    Actors are born and gone while it asks.
    """
    summary = yield questions.GetActorSummary(node=node)
    actors: list[views.ActorView] = []
    after = None
    while len(actors) < most:
        limit = min(PAGE, most - len(actors))
        page = yield questions.ListActors(node=node, after=after, limit=limit)
        actors += page.actors
        after = page.next
        if after is None:
            break
    letters = yield questions.ListDeadLetters(node=node)
    return views.ActorDump(
        summary=summary, actors=actors, is_cut=after is not None, dead_letters=letters
    )


def gathered(
    gathering: Gathering, ask: Callable[[questions.Question[Any]], Any]
) -> views.ActorDump:
    """Return a dump; ``ask`` returns the answer to a question."""
    answer = None
    while True:
        try:
            question = gathering.send(answer)
        except StopIteration as end:
            dump: views.ActorDump = end.value
            return dump
        answer = ask(question)


async def gathered_later(
    gathering: Gathering, ask: Callable[[questions.Question[Any]], Awaitable[Any]]
) -> views.ActorDump:
    """Return a dump; ``ask`` returns what the answer to a question is awaited from."""
    answer = None
    while True:
        try:
            question = gathering.send(answer)
        except StopIteration as end:
            dump: views.ActorDump = end.value
            return dump
        answer = await ask(question)


def text(dump: views.ActorDump) -> str:
    """Return a dump as lines: the counts, the tree of actors, dead letters."""
    summary, letters = dump.summary, dump.dead_letters.letters
    lines = [
        f"node {summary.node_id}: {summary.live} actors, {summary.queued} with mail,"
        f" {summary.handled} messages handled, {summary.failed} failed,"
        f" {summary.dead_letters} dead letters, {summary.slow} slow messages,"
        f" {summary.stalls} stalls",
        *(_class_line(one) for one in summary.classes),
        *(f"stalled x{one.count}, {one.longest_s:.3f} s: {one.where}" for one in summary.stalled),
        *(f"{'  ' * depth}{_line(actor)}" for depth, actor in _in_order(dump.actors)),
    ]
    if dump.is_cut:
        lines.append(f"these are the first {len(dump.actors)} actors; there are more")
    lines += [
        f"dead letter {one.message} x{one.count} to {one.target} from {one.sender}: {one.reason}"
        for one in letters
    ]
    return "".join(f"{printable.line(line)}\n" for line in lines)


def dot_text(dump: views.ActorDump) -> str:
    """Return the tree of actors as DOT text."""
    names = {actor.address: f"a{number}" for number, actor in enumerate(dump.actors)}
    lines = ["digraph actors {", '  graph [rankdir="LR"];', '  node [fontname="sans-serif"];']
    for actor in dump.actors:
        shape = _SHAPES.get(actor.class_name, "ellipse")
        label = quoted(actor.name, f"{actor.state}, mailbox {actor.mailbox}", actor.address)
        lines.append(f'  {names[actor.address]} [shape="{shape}" label={label}];')
        if actor.parent in names:
            lines.append(f"  {names[actor.parent]} -> {names[actor.address]};")
    if dump.is_cut:
        lines.append(f'  cut [shape="plaintext" label={quoted("there are more actors")}];')
    return "\n".join([*lines, "}", ""])


def _in_order(actors: list[views.ActorView]) -> Iterator[tuple[int, views.ActorView]]:
    """Yield actors with their depth, each behind its parent."""
    known = {actor.address for actor in actors}
    below: dict[str | None, list[views.ActorView]] = {}
    for actor in actors:
        parent = actor.parent if actor.parent in known else None
        below.setdefault(parent, []).append(actor)
    todo = [(0, actor) for actor in reversed(below.get(None, []))]
    while todo:
        depth, actor = todo.pop()
        yield depth, actor
        todo += [(depth + 1, child) for child in reversed(below.get(actor.address, []))]


def _class_line(one: views.ActorClassView) -> str:
    again = f", {one.restarts} restarts, the last: {one.restart_reason}" if one.restarts else ""
    return (
        f"class {one.class_name}: {one.live} live of {one.created}, {one.handled} messages in"
        f" {one.time_s:.3f} s, {one.slow} slow, mailbox {one.mailbox}, {one.failed} failed{again}"
    )


def _line(actor: views.ActorView) -> str:
    again = f", restarted {actor.restarts} times" if actor.restarts else ""
    held = f", holds {actor.held_bytes} bytes" if actor.held_bytes else ""
    return (
        f"{actor.name} {actor.state}  {actor.address}  mailbox {actor.mailbox},"
        f" {actor.handled} messages in {actor.time_s:.3f} s, {actor.age_s:.1f} s old{again}{held}"
    )
