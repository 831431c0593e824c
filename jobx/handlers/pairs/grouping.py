"""What author code yields: grouped by key, sorted, spilled if it is much."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from jobx.handlers.pairs.held import Held
from jobx.handlers.pairs.merged_groups import Merged
from jobx.handlers.pairs.run_writer import RunWriter
from jobx.payload import Payload
from jobx.values import Key, Value

#: Output that is larger in memory is partitioned, so that it can be reduced in parallel.
SECTIONS_BYTES: Final = 256 << 10


class Groups:
    """Values grouped by key, in their order; groups beyond the limit are written as sorted runs.

    Args:
        writer: Writes the runs.
        spill_bytes: Limit of the estimated memory.

    Attributes:
        runs: The runs written so far.
    """

    __slots__ = ("_held", "_spill_bytes", "_writer", "runs")

    def __init__(self, writer: RunWriter, spill_bytes: int) -> None:
        self._writer = writer
        self._spill_bytes = spill_bytes
        self._held = Held()
        self.runs: list[Payload] = []

    def fill(self, yielded: Iterator[object]) -> None:
        """Take all pairs that author code yields.

        Raises:
            Misuse: Something is not a pair, or has an invalid key or value, or too many keys have
                the same hash.
            StoreFull: There is no room for a run.
        """
        taken, is_more = 0, True
        while is_more:
            count, is_more = self._held.take(yielded, taken)
            taken += count
            if self._held.size_bytes > self._spill_bytes:
                self.spill()

    def absorb(self, other: Groups) -> None:
        """Take over the groups of another; its values come after the present ones."""
        if other.runs:
            self.spill()
            self.runs += other.runs
        if not self._held.absorb(other._held):
            self.spill()
            self._held = other._held
        if self._held.size_bytes > self._spill_bytes:
            self.spill()

    def spill(self) -> None:
        """Write the groups in memory as one run, in sections."""
        self._write(in_sections=True)

    def _write(self, in_sections: bool) -> None:
        if self._held:
            self.runs.append(self._writer.run_of(self._held.in_order(), in_sections))
            self._held = Held()

    def grouped(self, *, in_order: bool) -> Iterable[tuple[Key, Sequence[Value]]]:
        """Return all keys with all their values; can be iterated more than once.

        Args:
            in_order: Keys are sorted; otherwise they may have any order.
        """
        if not self.runs:
            return self._held.in_order().listed() if in_order else self._held
        self.spill()
        return Merged(self.runs, self._writer.folder, self._spill_bytes)

    def packed(self, pack: Callable[[object], bytes]) -> bytes | None:
        """Return all keys with their values, packed, in no order; None if some are in runs.

        See ``Held.packed``.
        """
        return None if self.runs else self._held.packed(pack)

    def payloads(self) -> list[Payload]:
        """Return everything as runs; no groups are left in memory."""
        self._write(in_sections=bool(self.runs) or self._held.size_bytes > SECTIONS_BYTES)
        return self.runs
