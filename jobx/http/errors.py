"""Errors as problem documents (RFC 9457): their record, and Falcon's error handlers.

The status of a class of error stands in ``jobx/meanings.py``; that of a failed request is here.
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Final

import falcon
import falcon.asgi
import msgspec

from jobx import errors
from jobx.errors import JobxError, Unavailable
from jobx.meanings import meaning_of
from jobx.model import Failure
from jobx.views import RequestView

MEDIA_PROBLEM: Final = "application/problem+json"
#: Name under which a resource leaves the id of a request that may exist, in its context.
REQUEST_ID: Final = "request_id"
#: Longest header value with author text.
MAX_HEADER_CHARS: Final = 500

#: Code of a problem that Falcon finds, by status.
_FALCON_CODES: Final = {404: "no-route", 405: "method-not-allowed", 406: "not-acceptable"}
_FALCON_TITLES: Final = {406: "The client accepts none of the media types"}
#: Status of a failed request, by the kind of its failure; 500 for the others.
_FAILURE_STATUS: Final = {"timeout": 504, "capability": 503}
#: Characters that a header value may not have: control characters, including C1.
_CONTROLS: Final = dict.fromkeys([*range(32), *range(127, 160)], " ")

log = logging.getLogger(__name__)


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A problem document. The fields after ``again`` belong to a failed request."""

    type: str
    title: str
    status: int
    detail: str
    #: Stable slug of the error.
    code: str
    #: Id of the error in the log, for a fault of JobX itself.
    error_id: str | None = None
    #: What happened before the error: ``nothing``, ``maybe`` or ``done``.
    happened: str | None = None
    #: Who caused it: ``caller``, ``author``, ``operator``, ``environment`` or ``ours``.
    fault: str | None = None
    #: What must come before another try: ``later`` (time), ``look`` (at what happened), ``changed``
    #: (a different call), ``mended`` (the system), or ``never``.
    again: str | None = None
    request_id: str | None = None
    invocation_id: str | None = None
    #: ``author``, ``pair``, ``protocol``, ``timeout``, ``memory``, ``crash``, ``lost``, …
    kind: str | None = None
    exception_type: str | None = None
    #: The author's own lines only.
    traceback: str | None = None
    step_name: str | None = None
    handler_name: str | None = None
    attempt: int | None = None
    #: The input of the failed invocation, shortened.
    input: str | None = None
    #: Index of the yielded pair that did not fit.
    pair: int | None = None


def status_of(kind: type[JobxError]) -> tuple[int, str]:
    """Return the status and the title of an error class."""
    meaning = meaning_of(kind)
    return meaning.status, meaning.title


def send_problem(
    resp: falcon.asgi.Response, status: int, title: str, detail: str, code: str, **more: Any
) -> None:
    """Make ``resp`` a problem document; ``more`` are further fields of ``Problem``."""
    resp.status = status
    resp.content_type = MEDIA_PROBLEM
    resp.stream = None
    resp.data = problem_document(status, title, detail, code, **more)


def problem_document(status: int, title: str, detail: str, code: str, **more: Any) -> bytes:
    """Return a problem document; ``more`` are further fields of ``Problem``."""
    problem = Problem(
        type=f"urn:jobx:problem:{code}",
        title=title,
        status=status,
        detail=detail,
        code=code,
        **more,
    )
    return msgspec.json.encode(problem)


async def answer(send: Callable[[dict[str, Any]], Awaitable[None]], error: JobxError) -> None:
    """Answer an ASGI request with the problem document of an error."""
    await refuse(send, *status_of(type(error)), str(error), error.code)


async def refuse(
    send: Callable[[dict[str, Any]], Awaitable[None]],
    status: int,
    title: str,
    detail: str,
    code: str,
) -> None:
    """Answer an ASGI request with a problem document."""
    body = problem_document(status, title, detail, code)
    headers = [(b"content-type", MEDIA_PROBLEM.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def send_failure(resp: falcon.asgi.Response, request: RequestView) -> None:
    """Make ``resp`` the problem document of a failed or cancelled request."""
    failure = request.failure or Failure(kind="internal", type="Unknown", message="no reason")
    if request.state == "cancelled":
        status, title, code = 409, "The request was cancelled", "cancelled"
    else:
        status, title, code = _FAILURE_STATUS.get(failure.kind, 500), "The request failed", "failed"
    resp.set_header("X-MR-EXCEPTION-TYPE", header_text(failure.type))
    resp.set_header("X-MR-EXCEPTION-MESSAGE", header_text(failure.message))
    send_problem(
        resp,
        status,
        title,
        f"{failure.type}: {failure.message}",
        f"request-{code}",
        request_id=request.request_id,
        invocation_id=failure.invocation_id,
        kind=failure.kind,
        exception_type=failure.type,
        traceback=failure.traceback or None,
        step_name=failure.step_name,
        handler_name=failure.handler_name,
        attempt=failure.attempt,
        input=failure.input,
        pair=failure.pair,
    )


def set_retry(resp: falcon.asgi.Response, error: JobxError) -> None:
    """Say when to try again, if nothing has happened and time alone may help."""
    if isinstance(error, Unavailable):
        resp.set_header("Retry-After", str(max(1, math.ceil(error.retry_after_s))))


def header_text(text: str) -> str:
    """Return ``text`` as a header value: one bounded line of Latin-1."""
    line = text[:MAX_HEADER_CHARS].translate(_CONTROLS)
    return line.encode("latin-1", "replace").decode("latin-1").strip()


def install(app: falcon.asgi.App[Any, Any]) -> None:
    """Make ``app`` answer every error with a problem document."""
    app.add_error_handler(Exception, _on_fault)
    app.add_error_handler(falcon.HTTPError, _on_http_error)
    app.add_error_handler(JobxError, _on_error)


async def _on_error(
    req: falcon.asgi.Request, resp: falcon.asgi.Response, error: Any, _params: dict[str, Any]
) -> None:
    meaning = meaning_of(type(error))
    set_retry(resp, error)
    if isinstance(error, errors.UnsupportedMedia):
        resp.set_header("Accept-Encoding", "gzip")
    send_problem(
        resp,
        meaning.status,
        meaning.title,
        str(error),
        error.code,
        happened=meaning.happened,
        fault=meaning.fault,
        again=meaning.again,
        request_id=getattr(req.context, REQUEST_ID, None),
    )


async def _on_http_error(
    _req: falcon.asgi.Request, resp: falcon.asgi.Response, error: Any, _params: dict[str, Any]
) -> None:
    for name, value in dict(error.headers or {}).items():
        resp.set_header(name, value)
    status = error.status_code
    code = _FALCON_CODES.get(status, errors.InvalidInput.code)
    title = _FALCON_TITLES.get(status, error.title)
    send_problem(resp, status, title, error.description or error.title, code)


async def _on_fault(
    req: falcon.asgi.Request, resp: falcon.asgi.Response, error: Any, _params: dict[str, Any]
) -> None:
    error_id = uuid.uuid4().hex
    log.error("error %s in %s %r", error_id, req.method, req.path, exc_info=error)
    detail = f"a fault of JobX itself; its log names it as {error_id}"
    send_problem(resp, *status_of(JobxError), detail, errors.InternalError.code, error_id=error_id)
