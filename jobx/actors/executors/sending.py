"""Sends work to executors, with the handlers that they lack."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from thespian.actors import ActorAddress

from jobx.actors.executor_failures import unsendable
from jobx.actors.executors.process import Executor, WorkItem
from jobx.actors.messages import Lost
from jobx.errors import InternalError, JobxError
from jobx.work import LoadHandler, WorkFrame

Deliver = Callable[[ActorAddress, object], None]


class Code(Protocol):
    """Knows what to load for a handler version of a workflow."""

    def known_code(self, workflow: str, version: str) -> LoadHandler | None:
        """Return it; None if it has to be read first."""

    def code(self, workflow: str, version: str) -> LoadHandler:
        """Read and return it; blocks, in any thread, and raises a JobxError on failure."""


class Sending:
    """Sends work; work that cannot be sent is reported to its owner as Lost.

    Args:
        library: Knows the handlers.
        stem: The prefix of blob names.
        folder: Returns the folder of a request's blobs by workflow and id.
        deliver: Sends a message to an owner.
        sent: Called when an executor has got work.
        again: Takes work whose handlers had to be read first.

    Attributes:
        number: The number of the last work that was sent.
    """

    def __init__(
        self,
        library: Code,
        stem: str,
        folder: Callable[[str, str], str],
        deliver: Deliver,
        *,
        sent: Callable[[], None],
        again: Callable[[WorkItem], None],
    ) -> None:
        self.number = 0
        self._library = library
        self._stem = stem
        self._folder = folder
        self._deliver = deliver
        self._sent = sent
        self._again = again
        self._loop = asyncio.get_running_loop()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="code")
        self._reading: dict[asyncio.Task[None], WorkItem] = {}

    def __len__(self) -> int:
        """Number of items that wait for their handlers."""
        return len(self._reading)

    def send(self, executor: Executor, item: WorkItem) -> None:
        """Send work, now or as soon as its handlers are read."""
        lacked = [one for one in item.work.versions if one not in executor.loaded]
        if lacked and not self._knows_code(lacked, item):
            task = self._loop.create_task(self._read_code(item))
            self._reading[task] = item
            task.add_done_callback(self._reading.pop)
            return
        self.number += 1
        item.number = self.number
        item.sent_at = self._loop.time()
        stem = f"{self._stem}-{item.number:x}"
        if not executor.is_used:
            executor.is_used, executor.workflow = True, item.key.workflow
            executor.since = item.sent_at
        try:
            for version in dict.fromkeys(lacked):
                executor.send(item.code[version])
                executor.loaded.add(version)
            folder = self._folder(*item.key)
            executor.send(WorkFrame(item.number, folder, stem, item.work))
        except JobxError as error:
            self._lose(item, error)
            return
        executor.work[item.number] = item
        self._sent()

    def forget(self, owner: ActorAddress) -> None:
        """Forget the items of an owner that wait for their handlers."""
        for task, item in self._reading.items():
            if item.owner == owner:
                task.cancel()

    def close(self) -> None:
        """Forget all items that wait."""
        for task in self._reading:
            task.cancel()
        self._reader.shutdown(wait=False, cancel_futures=True)

    def _knows_code(self, versions: Iterable[str], item: WorkItem) -> bool:
        """Whether these handlers of an item have been read."""
        for version in versions:
            if version not in item.code:
                known = self._library.known_code(item.key.workflow, version)
                if known is None:
                    return False
                item.code[version] = known
        return True

    async def _read_code(self, item: WorkItem) -> None:
        """Read the handlers of an item in a thread."""
        workflow, versions = item.key.workflow, item.work.versions
        try:
            item.code |= await self._loop.run_in_executor(
                self._reader,
                lambda: {version: self._library.code(workflow, version) for version in versions},
            )
        except Exception as error:  # noqa: BLE001 - whoever waits for the item must hear of it
            self._lose(item, error)
        else:
            self._again(item)

    def _lose(self, item: WorkItem, error: Exception) -> None:
        failed = error if isinstance(error, JobxError) else InternalError(repr(error))
        self._deliver(item.owner, Lost(item.ticket, item.first_vertex, unsendable(failed)))
