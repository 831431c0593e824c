"""Posting a job: the door that everything else is for."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import socket
import time
from typing import Any, Final, NamedTuple

import msgspec
from falcon.asgi import Request, Response

from jobx import values
from jobx.config import HttpSettings
from jobx.errors import InvalidInput, JobxError, Overloaded, TooLarge
from jobx.handlers.pairs import root_input
from jobx.handlers.pairs.root_input import RootInputs
from jobx.http.errors import REQUEST_ID
from jobx.http.node.client import Node
from jobx.http.reading import bodies, headers
from jobx.http.writing import media, results
from jobx.kv.requests.request_entity import new_id
from jobx.meanings import may_have_happened
from jobx.model import Name, Seconds, check_name
from jobx.payload import Payload
from jobx.values import Value

#: Largest context, as JSON.
MAX_CONTEXT_BYTES: Final = 16 << 10

#: Random bytes in the id of a request.
_RANDOM_BYTES: Final = 10
#: msgpack: array of less than sixteen items; its length is added.
_SHORT_ARRAY: Final = 0x90


class _Asked(NamedTuple):
    """What is posted to a job, with its arguments packed."""

    item: bytes
    fields: dict[str, Any]


class JobBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is posted to a job."""

    #: Values by name, as the first mapper's argument spec asks for them.
    arguments: dict[str, Any] = {}
    #: Anything that helps to recognise the request; handlers see it, views show it.
    context: dict[str, Any] = {}
    #: The request fails when it takes longer; at most ``requests.time_limit_s``.
    time_limit_s: Seconds | None = None
    #: What takes the result, where the job lets requests choose.
    result_writer: Name | None = None


class Jobs:
    """``/job/{workflow}/{job}``."""

    def __init__(self, node: Node, settings: HttpSettings, inputs: RootInputs | None) -> None:
        self._node = node
        self._settings = settings
        self._inputs = inputs
        self._host = socket.gethostname()

    async def on_post(self, req: Request, resp: Response, workflow: str, job: str) -> None:
        """Submit a request and answer with its result, its failure, or where to look for it."""
        check_name("workflow", workflow)
        check_name("job", job)
        waiting = headers.waiting(req, self._settings.max_wait_s)
        accepted = media.accepted(req)
        submit = {
            "workflow": workflow,
            "job": job,
            # Ours, so that the submit can be sent again when the node comes back.
            "request_id": new_id(time.time(), os.urandom(_RANDOM_BYTES)),
            "is_blocking": waiting.is_blocking,
        }
        submit |= await self._asked(req, submit)
        try:
            outcome = await self._node.attend("submit", submit, waiting.wait_s)
        except JobxError as error:
            if may_have_happened(error):
                _name_what_may_exist(req, resp, workflow, str(submit["request_id"]))
            raise
        resp.set_header("X-MR-REQUEST-ID", outcome.request.request_id)
        resp.set_header("X-FULFILLED-BY", self._host)
        if waiting.applied:
            resp.set_header("Preference-Applied", waiting.applied)
        if outcome.replayed:
            resp.set_header("Idempotent-Replayed", "true")
        if waiting.is_blocking and outcome.result and outcome.delivery:
            results.send_delivery(resp, outcome.request, outcome.delivery)
        elif waiting.is_blocking:
            try:
                await results.send_outcome(
                    req, resp, outcome, accepted, self._settings.max_inline_pairs
                )
            except Overloaded:  # it is done, and its result can be had later
                results.send_running(resp, outcome.request)
        else:
            results.send_running(resp, outcome.request)

    async def _asked(self, req: Request, submit: dict[str, Any]) -> dict[str, Value]:
        key = headers.idempotency_key(req)
        take = functools.partial(_packed, key)
        asked = await bodies.document(req, self._settings, take, tagged=True)
        requester = headers.requester_ip(req, self._settings.forwarded_header)
        asked.fields["context"] |= {"requester_ip": requester}
        payload = await self._kept(asked.item, submit)
        bodies.let_go(req, len(payload.inline or b""))
        return {**asked.fields, "arguments": payload.to_wire()}

    async def _kept(self, item: bytes, submit: dict[str, Any]) -> Payload:
        """Return packed arguments as the node carries them."""
        if self._inputs is None or len(item) <= self._inputs.inline_bytes:
            return root_input.inline(item)
        workflow, request_id = submit["workflow"], submit["request_id"]
        return await asyncio.to_thread(self._inputs.keep, workflow, request_id, item)


def _packed(key: str | None, document: dict[str, Any]) -> _Asked:
    body = _converted(document)
    context = _shown_as_json(body.context)
    item = root_input.pack(body.arguments)
    fields = {
        "context": context,
        "time_limit_s": body.time_limit_s,
        "result_writer": body.result_writer,
        "idempotency_key": key,
        "fingerprint": _fingerprint(item, context, body.result_writer) if key else "",
    }
    return _Asked(item, fields)


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
    """Return a context as what JSON can hold: it is shown in every view of its request."""
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


def _fingerprint(packed_arguments: bytes, context: Value, writer: str | None) -> str:
    """Return the digest of what is asked for: of a packed list of arguments, context, writer."""
    others = [context, writer] if writer else [context]
    head = bytes([_SHORT_ARRAY + 1 + len(others)])
    return hashlib.sha256(b"".join([head, packed_arguments, *map(values.pack, others)])).hexdigest()
