"""``jobx actors``: the console of a running node."""

from __future__ import annotations

import typing
from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

from jobx import questions, views
from jobx.actors.inspection import actor_dump
from jobx.questions import GetActorTree, Question
from jobx.tools.shared import actor_tables, render, render_trees
from jobx.tools.shared.command import Call, command, takes

A = TypeVar("A", bound=views.View)
F = TypeVar("F", bound=Callable[..., Any])

MAX_ACTORS: Final = 1000
#: How long one question of a trace lasts at most, so that an interrupt is soon heard.
TRACE_S: Final = 60

_STATES: Final = click.Choice(typing.get_args(questions.ActorState))
_MEASURES: Final = click.Choice(typing.get_args(questions.ActorMeasure))
_LIMIT: Final = click.IntRange(1, MAX_ACTORS)
_WRITERS: Final[dict[str, Callable[[views.ActorDump], str]]] = {
    "json": render.to_json,
    "text": actor_dump.text,
    "dot": actor_dump.dot_text,
}


@click.group("actors")
def actors() -> None:
    """The live actors of a running node."""


def _of_node(body: F) -> F:
    return click.option("--node", help="Another node of the cluster, asked by this one.")(body)


def _filtered(body: F) -> F:
    for option in reversed(
        (
            click.option("--class", "class_name", help="Only actors of this class."),
            click.option("--name", help="Only those with this text in their name."),
            click.option("--state", type=_STATES, help="Only those in this state."),
            click.option("--below", metavar="ADDRESS", help="Only those below this actor."),
        )
    ):
        body = option(body)
    return _of_node(body)


@command(actors, "tree", example="actors tree")
def tree(call: Call) -> None:
    """Show the actor tree: name, state, mailbox, age, address."""
    answer = _ask(call, GetActorTree())
    _say(call, answer, lambda: render_trees.say_actors(answer.actors))


@command(actors, "summary", example="actors summary")
@_of_node
def summary(call: Call, **words: Any) -> None:
    """Show actors by class, slow handlers, stalls of the loop."""
    answer = _ask(call, questions.GetActorSummary(**words))
    _say(call, answer, lambda: actor_tables.say_summary(answer))


@command(actors, "list", example="actors list --class Coordinator --state queued")
@_filtered
@click.option("--limit", type=_LIMIT, default=100, show_default=True, help="Most actors.")
@click.option("--after", help="The cursor of the page before.")
def list_(call: Call, **words: Any) -> None:
    """List actors, the oldest first."""
    answer = _ask(call, questions.ListActors(**words))
    _say(call, answer, lambda: actor_tables.say_page(answer))


@command(actors, "top", example="actors top --by mailbox")
@_filtered
@click.option("--by", type=_MEASURES, default="time", show_default=True, help="What they have.")
@click.option("--limit", type=_LIMIT, default=20, show_default=True, help="Most actors.")
def top(call: Call, **words: Any) -> None:
    """Show the actors with most time, messages, mail or memory."""
    answer = _ask(call, questions.TopActors(**words))
    _say(call, answer, lambda: actor_tables.say_page(answer))


@command(actors, "show", example="actors show local/1796036397274181278/4")
@takes("address")
@_of_node
def show(call: Call, **words: Any) -> None:
    """Show one actor: its parents, mail, restarts and memory."""
    answer = _ask(call, questions.GetActor(**words))
    _say(call, answer, lambda: actor_tables.say_actor(answer))


@command(actors, "trace", example="actors trace --class Coordinator --seconds 5")
@click.argument("address", required=False)
@_filtered
@click.option(
    "--seconds", type=click.IntRange(1, TRACE_S), default=10, show_default=True, help="How long."
)
@click.option("--limit", type=_LIMIT, default=MAX_ACTORS, show_default=True, help="Most messages.")
def trace(call: Call, *, seconds: int, **words: Any) -> None:
    """Show types and sizes of messages that are handled now."""
    answer = _ask(call, questions.TraceActors(**words, wait_s=seconds))
    _say(call, answer, lambda: actor_tables.say_trace(answer))


@command(actors, "dead-letters", example="actors dead-letters")
@_of_node
def dead_letters(call: Call, **words: Any) -> None:
    """Show the last messages that nobody has read."""
    answer = _ask(call, questions.ListDeadLetters(**words))
    _say(call, answer, lambda: actor_tables.say_letters(answer))


@command(actors, "stop", example="actors stop local/1796036397274181278/4 --reason hangs")
@takes("address")
@_of_node
@click.option("--reason", default="", help="Why; shown in views.")
def stop(call: Call, **words: Any) -> None:
    """Stop an actor: its request is cancelled, its attempt fails."""
    answer = _ask(call, questions.StopActor(**words))
    _say(call, answer, lambda: render.say(f"{answer.name}: {answer.says}"))


@command(actors, "restart", example="actors restart local/1796036397274181278/4")
@takes("address")
@_of_node
@click.option("--reason", default="", help="Why; shown in views.")
def restart(call: Call, **words: Any) -> None:
    """Start an actor again, from its log; nothing is lost."""
    answer = _ask(call, questions.RestartActor(**words))
    _say(call, answer, lambda: render.say(f"{answer.name}: {answer.says}"))


@command(actors, "dump", example="actors dump --format dot > actors.dot")
@_of_node
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_WRITERS)),
    help="text (default), json, or dot for Graphviz.",
)
def dump(call: Call, *, node: str | None, form: str | None) -> None:
    """Write all actors with their counts, and dead letters."""
    with call.gateway() as gateway:
        found = actor_dump.gathered(actor_dump.gather(node), gateway.call)
    form = form or ("json" if call.as_json else "text")
    click.echo(_WRITERS[form](found).rstrip("\n"))


def _ask(call: Call, question: Question[A]) -> A:
    with call.gateway() as gateway:
        return gateway.call(question)


def _say(call: Call, answer: views.View, say: Callable[[], None]) -> None:
    if call.as_json:
        render.say_json(answer)
    else:
        say()
