"""Pages of the node: how it is, its executors, its actors."""

from __future__ import annotations

from typing import Final

from falcon.asgi import Request, Response

from jobx.errors import InvalidInput, quote
from jobx.http.pages.ui import Ui, asked
from jobx.http.writing import answer_memory
from jobx.questions import (
    GetActor,
    GetActorSummary,
    GetNode,
    GetReadiness,
    ListActors,
    ListDeadLetters,
    ListNotifications,
)

#: Parameters of the page of actors.
FILTERS: Final = ("class_name", "name", "state", "after", "node")
STATES: Final = ("idle", "busy", "queued", "stopping", "remote")
_LIMIT: Final = 100
_MOST_CHARACTERS: Final = 128


async def node(ui: Ui, req: Request, resp: Response) -> None:
    """Answer with the node and its executors."""
    ready = await ui.node.call(GetReadiness())
    ui.send(req, resp, "node.html", node=await ui.node.call(GetNode()), ready=ready)


async def notifications(ui: Ui, req: Request, resp: Response) -> None:
    """Answer with what the node has told people."""
    page = await ui.node.call(ListNotifications())
    ui.send(req, resp, "notifications.html", page=page)


async def actors(ui: Ui, req: Request, resp: Response) -> None:
    """Answer with the actors by class, what was wrong with them, and a filtered list."""
    given = asked(req, FILTERS)
    for name, text in given.items():
        _check(name, text)
    answer_memory.hold_page(req, _LIMIT)
    page = await ui.node.call(ListActors(**given, limit=_LIMIT))
    ui.send(
        *(req, resp, "actors.html"),
        asked=given,
        is_filtered=any(given.values()),
        states=STATES,
        page=page,
        summary=await ui.node.call(GetActorSummary(node=given["node"])),
        dead=await ui.node.call(ListDeadLetters(node=given["node"])),
    )


async def actor(ui: Ui, req: Request, resp: Response) -> None:
    """Answer with one actor: its parents, its children, its mail."""
    address, node_id = req.get_param("address") or "", req.get_param("node")
    _check("address", address)
    _check("node", node_id)
    question = GetActor(address=address, node=node_id)
    ui.send(req, resp, "actor.html", found=await ui.node.call(question))


def _check(name: str, text: str | None) -> None:
    """Check a parameter; raises InvalidInput for one that no actor fits."""
    if text is None:
        return
    where = f"query parameter {name}"
    if len(text) > _MOST_CHARACTERS:
        raise InvalidInput(where, quote(text), f"has at most {_MOST_CHARACTERS} characters")
    if name == "state" and text not in STATES:
        raise InvalidInput(where, quote(text), f"must be one of {', '.join(STATES)}")
