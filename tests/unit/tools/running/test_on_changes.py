from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path, PurePath
from typing import Any

import pytest

from jobx.config import Settings
from jobx.errors import InUse
from jobx.tools.running import on_changes
from jobx.tools.shared import render
from jobx.tools.shared.command import Call

CALL = Call(Settings(), as_json=False)


def test_a_watch_goes_on_while_another_command_starts_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Runs(Exception):
        pass

    def applied(*_: object) -> set[PurePath]:
        return set()

    @asynccontextmanager
    async def node(_: object) -> AsyncIterator[Any]:
        raise InUse("data folder", "d", "process 1")
        yield

    async def run() -> None:
        raise Runs

    monkeypatch.setattr(on_changes, "_applied", applied)
    monkeypatch.setattr(on_changes, "asked_node", node)
    with pytest.raises(Runs):
        asyncio.run(on_changes.run_on_changes(CALL, tmp_path, run))


def test_what_is_wrong_with_a_folder_is_not_told_on_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Told(Exception):
        pass

    def complain(_: str) -> None:
        assert threading.current_thread() is not threading.main_thread()
        raise Told

    async def run() -> None:
        raise AssertionError

    monkeypatch.setattr(render, "complain", complain)
    with pytest.raises(Told):
        asyncio.run(on_changes.run_on_changes(CALL, tmp_path, run))
