"""Waits for changes of files in a folder, by looking at it again and again."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePath
from typing import Final, TypeAlias, TypeVar

from jobx.handlers.authoring.declaration import FILE
from jobx.handlers.authoring.workflow_folder import HANDLERS

T = TypeVar("T")

#: How often a folder is looked at. What changed is whole once it stays the same for as long.
POLL_S: Final = 0.3
#: Files that are looked at.
MAX_FILES: Final = 10_000
#: What a workflow has in its folder in any case.
_OWN: Final = frozenset({FILE, HANDLERS})

#: Time of change, size and number of files, by path.
Stamps: TypeAlias = Mapping[str, tuple[int, int, int]]


def look(folder: Path, ignored: Path) -> Stamps:
    """Return how a folder looks, without hidden files and without the folder ``ignored``.

    Of very many files, those of handlers are looked at in any case.
    """
    return dict(islice(_stamps(str(folder), os.path.realpath(ignored)), MAX_FILES))


def code(stamps: Stamps, folder: Path, named: Collection[PurePath]) -> Stamps:
    """Return how the files of the workflow in a folder look.

    Args:
        stamps: How the folder looks.
        folder: The folder.
        named: The files outside of ``handlers`` that its ``workflow.yaml`` names.
    """
    paths = {path: PurePath(path).relative_to(folder) for path in stamps}
    is_code = {path for path, at in paths.items() if at.parts[0] in _OWN or at in named}
    return {path: stamp for path, stamp in stamps.items() if path in is_code}


async def changed(look_again: Callable[[], T], seen: T) -> T:
    """Wait until something looks otherwise than ``seen``, and stays so; return how."""
    before = seen
    while True:
        await asyncio.sleep(POLL_S)
        now = await asyncio.to_thread(look_again)
        if now != seen and now == before:
            return now
        before = now


def _stamps(folder: str, ignored: str) -> Iterator[tuple[str, tuple[int, int, int]]]:
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith((".", "__"))
            and os.path.realpath(os.path.join(parent, name)) != ignored
        ]
        folders.sort(key=HANDLERS.__ne__)
        for name in files:
            path = os.path.join(parent, name)
            if name.startswith("."):
                continue
            try:
                found = os.stat(path)
            except OSError:
                continue
            yield path, (found.st_mtime_ns, found.st_size, found.st_ino)
