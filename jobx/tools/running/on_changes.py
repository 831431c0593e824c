"""Runs something again whenever a file of a workflow's folder changes.

A node of its own may be on this event loop, so nothing is printed on it: whoever reads may be slow.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Collection, Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path, PurePath
from typing import Any, NoReturn

from jobx.errors import InUse, JobxError
from jobx.handlers.authoring import workflow_folder
from jobx.tools.running.asked_node import asked_node
from jobx.tools.shared import render, watching
from jobx.tools.shared.applying import apply_folder
from jobx.tools.shared.command import Call
from jobx.tools.shared.watching import Stamps

Run = Callable[[], Coroutine[Any, Any, None]]


async def run_on_changes(call: Call, folder: Path, run_once: Run) -> NoReturn:
    """Apply a folder and run something, again whenever a file in the folder changes.

    Args:
        call: The command that does so.
        folder: What is applied, and looked at.
        run_once: Runs a request, and shows its end; it is cancelled when a file changes.
    """
    named: Collection[PurePath] = ()

    def look() -> Stamps:
        return watching.look(folder, call.settings.data_dir)

    def code(stamps: Stamps) -> Stamps:
        return watching.code(stamps, folder, named)

    seen = await asyncio.to_thread(look)
    async with AsyncExitStack() as stack:
        has_node = False
        while True:
            files = await asyncio.to_thread(_applied, call, folder)
            if files is not None:
                named = files
                if not has_node:  # for all runs, which find it as any other
                    with suppress(InUse):  # another command is just starting one
                        await stack.enter_async_context(asked_node(call))
                        has_node = True
                await _until_changed(run_once(), lambda: code(look()), code(seen))
                # What a run itself leaves in the folder is no change.
                now = await asyncio.to_thread(look)
                seen = {**dict(now.items() - code(now).items()), **code(seen)}
            await asyncio.to_thread(sys.stdout.flush)  # somebody looks on, perhaps through a pipe
            seen = await watching.changed(look, seen)


async def _until_changed(
    work: Coroutine[Any, Any, None], look: Callable[[], Stamps], seen: Stamps
) -> None:
    """Do something to its end, or until something looks otherwise."""
    tasks = [asyncio.create_task(work), asyncio.create_task(watching.changed(look, seen))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def _applied(call: Call, folder: Path) -> set[PurePath] | None:
    """Apply a folder; return what its declaration names, None after telling what is wrong."""
    try:
        apply_folder(call, folder)
        return workflow_folder.named_files(folder)
    except JobxError as error:
        for line in str(error).splitlines():
            render.complain(line)
        return None
