"""Waits for changes of files in a folder, by looking at it again and again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias, TypeVar

from jobx.handlers.authoring.declaration import FILE
from jobx.handlers.authoring.workflow_folder import HANDLERS

T = TypeVar("T")

#: How often a folder is looked at. What changed is whole once it stays the same for as long.
POLL_S: Final = 0.3
#: Files that are looked at.
MAX_FILES: Final = 10_000

#: Time of change, size and number of files, by path.
Stamps: TypeAlias = Mapping[str, tuple[int, int, int]]


class Look(NamedTuple):
    """A folder at one time: the files of its workflow, and all others."""

    code: Stamps
    others: Stamps


def look(folder: Path, ignored: Path) -> Look:
    """Return how a folder looks, without hidden files and without the folder ``ignored``."""
    found = dict(islice(_stamps(str(folder), os.path.realpath(ignored)), MAX_FILES))
    code = {path: stamp for path, stamp in found.items() if _is_code(folder, path)}
    return Look(code, {path: stamp for path, stamp in found.items() if path not in code})


async def changed(look_again: Callable[[], T], seen: T) -> T:
    """Wait until something looks otherwise than ``seen``, and stays so; return how."""
    before = seen
    while True:
        await asyncio.sleep(POLL_S)
        now = await asyncio.to_thread(look_again)
        if now != seen and now == before:
            return now
        before = now


def _is_code(folder: Path, path: str) -> bool:
    first = Path(path).relative_to(folder).parts[0]
    return first in (FILE, HANDLERS)


def _stamps(folder: str, ignored: str) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith((".", "__"))
            and os.path.realpath(os.path.join(parent, name)) != ignored
        ]
        for name in files:
            path = os.path.join(parent, name)
            if name.startswith("."):
                continue
            try:
                found = os.stat(path)
            except OSError:
                continue
            yield path, (found.st_mtime_ns, found.st_size, found.st_ino)
