"""What can be asked of a node: the verbs of its gateway.

Every verb takes a map and gives a map, both of plain values; the forms are in ``VERBS``' methods.
Blocking reads of the store run in threads; everything else runs on the node's loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeAlias, TypeVar

import msgspec
from thespian.actors import ActorAddress

from jobx import model, values
from jobx.actors import presenting, trace
from jobx.actors.answers import Answers, within
from jobx.actors.messages import Cancel, Describe, RequestKey, Submit
from jobx.actors.outcomes import invocation_id, missing_capability
from jobx.actors.request.state import ROOT
from jobx.actors.services import Services
from jobx.errors import (
    Conflict,
    InvalidInput,
    JobxError,
    KeyReused,
    NoCapability,
    NotFound,
    Unavailable,
)
from jobx.handlers.library import Library
from jobx.kv import keys
from jobx.kv import requests as kv_requests
from jobx.kv.entities import Entities
from jobx.kv.store import Store
from jobx.payload import Payload, pack_offsets
from jobx.views import Outcome, RequestPage

Body: TypeAlias = dict[str, Any]
T = TypeVar("T")

#: How long a cancelled request gets to end before its state is answered as it is.
CANCEL_WAIT_S: Final = 2.0
#: How long actors may take to answer a question.
ANSWER_S: Final = 5.0
_KINDS: Final[dict[str, type[Any]]] = {
    "workflow": model.Workflow,
    "job": model.Job,
    "step": model.Step,
    "handler": model.Handler,
}


class Verbs:
    """Answers what is asked of a node.

    Args:
        node: The adapters of the node.
        store: Where requests and entities are.
        library: What is known of workflows.
        answers: Resolves what actors say.
        stalled: Returns why nothing can be written now, or None.
        deliver: Sends a message to an actor.
        supervisor: The root of the actors.
    """

    def __init__(
        self,
        node: Services,
        store: Store,
        library: Library,
        answers: Answers,
        *,
        stalled: Callable[[], JobxError | None],
        deliver: Callable[[ActorAddress, object], None],
        supervisor: ActorAddress,
    ) -> None:
        self._node = node
        self._store = store
        self._library = library
        self._answers = answers
        self._stalled = stalled
        self._deliver = deliver
        self._supervisor = supervisor
        self._entities = Entities(store)
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="reader")
        #: Requests that are asked for with an Idempotency-Key, durable or not.
        self._keys: dict[tuple[str, str, str], tuple[str, str]] = {}

    async def call(self, verb: str, body: Body) -> Body:
        """Answer one question.

        Raises:
            JobxError: What the verb raises; InvalidInput for an unknown verb or a wrong body.
        """
        answer = VERBS.get(verb)
        if answer is None:
            raise InvalidInput("verb", repr(verb)[:80], f"the verbs are {', '.join(VERBS)}")
        try:
            return await answer(self, body)
        except KeyError as error:
            raise InvalidInput(f"body of {verb}", repr(sorted(body)), f"lacks {error}") from error

    def close(self) -> None:
        """Stop the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    # Requests

    async def submit(self, body: Body) -> Body:
        """Start a request, or find the one that was started before; see ``http/node_client.py``."""
        workflow, job_name = body["workflow"], body["job"]
        client_key = body["idempotency_key"]
        if client_key is not None:
            first = await self._first_request(workflow, job_name, client_key)
            if first is not None:
                return await self._replay(workflow, first, body)
        message = self._build(body)
        key = RequestKey(workflow, message.request.request_id)
        slot = (workflow, job_name, client_key)
        if client_key is not None:
            self._keys[slot] = (key.request_id, body["fingerprint"])
        try:
            return await self._start(key, message, body["wait_s"])
        except Conflict as error:
            return await self._find_other(key, error, body)
        finally:
            self._keys.pop(slot, None)

    async def _start(self, key: RequestKey, message: Submit, wait_s: float) -> Body:
        is_blocking = message.request.is_blocking
        future = self._answers.ended(key) if is_blocking else self._answers.opened(key)
        self._deliver(self._supervisor, message)
        request = await within(future, wait_s if is_blocking else ANSWER_S)
        return self._outcome(request or await self._describe(key))

    async def _find_other(self, key: RequestKey, conflict: Conflict, body: Body) -> Body:
        """Return the request that took the id, or the client's key, before this one."""
        if conflict.args[0] == keys.entity("request", *key):
            return await self._wait(key, body["wait_s"] if body["is_blocking"] else 0.0)
        client_key = body["idempotency_key"]
        if client_key is not None:
            first = await self._first_request(key.workflow, body["job"], client_key)
            if first is not None:
                return await self._replay(key.workflow, first, body)
        raise conflict

    async def _first_request(
        self, workflow: str, job: str, client_key: str
    ) -> tuple[str, str] | None:
        known = self._keys.get((workflow, job, client_key))
        if known is not None:
            return known
        return await self._read(kv_requests.idempotent, workflow, job, client_key)

    async def _replay(self, workflow: str, first: tuple[str, str], body: Body) -> Body:
        request_id, fingerprint = first
        if fingerprint != body["fingerprint"]:
            reason = f"request {request_id} was asked for with it, and with another body"
            raise KeyReused("Idempotency-Key", repr(body["idempotency_key"])[:80], reason)
        wait_s = body["wait_s"] if body["is_blocking"] else 0.0
        return {**await self._wait(RequestKey(workflow, request_id), wait_s), "replayed": True}

    def _build(self, body: Body) -> Submit:
        """Check what is asked for and return the order to start it."""
        stalled = self._stalled()
        if stalled is not None:
            raise stalled
        workflow, job_name = body["workflow"], body["job"]
        job = self._library.job(workflow, job_name)
        digest, plan, plan_writes = self._library.plan(workflow)
        self._check_step(plan, workflow, job.initial_step_name)
        request = model.Request(
            workflow_name=workflow,
            request_id=model.check_name("request", body["request_id"]),
            job_name=job_name,
            invocation_id=invocation_id("map", ROOT),
            is_blocking=body["is_blocking"],
            context=body["context"],
            accepted_at=self._node.now_at(),
            idempotency_key=body["idempotency_key"],
        )
        limit_s = self._node.settings.requests.time_limit_s
        accept = kv_requests.accept_writes(request, self._node.node_id, body["fingerprint"])
        return Submit(
            request=request,
            step=job.initial_step_name,
            plan_digest=digest,
            plan=plan,
            arguments=_pack_arguments(body["arguments"]),
            time_limit_s=min(body["time_limit_s"] or limit_s, limit_s),
            writes=(*plan_writes, *accept),
            reply_to=self._node.gateway,
        )

    def _check_step(self, plan: model.Plan, workflow: str, step: str) -> None:
        if step not in plan.steps:
            raise NotFound("step whose handlers all exist", f"{workflow}/{step}")
        offered = frozenset(self._node.settings.node.capabilities)
        missing = missing_capability(plan.steps[step], offered)
        if missing is not None:
            raise NoCapability(f"no node offers the capability {missing!r} of step {step!r}", 5.0)

    async def wait(self, body: Body) -> Body:
        """Wait until a request has ended, or the time is over."""
        return await self._wait(RequestKey(body["workflow"], body["request_id"]), body["wait_s"])

    async def _wait(self, key: RequestKey, wait_s: float) -> Body:
        ended = self._answers.ended(key)
        try:
            request = await self._describe(key)
            if not request.is_done and wait_s > 0:
                request = await within(ended, wait_s) or await self._describe(key)
        finally:
            ended.cancel()
        return self._outcome(request)

    async def _describe(self, key: RequestKey) -> model.Request:
        """Return a request as it stands: from its coordinator, else from the store."""
        ticket, future = self._answers.ticket()
        self._deliver(self._supervisor, Describe(key, self._node.gateway, ticket))
        request = await within(future, ANSWER_S)
        if request is None:
            request = await self._read(kv_requests.get, *key)
        return request

    async def get(self, body: Body) -> Body:
        """Return a request as it stands."""
        request = await self._describe(RequestKey(body["workflow"], body["request_id"]))
        return _plain(presenting.request_view(request))

    async def list(self, body: Body) -> Body:
        """Return a page of requests, newest first."""
        workflow, limit = body["workflow"], body["limit"]
        await self._read_entity(model.Workflow, workflow, None)
        page, after = await self._read(
            kv_requests.page, workflow, body["state"], body["after"], limit
        )
        return _plain(RequestPage(requests=[presenting.request_view(r) for r in page], next=after))

    async def result(self, body: Body) -> Body:
        """Return where the result of a request is."""
        key = RequestKey(body["workflow"], body["request_id"])
        request = await self._describe(key)
        return _plain(presenting.result_view(request, self._node.blobs.path(*key)))

    async def trace(self, body: Body) -> Body:
        """Return the invocation tree of a request."""
        limit = body.get("limit") or trace.DEFAULT_LIMIT
        return _plain(await self._read(trace.read, body["workflow"], body["request_id"], limit))

    async def cancel(self, body: Body) -> Body:
        """End a request without a result; one that has ended stays as it is."""
        key = RequestKey(body["workflow"], body["request_id"])
        ended = self._answers.ended(key)
        ticket, future = self._answers.ticket()
        self._deliver(self._supervisor, Cancel(key, body["reason"], self._node.gateway, ticket))
        request = await within(future, ANSWER_S)
        if request is None:
            ended.cancel()
            request = await self._read(kv_requests.get, *key)
            if not request.is_done:
                raise Unavailable(f"request {key.request_id} is being recovered")
        else:
            request = await within(ended, CANCEL_WAIT_S) or request
        return _plain(presenting.request_view(request))

    # Entities

    async def create_entity(self, body: Body) -> Body:
        """Create an entity."""
        return await self._write_entity(self._entities.create, body)

    async def put_entity(self, body: Body) -> Body:
        """Create or replace an entity."""
        return await self._write_entity(self._entities.put, body)

    async def get_entity(self, body: Body) -> Body:
        """Return an entity."""
        entity = await self._read_entity(_kind(body), body["workflow"], body["name"])
        return {"entity": _plain(entity)}

    async def list_entities(self, body: Body) -> Body:
        """Return entities of a class, by name."""
        limit = body["limit"]
        if body["workflow"] is not None:
            await self._read_entity(model.Workflow, body["workflow"], None)
        found = await self._in_thread(
            lambda: self._entities.list(
                _kind(body), body["workflow"], after=body["after"], limit=limit + 1
            )
        )
        shown = [_plain(entity) for entity in found[:limit]]
        last = shown[-1][f"{body['kind']}_name"] if len(found) > limit else None
        return {"entities": shown, "next": last}

    async def delete_entity(self, body: Body) -> Body:
        """Delete an entity that nothing refers to."""
        kind, workflow, name = _kind(body), body["workflow"], body["name"]
        await self._in_thread(lambda: self._entities.delete(kind, workflow, name))
        await self._in_thread(self._library.refresh)
        return {}

    async def _write_entity(self, write: Callable[[Any], object], body: Body) -> Body:
        kind = _kind(body)
        entity = model.convert(kind, body["kind"], body["fields"])
        await self._in_thread(lambda: write(entity))
        await self._in_thread(self._library.refresh)
        name = getattr(entity, f"{body['kind']}_name")
        stored = await self._read_entity(kind, entity.workflow_name, name)
        return {"entity": _plain(stored)}

    async def _read_entity(
        self, kind: type[Any], workflow: str, name: str | None
    ) -> msgspec.Struct:
        wanted = None if kind is model.Workflow else name
        entity: msgspec.Struct = await self._in_thread(
            lambda: self._entities.get(kind, workflow, wanted)
        )
        return entity

    # How

    async def _read(self, read: Callable[..., T], *arguments: Any) -> T:
        return await self._in_thread(lambda: read(self._store, *arguments))

    async def _in_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)

    def _outcome(self, request: model.Request) -> Body:
        blob_dir = self._node.blobs.path(request.workflow_name, request.request_id)
        outcome: Outcome = presenting.outcome(request, blob_dir)
        return _plain(outcome)


def _kind(body: Body) -> type[Any]:
    kind = _KINDS.get(body["kind"])
    if kind is None:
        reason = f"the kinds are {', '.join(_KINDS)}"
        raise InvalidInput("entity kind", repr(body["kind"])[:80], reason)
    return kind


def _pack_arguments(arguments: Any) -> Payload:
    """Return the one item of a root's chunk: a list of [name, value]."""
    item = values.pack(arguments)
    return Payload(1, len(item), item, offsets=pack_offsets([len(item)]))


def _plain(view: msgspec.Struct) -> Body:
    plain: Body = msgspec.to_builtins(view, builtin_types=(bytes,))
    return plain


VERBS: Final[dict[str, Callable[[Verbs, Body], Awaitable[Body]]]] = {
    "submit": Verbs.submit,
    "wait": Verbs.wait,
    "request.get": Verbs.get,
    "request.list": Verbs.list,
    "request.result": Verbs.result,
    "request.trace": Verbs.trace,
    "request.cancel": Verbs.cancel,
    "entity.create": Verbs.create_entity,
    "entity.put": Verbs.put_entity,
    "entity.get": Verbs.get_entity,
    "entity.list": Verbs.list_entities,
    "entity.delete": Verbs.delete_entity,
}
