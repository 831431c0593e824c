"""The console over HTTP: what the actors of a node do, their stop and restart."""

from __future__ import annotations

import asyncio
import typing
from typing import Any, Final

import falcon
from falcon.asgi import Request, Response

from jobx import questions
from jobx.actors.inspection import actor_dump
from jobx.errors import InvalidInput, quote
from jobx.http.reading import bodies, headers
from jobx.http.resources.site import Site
from jobx.http.writing import answer_memory, results
from jobx.http.writing.media import MEDIA_JSON

STATES: Final = typing.get_args(questions.ActorState)
MEASURES: Final = typing.get_args(questions.ActorMeasure)
MAX_ACTORS: Final = 1000
MAX_TRACE_S: Final = 60
MAX_TEXT_CHARS: Final = 128
MAX_ADDRESS_CHARS: Final = 300
MAX_REASON_CHARS: Final = 500
#: Media types of a dump; the first is the default.
DUMPS: Final = (MEDIA_JSON, falcon.MEDIA_TEXT, "text/vnd.graphviz")

#: How long the node may take beyond the wait.
_ANSWER_S: Final = 15.0


async def summary(site: Site, req: Request, resp: Response) -> None:
    """Answer with the counts of actors by class."""
    results.send_json(resp, await site.node.call(questions.GetActorSummary(node=_node(req))))


async def list_page(site: Site, req: Request, resp: Response) -> None:
    """Answer with a page of actors."""
    limit = headers.page_limit(req, MAX_ACTORS)
    answer_memory.hold_page(req, limit)
    after = _text(req, "after", MAX_TEXT_CHARS)
    question = questions.ListActors(**_filter(req), after=after, limit=limit)
    results.send_json(resp, await site.node.call(question))


async def top(site: Site, req: Request, resp: Response) -> None:
    """Answer with the actors that have most of something."""
    by: Any = _one_of(req, "by", MEASURES) or "time"
    limit = headers.page_limit(req, MAX_ACTORS, 20)
    answer_memory.hold_page(req, limit)
    question = questions.TopActors(**_filter(req), by=by, limit=limit)
    results.send_json(resp, await site.node.call(question))


async def show(site: Site, req: Request, resp: Response) -> None:
    """Answer with one actor."""
    question = questions.GetActor(node=_node(req), address=_address(req))
    results.send_json(resp, await site.node.call(question))


async def trace(site: Site, req: Request, resp: Response) -> None:
    """Answer with what actors handle from now on."""
    limit = headers.page_limit(req, MAX_ACTORS, MAX_ACTORS)
    answer_memory.hold_page(req, limit)
    wait_s = headers.number(req, "wait", MAX_TRACE_S, 10)
    address = _text(req, "address", MAX_ADDRESS_CHARS)
    question = questions.TraceActors(**_filter(req), address=address, wait_s=wait_s, limit=limit)
    results.send_json(resp, await site.node.call(question, wait_s + _ANSWER_S))


async def dead_letters(site: Site, req: Request, resp: Response) -> None:
    """Answer with the last groups of dead letters."""
    results.send_json(resp, await site.node.call(questions.ListDeadLetters(node=_node(req))))


async def stop(site: Site, req: Request, resp: Response) -> None:
    """Stop an actor."""
    bodies.refuse(req)
    question = questions.StopActor(node=_node(req), address=_address(req), reason=_reason(req))
    results.send_json(resp, await site.node.call(question))


async def restart(site: Site, req: Request, resp: Response) -> None:
    """Start an actor again."""
    bodies.refuse(req)
    question = questions.RestartActor(node=_node(req), address=_address(req), reason=_reason(req))
    results.send_json(resp, await site.node.call(question))


async def dump(site: Site, req: Request, resp: Response) -> None:
    """Answer with all actors, as JSON, as text or as a graph."""
    media_type = req.client_prefers(DUMPS)
    if media_type is None:
        raise falcon.HTTPNotAcceptable(description=f"a dump comes as {', '.join(DUMPS)}")

    async def ask(question: questions.Question[Any]) -> Any:
        answer_memory.hold_page(req, getattr(question, "limit", 0))
        return await site.node.call(question)

    found = await actor_dump.gathered_later(actor_dump.gather(_node(req)), ask)
    resp.set_header("Vary", "Accept")
    if media_type == MEDIA_JSON:
        results.send_json(resp, found)
        return
    write = actor_dump.text if media_type == falcon.MEDIA_TEXT else actor_dump.dot_text
    resp.data = (await asyncio.to_thread(write, found)).encode()
    resp.content_type = media_type


def _filter(req: Request) -> dict[str, Any]:
    return {
        "node": _node(req),
        "class_name": _text(req, "class", MAX_TEXT_CHARS),
        "name": _text(req, "name", MAX_TEXT_CHARS),
        "state": _one_of(req, "state", STATES),
        "below": _text(req, "below", MAX_ADDRESS_CHARS),
    }


def _node(req: Request) -> str | None:
    return _text(req, "node", MAX_TEXT_CHARS)


def _address(req: Request) -> str:
    address = _text(req, "address", MAX_ADDRESS_CHARS)
    if address is None:
        raise InvalidInput("query parameter address", "nothing", "must name an actor")
    return address


def _reason(req: Request) -> str:
    return _text(req, "reason", MAX_REASON_CHARS) or ""


def _text(req: Request, name: str, most: int) -> str | None:
    text: str | None = req.get_param(name)
    if text is not None and not 1 <= len(text) <= most:
        raise InvalidInput(f"query parameter {name}", quote(text), f"has 1 to {most} characters")
    return text


def _one_of(req: Request, name: str, known: tuple[str, ...]) -> str | None:
    text: str | None = req.get_param(name)
    if text is not None and text not in known:
        reason = f"must be one of {', '.join(known)}"
        raise InvalidInput(f"query parameter {name}", quote(text), reason)
    return text
