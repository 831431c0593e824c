"""The base of result writers, and what they get.

For your own writer, subclass ``Writer`` and name it in ``results.writers``; see docs/writers.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from string import Template
from typing import Any, ClassVar, Final, Generic, TypeVar

import msgspec

from jobx import values
from jobx.actors.egress.http_client import Outbound
from jobx.config import Settings
from jobx.errors import InvalidInput
from jobx.handlers.blobs.shared import Folder
from jobx.handlers.pairs import run_merger
from jobx.payload import Payload
from jobx.values import Key, Pair, Value

#: Approximate size of the pieces of a document.
PIECE_BYTES: Final = 64 << 10


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the options of a writer; a job sets them in ``result_options``."""


O = TypeVar("O", bound=Options)  # noqa: E741 - options


@dataclass(frozen=True, slots=True)
class WriterSite:
    """What a writer may use of its node."""

    settings: Settings
    outbound: Outbound
    now_at: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a request."""

    workflow: str
    job: str
    request_id: str


@dataclass(frozen=True, slots=True)
class Result:
    """A durable result to be written; it can be read as often as needed.

    Attributes:
        names: Its request.
        delivery_id: The same in every try to write this result.
        count: How many pairs it has.
    """

    names: Names
    delivery_id: str
    count: int
    payloads: tuple[Payload, ...]
    blob_dir: Folder

    def pairs(self) -> Iterator[Pair]:
        """Yield the pairs in key order; they are read on demand.

        Raises:
            BlobDamaged: The result cannot be read.
        """
        return run_merger.pairs(self.payloads, self.blob_dir)

    def document(self) -> Iterator[bytes]:
        """Yield the JSON document of ``GET /request/…/result`` in pieces."""
        lines = (json_item(key, value) for key, value in self.pairs())
        yield from pieces(b'{"result":{"pairs":[', lines, b",", b"]}}")

    def lines(self) -> Iterator[bytes]:
        """Yield the pairs as JSON, ``[key, value]`` a line, in pieces."""
        yield from pieces(b"", (json_item(*pair) + b"\n" for pair in self.pairs()), b"", b"")


class Writer(Generic[O]):
    """Takes results somewhere. Methods block and run in threads, several at a time.

    A result may be written more than once (a node is killed between writing and recording it). So a
    repeat must change nothing, or show ``Result.delivery_id`` to the receiver.

    Attributes:
        name: Its name in jobs and settings.
        options: The class of its options.
    """

    name: ClassVar[str]
    options: ClassVar[type[Any]] = Options

    def __init__(self, site: WriterSite) -> None:
        self.site = site

    def defaults(self) -> Mapping[str, Any]:
        """Return the deployment's options; those of a job replace them."""
        return {}

    def check(self, options: O) -> None:
        """Refuse options that cannot work; called before a request is accepted.

        Raises:
            InvalidInput: An option is wrong or missing.
        """

    def place(self, names: Names, options: O) -> str:
        """Return where a result goes, for people; without secrets."""
        del names, options
        return self.name

    def write(self, result: Result, options: O) -> None:
        """Write a result, all of it or nothing.

        Raises:
            TooLarge: The receiver can never take it; the delivery is given up.
            BlobDamaged: The result cannot be read; the delivery is given up.
            Exception: It failed; it is tried again, as often as ``results.attempts`` says.
        """
        raise NotImplementedError


def json_item(key: Key, value: Value) -> bytes:
    """Return a pair as JSON; what JSON lacks is tagged, see ``values.to_jsonable``."""
    return msgspec.json.encode([values.to_jsonable(key), values.to_jsonable(value)])


def fill(where: str, template: str, **words: object) -> str:
    """Return a template with ``$name`` replaced.

    Raises:
        InvalidInput: It has an unknown name.
    """
    try:
        return Template(template).substitute(words)
    except (KeyError, ValueError) as error:
        known = ", ".join(f"${word}" for word in words)
        raise InvalidInput(where, repr(template)[:80], f"may hold {known} and $$") from error


def pieces(head: bytes, items: Iterator[bytes], between: bytes, foot: bytes) -> Iterator[bytes]:
    """Yield items with what is before, between and after them, in pieces of some PIECE_BYTES."""
    piece = bytearray(head)
    for number, item in enumerate(items):
        if number:
            piece += between
        piece += item
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    piece += foot
    yield bytes(piece)
