"""The threads that fsspec's asynchronous file systems work in, told apart from an author's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from fsspec import asyn

from jobx.handlers.files.files import OWN_THREADS

_LOOKUPS: Final = 4


def claim() -> None:
    """Start them, if need be, and give them names by which an executor knows them."""
    loop = asyn.get_loop()
    asyn.iothread[0].name = f"{OWN_THREADS}-loop"
    loop.set_default_executor(ThreadPoolExecutor(_LOOKUPS, thread_name_prefix=OWN_THREADS))
