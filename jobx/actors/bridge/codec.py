"""What travels between nodes, as bytes: births, mail and ends of actors, and notes of the nodes.

Mail is one of the messages in ``_KINDS``, each with a tag; nothing else can leave the node.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, NamedTuple, TypeAlias

import msgspec
from msgspec import Raw, Struct
from thespian.actors import ActorAddress, ActorExitRequest, ChildActorExited

from jobx.actors.messages import (
    Discard,
    Lost,
    Pull,
    Ran,
    Run,
    SuspendedLost,
    TakenBack,
)
from jobx.actors.runtime.address import Address
from jobx.actors.runtime.failure import ChildFailed, ChildLost
from jobx.errors import UNREADABLE, FrameError, InternalError

#: Node id, incarnation, local id.
Wire: TypeAlias = tuple[str, int, int | str]


class Spawn(Struct, frozen=True, array_like=True, tag="spawn"):
    """Create an actor of a kind for ``parent``; ``arguments`` are messages."""

    child: Wire
    parent: Wire
    kind: str
    arguments: list[Raw]


class Mail(Struct, frozen=True, array_like=True, tag="mail"):
    """A message between a parent and its child."""

    target: Wire
    sender: Wire
    message: Raw


class Exit(Struct, frozen=True, array_like=True, tag="exit"):
    """A child is to exit, with its children if ``is_recursive``."""

    child: Wire
    is_recursive: bool


class Exited(Struct, frozen=True, array_like=True, tag="exited"):
    """A child is gone. ``failure``: class and text of the exception that ended it, traceback."""

    child: Wire
    failure: tuple[str, str, str] | None


class Wants(Struct, frozen=True, array_like=True, tag="wants"):
    """Whether the sender has more work than executors."""

    is_wanted: bool


class Offer(Struct, frozen=True, array_like=True, tag="offer"):
    """How many executors of the sender the receiver may use, until it hears otherwise."""

    count: int


class Ask(Struct, frozen=True, array_like=True, tag="ask"):
    """A question to the node, as ``questions.encode_call`` writes it, without its head."""

    body: bytes


class Answer(Struct, frozen=True, array_like=True, tag="answer"):
    """The answer to a question, with the question's number, or an error."""

    body: bytes


#: What nodes tell each other, as opposed to their actors.
Note: TypeAlias = Wants | Offer | Ask | Answer
Item: TypeAlias = Spawn | Mail | Exit | Exited | Note


class Unknown(NamedTuple):
    """An item of a later version of JobX, which can be ignored, since versions work together."""

    tag: str


_ENCODER: Final = msgspec.msgpack.Encoder()
_ITEMS: Final = msgspec.msgpack.Decoder(Spawn | Mail | Exit | Exited | Wants | Offer | Ask | Answer)
_TAGS: Final = {
    str(one.__struct_config__.tag) for one in (Spawn, Mail, Exit, Exited, Wants, Offer, Ask, Answer)
}
_FIELDS: Final = msgspec.msgpack.Decoder(list[Raw])
_TAG: Final = msgspec.msgpack.Decoder(Annotated[str, msgspec.Meta(max_length=64)])
#: Messages that may leave the node.
_KINDS: Final = (Run, Pull, Discard, Ran, TakenBack, Lost, SuspendedLost)
_MESSAGES: Final = msgspec.msgpack.Decoder(
    Run | Pull | Discard | Ran | TakenBack | Lost | SuspendedLost
)


def spawn(
    child: ActorAddress, parent: ActorAddress, kind: str, arguments: tuple[Any, ...]
) -> bytes:
    """Return the birth of a child as bytes; raises InternalError as ``mail`` does."""
    messages = [_pack(argument) for argument in arguments]
    return _ENCODER.encode(Spawn(child.addressDetails, parent.addressDetails, kind, messages))


def mail(target: ActorAddress, message: Any, sender: ActorAddress) -> bytes:
    """Return mail, an exit request or the notice of an exit as bytes.

    Raises:
        InternalError: The message is none that may leave the node.
    """
    item: Item
    if isinstance(message, ActorExitRequest):
        item = Exit(target.addressDetails, bool(message.isRecursive))
    elif isinstance(message, ChildActorExited):
        failure = None
        if isinstance(message, ChildFailed):
            failure = (message.error_type, message.reason, message.details)
        item = Exited(message.childAddress.addressDetails, failure)
    else:
        item = Mail(target.addressDetails, sender.addressDetails, _pack(message))
    return _ENCODER.encode(item)


def note(item: Note) -> bytes:
    """Return what a node tells another one as bytes."""
    return _ENCODER.encode(item)


def read_item(body: bytes) -> Item | Unknown:
    """Return the item of its bytes; messages in it are not looked at.

    Further fields at the end of an item are ignored.

    Raises:
        FrameError: It is none.
    """
    try:
        item: Item = _ITEMS.decode(body)
    except UNREADABLE as error:
        tag = _tag_of(body)
        if tag and tag not in _TAGS:
            return Unknown(tag)
        raise FrameError(f"an item of another node: {error}") from error
    return item


def _tag_of(body: bytes) -> str:
    """Return the tag of an item of any version; empty if it has none."""
    try:
        fields = _FIELDS.decode(body)
        tag: str = _TAG.decode(fields[0])
    except (*UNREADABLE, IndexError):
        return ""
    return tag


def read_message(body: Raw) -> Any:
    """Return a message of its bytes.

    Raises:
        FrameError: It is none that this version of JobX knows.
    """
    try:
        return _MESSAGES.decode(body)
    except UNREADABLE as error:
        raise FrameError(f"a message of another node: {error}") from error


def notice(exited: Exited) -> ChildActorExited:
    """Return what a parent is told of an exit."""
    child = Address(*exited.child)
    if exited.failure is None:
        return ChildActorExited(child)
    is_unread = exited.failure[0] == FrameError.__name__
    return (ChildLost if is_unread else ChildFailed)(child, *exited.failure)


def _pack(message: Any) -> Raw:
    if not isinstance(message, _KINDS):
        raise InternalError(f"a {type(message).__name__} cannot be sent to another node")
    if isinstance(message, Run):
        message = msgspec.structs.replace(message, requires=())
    return Raw(_ENCODER.encode(message))
