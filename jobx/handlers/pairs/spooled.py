"""Too many values for memory: kept in a file, and read like a list."""

from __future__ import annotations

import os
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, MutableSequence
from contextlib import suppress
from functools import total_ordering
from itertools import chain, islice
from typing import Any, Final, overload

from jobx import values
from jobx.handlers.blobs.blob_file import refuse
from jobx.handlers.pairs.run_writer import BUFFER_BYTES, ITEM_VALUES, SMALL
from jobx.listed import Listed
from jobx.values import Value

#: Values are read in blocks, which end at this many bytes or at ``ITEM_VALUES`` values.
_BLOCK_BYTES: Final = 1 << 16
_READ_BYTES: Final = 1 << 16
_WHERE: Final = "the folder for temporary files"
_MISSING: Final = object()


@total_ordering
class SpooledValues(Listed, MutableSequence[Value]):
    """The values of a hot key, in an unnamed file: a list outside of memory.

    Reads work on the file: an index reads one block, an iteration reads the file once. Changes of
    the list (``sort``, ``append``, an assignment) load all of it into memory first; so do ``+``,
    ``*`` and ``copy``, which return a list.
    """

    __slots__ = ("_block", "_file", "_firsts", "_held", "_length", "_offsets", "_pack")
    __hash__ = None  # type: ignore[assignment]  # as a list has none

    def __init__(self) -> None:
        self._pack = values.packer()
        self._length = 0
        #: The start of each block: the number of its first value, and its offset in the file.
        self._firsts: list[int] = []
        self._offsets: list[int] = [0]
        #: The block that was read last, and the number of its first value.
        self._block: tuple[int, list[Value]] = (0, [])
        self._held: list[Value] | None = None
        try:
            self._file = tempfile.TemporaryFile(buffering=BUFFER_BYTES)  # noqa: SIM115 - lives on
        except OSError as error:
            refuse(_WHERE, error)

    def __del__(self) -> None:
        with suppress(AttributeError, OSError):  # it may never have been made
            self._file.close()

    def extend(self, more: Iterable[Value]) -> None:
        """Append values.

        Raises:
            StoreFull: No room is left.
        """
        if self._held is not None:
            self._held.extend(more)
            return
        rest = iter(more)
        try:
            while listed := list(islice(rest, ITEM_VALUES)):
                self._append(listed)
            self._file.flush()
        except OSError as error:
            refuse(_WHERE, error)

    def _append(self, listed: list[Value]) -> None:
        if SMALL.issuperset(map(type, listed)):
            self._write(self._pack(listed), len(listed))
            return
        body, count = bytearray(), 0
        for value in listed:
            body += self._pack((value,))
            count += 1
            if len(body) >= _BLOCK_BYTES:
                self._write(body, count)
                body, count = bytearray(), 0
        if count:
            self._write(body, count)

    def _write(self, body: bytes | bytearray, count: int) -> None:
        self._file.write(body)
        self._firsts.append(self._length)
        self._length += count
        self._offsets.append(self._offsets[-1] + len(body))

    def __len__(self) -> int:
        return self._length if self._held is None else len(self._held)

    def __iter__(self) -> Iterator[Value]:
        if self._held is not None:
            return iter(self._held)
        return chain.from_iterable(self._read(0, self._offsets[-1]))

    def __reversed__(self) -> Iterator[Value]:
        return map(self.__getitem__, range(len(self) - 1, -1, -1))

    @overload
    def __getitem__(self, index: int) -> Value: ...
    @overload
    def __getitem__(self, index: slice) -> list[Value]: ...
    def __getitem__(self, index: int | slice) -> Value:
        """Return one value, or a list of them."""
        if self._held is not None:
            return self._held[index]
        if isinstance(index, slice):
            return list(map(self._at, range(self._length)[index]))
        try:
            return self._at(range(self._length)[index])
        except IndexError:
            raise IndexError("list index out of range") from None

    def _at(self, number: int) -> Value:
        first, block = self._block
        if not first <= number < first + len(block):
            place = bisect_right(self._firsts, number) - 1
            first = self._firsts[place]
            parts = self._read(self._offsets[place], self._offsets[place + 1])
            block = list(chain.from_iterable(parts))
            self._block = (first, block)
        return block[number - first]

    def _read(self, start: int, stop: int) -> Iterator[list[Value]]:
        unpacker = values.unpacker()
        while start < stop:
            chunk = os.pread(self._file.fileno(), min(_READ_BYTES, stop - start), start)
            if not chunk:
                refuse(_WHERE, OSError(0, "the file of values was cut short"))
            start += len(chunk)
            unpacker.feed(chunk)
            yield from unpacker

    def index(self, value: Value, start: int = 0, stop: int | None = None) -> int:
        """Return the first position of a value, as a list does."""
        first, last, _ = slice(start, stop).indices(len(self))
        for number, found in enumerate(islice(self, first, max(first, last)), first):
            if found is value or found == value:
                return number
        raise ValueError(f"{value!r} is not in list")

    def copy(self) -> list[Value]:
        """Return all values as a list."""
        return list(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | SpooledValues):
            return NotImplemented
        return len(self) == len(other) and all(
            mine is theirs or mine == theirs for mine, theirs in zip(self, other, strict=True)
        )

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, list | SpooledValues):
            return NotImplemented
        for mine, theirs in zip(self, other, strict=False):
            if not (mine is theirs or mine == theirs):
                return bool(mine < theirs)
        return len(self) < len(other)

    def __add__(self, other: object) -> list[Value]:
        if not isinstance(other, list | SpooledValues):
            return NotImplemented
        return [*self, *other]

    def __radd__(self, other: object) -> list[Value]:
        return [*other, *self] if isinstance(other, list) else NotImplemented

    def __mul__(self, times: Any) -> list[Value]:
        repeated: list[Value] = self.copy() * times
        return repeated

    __rmul__ = __mul__

    def __repr__(self) -> str:
        return repr(self.copy())

    def _loaded(self) -> list[Value]:
        if self._held is None:
            self._held = list(self)
            self._block = (0, [])
        return self._held

    def __setitem__(self, index: Any, value: Any) -> None:
        self._loaded()[index] = value

    def __delitem__(self, index: Any) -> None:
        del self._loaded()[index]

    def __imul__(self, times: Any) -> SpooledValues:
        self._held = self._loaded() * times
        return self

    def insert(self, index: int, value: Value) -> None:
        """Insert a value, as a list does."""
        self._loaded().insert(index, value)

    def append(self, value: Value) -> None:
        """Append one value."""
        self._loaded().append(value)

    def clear(self) -> None:
        """Remove all values."""
        self._loaded().clear()

    def reverse(self) -> None:
        """Reverse the order."""
        self._loaded().reverse()

    def sort(self, **how: Any) -> None:
        """Sort in place, as a list does."""
        self._loaded().sort(**how)
