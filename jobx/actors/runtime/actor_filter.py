"""Which actors are asked for, and where in their order."""

from __future__ import annotations

import re
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from jobx.actors.runtime.cell import Cell, Endpoint
from jobx.errors import InvalidInput, NotFound, quote

_CURSOR: Final = re.compile("([0-9a-f]{1,16})-([0-9a-f]{8})")
_ADDRESS: Final = re.compile("([^/]+)/([0-9]{1,20})/(?:([0-9]{1,20})|(.+))", re.DOTALL)
_NO_ADDRESS: Final = "is no address of an actor: jobx actors list shows them"


@dataclass(frozen=True, slots=True)
class ActorFilter:
    """Lets through the actors that all of its parts fit; None fits all.

    Attributes:
        class_name: The name of their class.
        name: Text in their name.
        state: Their state; see ``ActorRecord``.
        below: One of their ancestors.
    """

    class_name: str | None = None
    name: str | None = None
    state: str | None = None
    below: Cell | None = None

    def fits(self, cell: Cell) -> bool:
        """Whether an actor is let through; endpoints and actors that are gone are not."""
        return bool(self.among((cell,)))

    def among(self, cells: Iterable[Cell]) -> list[Cell]:
        """Return those that are let through."""
        left = [cell for cell in cells if cell.actor is not None]
        left = [cell for cell in left if cell.actor.__class__ is not Endpoint]
        if (class_name := self.class_name) is not None:
            left = [cell for cell in left if cell.account.class_name == class_name]
        if (state := self.state) is not None:
            left = [cell for cell in left if cell.state == state]
        if (below := self.below) is not None:
            left = [cell for cell in left if _is_below(cell, below)]
        if (name := self.name) is not None:
            left = [cell for cell in _may_be_named(left, name) if name in cell.name]
        return left

    def cursor(self, life: tuple[str, int], cell: Cell) -> str:
        """Return what the list of this filter goes on behind, for a life of a node."""
        return f"{cell.number:x}-{self._mark(life)}"

    def start(self, life: tuple[str, int], cells: Sequence[Cell], after: str | None) -> int:
        """Return the index in a list of cells where a page begins.

        Raises:
            InvalidInput: The cursor is none, or belongs to another list.
        """
        if after is None:
            return 0
        shape = _CURSOR.fullmatch(after)
        if shape is None:
            reason = "is no cursor: give `next` of the page before"
            raise InvalidInput("after", quote(after), reason)
        if shape[2] != self._mark(life):
            reason = "is the cursor of another list: of another filter, node or life of the node"
            raise InvalidInput("after", quote(after), reason)
        return bisect_right(cells, int(shape[1], 16), key=attrgetter("number"))

    def _mark(self, life: tuple[str, int]) -> str:
        below = self.below and str(self.below.address)
        told = repr((life, self.class_name, self.name, self.state, below))
        return f"{zlib.crc32(told.encode()):08x}"


def parents_of(cell: Cell) -> list[Cell]:
    """Return the ancestors of an actor, its parent first."""
    found: list[Cell] = []
    while cell.parent is not None:
        cell = cell.parent
        found.append(cell)
    return found


def details_of(address: str, field: str = "address") -> tuple[str, int, int | str]:
    """Return the details of an address that was written as text.

    Args:
        address: The address.
        field: What says it.

    Raises:
        InvalidInput: It is none.
    """
    shape = _ADDRESS.fullmatch(address)
    if shape is None:
        raise InvalidInput(field, quote(address), _NO_ADDRESS)
    node_id, life, number, text = shape.groups()
    return node_id, int(life), int(number) if number else text


def found(cell: Cell | None, address: str) -> Cell:
    """Return the cell of an actor; raises NotFound if it is gone."""
    if cell is None or cell.is_endpoint:
        raise NotFound("actor", address)
    return cell


def _may_be_named(cells: Iterable[Cell], name: str) -> list[Cell]:
    """Return actors without those that surely lack a text in their name, which are most."""
    found = []
    for cell in cells:
        try:
            told = cell.actor.describe()
            if name in told or not told.isascii():
                found.append(cell)
        except Exception:  # noqa: BLE001 - its name says what is shown of it
            found.append(cell)
    return found


def _is_below(cell: Cell, top: Cell) -> bool:
    parent = cell.parent
    while parent is not None:
        if parent is top:
            return True
        parent = parent.parent
    return False
