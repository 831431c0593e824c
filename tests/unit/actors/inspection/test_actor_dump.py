"""The dump of a node's actors: gathered page by page, as text and as a graph."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from jobx import questions, views
from jobx.actors.inspection import actor_dump
from jobx.errors import Unavailable

HOSTILE = 'a "quoted" \\ name\n\x1b[31m</script> & ]; evil -> b'


def actor(number: int, parent: int | None = None, name: str = "") -> views.ActorView:
    return views.ActorView(
        address=f"n/1/{number}",
        name=name or f"actor {number}",
        state="idle",
        mailbox=number,
        age_s=1.0,
        class_name="Batch",
        parent=None if parent is None else f"n/1/{parent}",
    )


def summary() -> views.ActorSummary:
    counts: Any = dict.fromkeys(
        (
            *("live", "queued", "created", "failed", "handled", "dead_letters", "held_bytes"),
            *("limit_bytes", "slow", "stalls", "traces"),
        ),
        0,
    )
    return views.ActorSummary(node_id="n", **counts, classes=[], slow_handlers=[], stalled=[])


def node(actors: list[views.ActorView], asked: list[Any]) -> Any:
    """Return what answers as a node with these actors."""

    def answer(question: questions.Question[Any]) -> views.View:
        asked.append(question)
        if isinstance(question, questions.GetActorSummary):
            return summary()
        if isinstance(question, questions.ListDeadLetters):
            return views.DeadLetterPage(node_id="n", count=0, letters=[])
        assert isinstance(question, questions.ListActors)
        start = int(question.after or 0)
        page = actors[start : start + question.limit]
        end = start + len(page)
        after = str(end) if end < len(actors) else None
        return views.ActorPage(node_id="n", actors=page, next=after)

    return answer


def test_actors_are_asked_for_page_by_page_of_the_same_node() -> None:
    asked: list[Any] = []
    actors = [actor(number) for number in range(actor_dump.PAGE + 3)]
    dump = actor_dump.gathered(actor_dump.gather("b"), node(actors, asked))
    assert (dump.actors, dump.is_cut) == (actors, False)
    assert {question.node for question in asked} == {"b"}
    assert [type(question).__name__ for question in asked] == [
        *("GetActorSummary", "ListActors", "ListActors", "ListDeadLetters"),
    ]


@pytest.mark.parametrize(("most", "is_cut"), [(1, True), (6, True), (7, False), (8, False)])
def test_a_dump_is_bounded_and_says_so(most: int, is_cut: bool) -> None:
    actors = [actor(number) for number in range(7)]
    dump = actor_dump.gathered(actor_dump.gather(None, most), node(actors, []))
    assert (len(dump.actors), dump.is_cut) == (min(most, 7), is_cut)
    assert ("there are more" in actor_dump.text(dump)) is is_cut


def test_it_is_gathered_in_the_same_way_where_answers_are_awaited() -> None:
    answer = node([actor(1)], [])

    async def ask(question: questions.Question[Any]) -> Any:
        await asyncio.sleep(0)
        return answer(question)

    later = asyncio.run(actor_dump.gathered_later(actor_dump.gather(None), ask))
    assert later == actor_dump.gathered(actor_dump.gather(None), answer)


def test_an_error_of_the_node_is_the_error_of_the_dump() -> None:
    def refuse(_: object) -> Any:
        raise Unavailable("gone")

    with pytest.raises(Unavailable, match="gone"):
        actor_dump.gathered(actor_dump.gather(None), refuse)


def dumped(*actors: views.ActorView) -> views.ActorDump:
    return actor_dump.gathered(actor_dump.gather(None), node(list(actors), []))


def test_the_text_has_each_actor_below_its_parent() -> None:
    text = actor_dump.text(dumped(actor(1), actor(2, 1), actor(3), actor(4, 2), actor(5, 99)))
    lines = [line for line in text.splitlines() if "actor " in line]
    assert [line.partition(" idle")[0] for line in lines] == [
        *("actor 1", "  actor 2", "    actor 4", "actor 3", "actor 5"),
    ]


def test_hostile_names_are_text_in_one_line() -> None:
    text = actor_dump.text(dumped(actor(1, name=HOSTILE)))
    assert len(text.splitlines()) == 2
    assert "\x1b" not in text


def test_a_graph_has_actors_edges_and_no_word_of_others_outside_of_labels() -> None:
    dot = actor_dump.dot_text(dumped(actor(1, name=HOSTILE), actor(2, 1)))
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', dot)
    assert "a0 -> a1;" in bare
    assert "evil" not in bare
    assert bare.count("[") == bare.count("]") == 4
