"""How questions and their answers travel.

Frames (``jobx/frames.py``) hold lists, many calls at once on one connection::

    client  [0, ["hello", protocol, …]]
    node    [0, views.Greeting]
    client  [n, [verb, field, …]]       n > 0, chosen by the client
    node    [n, view]  or  [n, nil, JobxError.to_wire()]
"""

from __future__ import annotations

import functools
import operator
import re
import typing
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from jobx import values, views
from jobx.errors import UNREADABLE, FrameError, InvalidInput, JobxError, from_wire, quote
from jobx.frames import encode
from jobx.questions import actors, entities, inspection, nodes, requests
from jobx.questions.base import A, Question
from jobx.questions.requests import AwaitRequest, SubmitJob

#: What may be asked again when the node was lost: it waits.
Attended: TypeAlias = SubmitJob | AwaitRequest
#: Every question by its verb: what these modules have that has one.
QUESTIONS: Final[dict[str, type[Question[Any]]]] = {
    str(kind.__struct_config__.tag): kind
    for subject in (actors, entities, inspection, nodes, requests)
    for kind in vars(subject).values()
    if isinstance(kind, type) and issubclass(kind, Question) and kind.__struct_config__.tag
}


def wait_of(question: Question[Any]) -> float:
    """Return how many seconds the answer to a question may be waited for, because it asks so."""
    wait_s: float = getattr(question, "wait_s", 0.0)
    return wait_s


def answer_type(kind: type[Question[A]]) -> type[A]:
    """Return the type of view that answers a kind of question."""
    (base,) = kind.__orig_bases__  # type: ignore[attr-defined]  # what ``Generic`` leaves
    found: type[A] = typing.get_args(base)[0]
    return found


class _Reply(Struct, array_like=True):
    """A frame of the node. What it answers is read by who asked."""

    id: int
    ok: msgspec.Raw = msgspec.Raw()
    error: dict[str, Any] | None = None


class _Verb(Struct, array_like=True):
    verb: str = ""


class _Beginning(Struct, array_like=True):
    """What a call is, when all else of it is left out."""

    id: int
    question: _Verb


_CALL: Final = msgspec.msgpack.Decoder(
    tuple[int, functools.reduce(operator.or_, QUESTIONS.values())],  # type: ignore[misc]  # computed
    ext_hook=values.ext_hook,
)
_REPLY: Final = msgspec.msgpack.Decoder(_Reply, ext_hook=values.ext_hook)
_BEGINNING: Final = msgspec.msgpack.Decoder(_Beginning)
_ANSWERS: Final = {
    kind: msgspec.msgpack.Decoder(answer_type(kind), ext_hook=values.ext_hook)
    for kind in QUESTIONS.values()
}
#: Where msgspec says that a field of a question is wrong.
_PLACE: Final = re.compile(r" - at `\$\[1\]\[(\d+)\](.*)`$")


def encode_call(number: int, question: Question[Any]) -> bytes:
    """Return a question as a frame; raises FrameError when it cannot be sent."""
    return encode((number, question))


def encode_answer(number: int, view: views.View | msgspec.Raw) -> bytes:
    """Return the answer to a call, packed or not, as a frame.

    Raises:
        FrameError: It cannot be sent.
    """
    return encode((number, view))


def encode_error(number: int, error: JobxError) -> bytes:
    """Return the error of a call as a frame; raises FrameError when it cannot be sent."""
    return encode((number, None, error.to_wire()))


def decode_call(body: bytes | bytearray) -> tuple[int, Question[Any]]:
    """Return the number and the question of a frame's body.

    Raises:
        InvalidInput: It is no question that is known here, or lacks something.
    """
    try:
        return _CALL.decode(body)  # type: ignore[no-any-return]  # a union made at run time
    except UNREADABLE as error:
        raise _refusal(body, error) from error


def decode_reply(body: bytes | bytearray) -> tuple[int, msgspec.Raw | JobxError]:
    """Return the number of a frame's body, and the packed answer or the error in it.

    Raises:
        FrameError: It is no answer.
    """
    try:
        reply = _REPLY.decode(body)
    except UNREADABLE as error:
        raise FrameError(f"the node's answer cannot be read: {error}") from error
    failed = reply.error is not None or not reply.ok
    return reply.id, from_wire(reply.error or {}) if failed else reply.ok


def decode_answer(question: Question[A], answer: msgspec.Raw) -> A:
    """Return the view that answers a question.

    Raises:
        FrameError: It is none.
    """
    try:
        return _ANSWERS[type(question)].decode(answer)  # type: ignore[no-any-return]  # by its kind
    except UNREADABLE as error:
        raise FrameError(f"the node's answer to {question.verb} is none: {error}") from error


def as_view(question: Question[A], answer: views.View | msgspec.Raw) -> A:
    """Return an answer that may still be packed as the view that it is; as ``decode_answer``."""
    if isinstance(answer, msgspec.Raw):
        return decode_answer(question, answer)
    return answer  # type: ignore[return-value]  # by its kind


def number_of(body: bytes | bytearray) -> int | None:
    """Return the number with which a frame's body begins, None when it cannot be seen.

    The rest is not decoded, so it may be told whose a frame is that cannot be.
    """
    first = values.first_items(body[:16], 1)
    return first[0] if first and type(first[0]) is int else None


def _refusal(body: bytes | bytearray, error: Exception) -> InvalidInput:
    """Return what is wrong with a call, by the names of verb and field."""
    size = f"{len(body)} bytes"
    try:
        verb = _BEGINNING.decode(body).question.verb
    except UNREADABLE:
        return InvalidInput("call", size, str(error))
    kind = QUESTIONS.get(verb)
    if kind is None:
        return InvalidInput("verb", quote(verb), "is not known here")
    fields, reason, place = kind.__struct_fields__, str(error), _PLACE.search(str(error))
    if reason.startswith("Expected `array` of at "):
        return InvalidInput(verb, size, f"takes {', '.join(fields)}")
    if place is None:
        return InvalidInput(verb, size, reason)
    field = fields[int(place[1]) - 1]
    return InvalidInput(f"{verb}: {field}{place[2]}", size, reason[: place.start()])
