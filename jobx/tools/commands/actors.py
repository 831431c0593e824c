"""``jobx actors``."""

from __future__ import annotations

import click

from jobx.questions import GetActorTree
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command


@click.group("actors")
def actors() -> None:
    """The live actors of a running node."""


@command(actors, "tree", example="actors tree")
def tree(call: Call) -> None:
    """Show the actor tree: name, state, mailbox, age, address."""
    with call.gateway() as gateway:
        answer = gateway.call(GetActorTree())
    if call.as_json:
        render.say_json(answer)
    else:
        render.say_actors(answer.actors)
