"""Answers what readers do in threads of this process, for tests without a process."""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor
from typing import Any

from jobx.actors.readers.table import Table
from jobx.kv.store import Store
from jobx.questions import Question
from jobx.views import View


class ThreadReader:
    """Answers in threads of this process, where no other one can open the store.

    Args:
        store: The store.
        table: What answers each kind of question.
        threads: The threads.
    """

    def __init__(self, store: Store, table: Table, threads: Executor) -> None:
        self._store = store
        self._table = table
        self._threads = threads

    async def ask(self, question: Question[Any]) -> View:
        """See ``Reader.ask``."""
        answer = self._table[type(question)]
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, answer, self._store, question)

    async def close(self) -> None:
        """See ``Reader.close``; the threads belong to who gave them."""
