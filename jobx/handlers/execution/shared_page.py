"""The page of memory that a node shares with an executor, to see and to recall without a message.

While it works, the executor keeps (id, vertex, monotonic start in ns, stage) in it, so that the
node can tell which invocation killed it or exceeds its time limit, and before and after that the id
of the frame that it reads or answers. The node keeps the highest id that it recalled: the executor
starts nothing more of the frames up to it. A running batch gives back the rest, a later batch is
given back whole, and any other frame is answered without segments. The first invocation is not
recalled before it starts. An executor writes the invocation that it starts *before* it checks for a
recall, so after a moment the node knows from the page which invocations will not start, even while
one takes hours. The executor also writes its resident memory to the page, after a frame, but not
after each short one.
"""

from __future__ import annotations

from typing import Any, Final

PAGE_BYTES: Final = 4096
#: The stages of a vertex, in order.
STAGES: Final = ("mapper", "combiner", "reducer")

#: Words of the shared page: the invocation that the executor runs, and since when (monotonic ns,
#: 0: none); the work frame that it has taken up (0: none), and since when it reads or answers it;
#: when it started the first invocation of ``_NUMBER``; the highest id that the node recalled;
#: the executor's resident memory in bytes.
_NUMBER: Final = 0
_VERTEX: Final = 1
_START: Final = 2
_TAKEN: Final = 3
_SINCE: Final = 4
_BEGUN: Final = 5
_STAGE: Final = 6
_RECALLED: Final = 8
_RSS: Final = 16
#: Reads of the page until two agree.
_READS: Final = 10


class SharedPage:
    """The page that a node shares with an executor: words, each written in one piece.

    ``struct`` is no substitute: it clears a word before it writes it.

    Args:
        memory: The memory that both have mapped; closed with the page.
    """

    __slots__ = ("_memory", "_view", "_words")

    def __init__(self, memory: Any) -> None:
        self._memory = memory
        self._view = memoryview(memory)
        self._words = self._view.cast("Q")

    def begin(self, number: int, vertex: int, start_ns: int) -> bool:
        """Note the invocation that the executor starts; then tell whether it had been recalled."""
        words = self._words
        if words[_NUMBER] != number:
            words[_BEGUN] = start_ns
        words[_STAGE] = 0
        words[_VERTEX] = vertex
        words[_NUMBER] = number
        words[_START] = start_ns
        recalled: int = words[_RECALLED]
        return recalled >= number

    def take_up(self, number: int, now_ns: int) -> None:
        """Note the work frame that the executor reads or answers from now on, 0: none."""
        self._words[_SINCE] = now_ns
        self._words[_TAKEN] = number

    def passage(self) -> tuple[int, float]:
        """Return the work frame that was taken up, and since when (monotonic s) it is read."""
        return self._words[_TAKEN], self._words[_SINCE] / 1e9

    def begun_at(self, number: int) -> float:
        """Return when the executor started a work frame (monotonic seconds); 0.0 if it has not."""
        words = self._words
        return words[_BEGUN] / 1e9 if words[_NUMBER] == number else 0.0

    def restart(self, start_ns: int, stage: str = "mapper") -> None:
        """Restart the time of the running invocation, from ``stage`` of its trip on."""
        self._words[_STAGE] = STAGES.index(stage)
        self._words[_START] = start_ns

    def rest(self) -> None:
        """Note that the executor runs no invocation."""
        self._words[_START] = 0

    def at_work(self) -> tuple[int, int, int]:
        """Return number, vertex and start of the running invocation; zeros when none runs.

        For an instant after a start, the vertex may not belong to that work.
        """
        found = self._read()
        for _ in range(_READS):
            before, found = found, self._read()
            if found == before:
                break
        return found if found[2] else (0, 0, 0)

    def _read(self) -> tuple[int, int, int]:
        words = self._words
        return words[_NUMBER], words[_VERTEX], words[_START]

    @property
    def stage(self) -> str:
        """The stage of the mapper's trip that the executor runs, or ran when it died."""
        return STAGES[min(self._words[_STAGE], len(STAGES) - 1)]

    @property
    def recalled(self) -> int:
        """The highest id that the node recalled."""
        return self._words[_RECALLED]

    @recalled.setter
    def recalled(self, number: int) -> None:
        self._words[_RECALLED] = number

    @property
    def rss_bytes(self) -> int:
        """The executor's resident memory after its last work."""
        return self._words[_RSS]

    @rss_bytes.setter
    def rss_bytes(self, rss_bytes: int) -> None:
        self._words[_RSS] = rss_bytes

    def let_go(self) -> None:
        """Write to private memory of this process from now on."""
        self._words = memoryview(bytearray(self._view)).cast("Q")

    def close(self) -> None:
        """Unmap it."""
        self._words.release()
        self._view.release()
        self._memory.close()
