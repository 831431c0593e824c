"""Handles the POST of a job."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import time
from typing import Any, Final, NamedTuple

import msgspec
from falcon.asgi import Request, Response

from jobx import traceparent, values
from jobx.errors import InvalidInput, JobxError, Overloaded, TooLarge
from jobx.handlers.pairs import root_input
from jobx.handlers.pairs.root_input import Packed
from jobx.http.errors import REQUEST_ID
from jobx.http.reading import bodies, headers
from jobx.http.resources.site import Site
from jobx.http.writing import media, results
from jobx.kv.requests.request_entity import new_id
from jobx.meanings import may_have_happened
from jobx.model import Name, Seconds, check_name
from jobx.questions import GetEntity, SubmitJob
from jobx.values import Value
from jobx.views import Outcome, RequestView

#: Largest context, as JSON.
MAX_CONTEXT_BYTES: Final = 16 << 10

#: Random bytes in the id of a request.
_RANDOM_BYTES: Final = 10
#: Arguments up to this size are in no blob, unless the settings say so.
_LARGE_BYTES: Final = 16 << 10
#: msgpack: array of less than sixteen items; its length is added.
_SHORT_ARRAY: Final = 0x90


class _Asked(NamedTuple):
    """A question with its packed arguments, and an outline of large ones."""

    question: SubmitJob
    item: bytes | Packed
    outline: bytes


class JobBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The body of a POST to a job."""

    #: Values by name, as in the first mapper's argument spec.
    arguments: dict[str, Any] = {}
    #: Anything that helps to recognise the request; handlers see it and views show it.
    context: dict[str, Any] = {}
    #: Time limit of the request; at most ``requests.time_limit_s``.
    time_limit_s: Seconds | None = None
    #: The result writer, if the job lets requests choose.
    result_writer: Name | None = None


async def post(site: Site, req: Request, resp: Response, workflow: str, job: str) -> None:
    """Submit a request and answer with its result, its failure, or its location."""
    check_name("workflow", workflow)
    check_name("job", job)
    waiting = headers.waiting(req, site.settings.max_wait_s)
    accepted = media.accepted(req)
    question = SubmitJob(
        workflow=workflow,
        job=job,
        # Created here, so that the submit can be repeated when the node comes back.
        request_id=new_id(time.time(), os.urandom(_RANDOM_BYTES)),
        is_blocking=waiting.is_blocking,
        wait_s=waiting.wait_s,
        idempotency_key=headers.idempotency_key(req),
    )
    if req.get_header("Expect"):  # the client waits to hear whether its body is of use
        await site.node.call(GetEntity(kind="job", workflow=workflow, name=job))
    question = await _with_body(site, question, req)
    try:
        outcome = await site.node.attend(question)
    except JobxError as error:
        if may_have_happened(error):
            _name_what_may_exist(req, resp, workflow, question.request_id)
        raise
    resp.set_header("X-FULFILLED-BY", site.host)
    if waiting.applied:
        resp.set_header("Preference-Applied", waiting.applied)
    await _send(site, req, resp, outcome, accepted if waiting.is_blocking else None)


async def start(
    site: Site, req: Request, workflow: str, job: str, arguments: dict[str, Value]
) -> RequestView:
    """Submit a request without waiting for its end; return how it stands.

    Raises:
        JobxError: The node refuses it, or is not there.
    """
    request_id = new_id(time.time(), os.urandom(_RANDOM_BYTES))
    question = SubmitJob(workflow=workflow, job=job, request_id=request_id, is_blocking=False)
    added = {"requester_ip": headers.requester_ip(req, site.settings.forwarded_header)}
    asked = _read(question, added, {"arguments": arguments})
    outcome = await site.node.attend(await _kept(site, asked, req))
    return outcome.request


async def _send(
    site: Site,
    req: Request,
    resp: Response,
    outcome: Outcome,
    accepted: media.AcceptedFormats | None,
) -> None:
    """Make ``resp`` the outcome of a request; None is accepted by a client that does not wait."""
    resp.set_header("X-MR-REQUEST-ID", outcome.request.request_id)
    if outcome.replayed:
        resp.set_header("Idempotent-Replayed", "true")
    if accepted is None:
        results.send_running(resp, outcome.request)
    elif outcome.result and outcome.delivery:
        results.send_delivery(resp, outcome.request, outcome.delivery)
    else:
        try:
            await results.send_outcome(req, resp, outcome, accepted, site.reading)
        except Overloaded:  # it is done, and its result can be fetched later
            results.send_running(resp, outcome.request)


async def _with_body(site: Site, question: SubmitJob, req: Request) -> SubmitJob:
    """Return a question with the content of the body; large arguments are on disk."""
    added = {"requester_ip": headers.requester_ip(req, site.settings.forwarded_header)}
    caller = req.get_header("traceparent") or ""
    if traceparent.read(caller) is not None:  # anything else is ignored, as W3C wants it
        added["traceparent"] = caller
    read = functools.partial(_read, question, added)
    asked = await bodies.document(req, site.settings, read, tagged=True)
    return await _kept(site, asked, req)


async def _kept(site: Site, asked: _Asked, req: Request) -> SubmitJob:
    """Return a question whose arguments are on disk if they are large."""
    inputs, (question, item, outline) = site.inputs, asked
    if inputs is None or len(item) <= inputs.inline_bytes:
        bodies.let_go(req, len(item))
        if isinstance(item, bytes):
            return question
        return msgspec.structs.replace(question, arguments=bytes(item))
    names = question.workflow, question.request_id
    keep = functools.partial(inputs.keep, *names, item, outline, may_sync_later=True)
    kept = await asyncio.to_thread(keep)
    bodies.let_go(req, 0)
    return msgspec.structs.replace(question, arguments=kept)


def _read(question: SubmitJob, added: dict[str, Any], document: dict[str, Any]) -> _Asked:
    """Return a question with the content of a body, and its packed arguments.

    Args:
        question: What is asked so far.
        added: What JobX adds to the context.
        document: The body.
    """
    body = _converted(document)
    context = _shown_as_json(body.context)
    item = root_input.packed(body.arguments)
    is_keyed = question.idempotency_key is not None
    question = msgspec.structs.replace(
        question,
        arguments=item if isinstance(item, bytes) else b"",
        context={**context, **added},
        fingerprint=_fingerprint(item, context, body.result_writer) if is_keyed else "",
        time_limit_s=body.time_limit_s,
        result_writer=body.result_writer,
    )
    is_large = len(item) > _LARGE_BYTES
    return _Asked(question, item, root_input.outline(body.arguments) if is_large else b"")


def _name_what_may_exist(req: Request, resp: Response, workflow: str, request_id: str) -> None:
    setattr(req.context, REQUEST_ID, request_id)
    resp.set_header("X-MR-REQUEST-ID", request_id)
    resp.set_header("Location", f"/request/{workflow}/{request_id}")


def _converted(document: dict[str, Any]) -> JobBody:
    try:
        return msgspec.convert(document, JobBody)
    except msgspec.ValidationError as error:
        members = f"the members {', '.join(document)}"
        raise InvalidInput("body", members[:80], str(error)) from error


def _shown_as_json(context: dict[str, Any]) -> dict[str, Any]:
    """Return a context in JSON's types, because every view of its request shows it."""
    if not context:
        return {}
    packed_bytes = len(values.pack(context))
    if packed_bytes > 4 * MAX_CONTEXT_BYTES:  # so it is as JSON, too
        raise _context_too_large(packed_bytes)
    shown = {name: values.to_jsonable(value) for name, value in context.items()}
    try:
        size = len(msgspec.json.encode(shown))
    except ValueError as error:  # an integer of thousands of digits
        raise InvalidInput("body.context", "a map", str(error)) from error
    if size > MAX_CONTEXT_BYTES:
        raise _context_too_large(size)
    return shown


def _context_too_large(size: int) -> TooLarge:
    limit = f"may have at most {MAX_CONTEXT_BYTES} bytes"
    return TooLarge("body.context", f"{size} bytes", limit)


def _fingerprint(item: bytes | Packed, context: Value, writer: str | None) -> str:
    """Return the digest of a call: of the packed list of arguments, context and writer."""
    others = [context, writer] if writer else [context]
    head = bytes([_SHORT_ARRAY + 1 + len(others)])
    digest = hashlib.sha256(head)
    for piece in [item] if isinstance(item, bytes) else item:
        digest.update(piece)
    digest.update(b"".join(map(values.pack, others)))
    return digest.hexdigest()
