"""What a command changes, the running node goes by as soon as the command has ended."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobx.actors import upkeep
from jobx.errors import StoreUnavailable
from jobx.handlers.authoring.library import Library
from jobx.tools.cli import main
from tests.support.authoring import ANSWER, SUM
from tests.support.live_node import LiveNode, Start, pairs_of

pytestmark = pytest.mark.every_store

Jobx = Callable[..., None]
OTHER = ANSWER.replace("42", "43")
HEADED = '"""Answers.\n**\nhandler_type: mapper\n"""\n' + OTHER
NEGATING = "def handler(key, values):\n    yield key, -sum(values)\n"


@pytest.fixture
def live(start: Start, monkeypatch: pytest.MonkeyPatch) -> LiveNode:
    """A node that does not look for changes by itself."""
    for how_often in ("REFRESH_S", "SERVED_REFRESH_S"):
        monkeypatch.setattr(upkeep, how_often, threading.TIMEOUT_MAX)
    return start({"one": ANSWER, "two": OTHER, "minus": NEGATING}, {"s": ("one", "sum")})


@pytest.fixture
def jobx(tmp_path: Path) -> Jobx:
    """Run a command on the folder of the node."""

    def invoke(*words: str, stdin: str = "") -> None:
        done = CliRunner().invoke(main, [*words, "--data", str(tmp_path)], input=stdin)
        assert (done.exit_code, done.stderr) == (0, "")

    return invoke


def test_request_has_the_code_that_was_synced_before_it(
    live: LiveNode, jobx: Jobx, tmp_path: Path
) -> None:
    folder = tmp_path / "handlers"
    folder.mkdir()
    (folder / "one.py").write_text(HEADED)
    (folder / "sum.py").write_text(HEADED.replace("mapper", "reducer").replace(OTHER, SUM))

    jobx("handler", "sync", "w", str(folder))

    assert pairs_of(live.post("s", {})) == [("answer", 43)]


def test_request_has_the_handler_that_its_step_was_given_before_it(
    live: LiveNode, jobx: Jobx
) -> None:
    jobx("step", "set-handler", "w", "s", "-r", "minus")

    assert pairs_of(live.post("s", {})) == [("answer", -42)]


def test_request_starts_with_what_its_workflow_became_by_apply(
    live: LiveNode, jobx: Jobx, tmp_path: Path
) -> None:
    jobx("workflow", "export", "w", str(tmp_path / "w"))
    for path in (tmp_path / "w" / "handlers").iterdir():
        path.write_text(path.read_text().replace("42", "44"))

    jobx("apply", str(tmp_path / "w"))

    assert pairs_of(live.post("s", {})) == [("answer", 44)]


@pytest.mark.usefixtures("live")
def test_change_that_the_node_cannot_read_is_stored_and_said_to_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Library) -> bool:
        raise StoreUnavailable("it is busy")

    monkeypatch.setattr(Library, "refresh", refuse)

    done = CliRunner().invoke(main, ["workflow", "create", "v", "d", "--data", str(tmp_path)])

    assert (done.exit_code, done.stdout) == (0, "created workflow v\n")
    assert done.stderr.startswith("jobx: stored, but the node may not know of it yet: it is busy")
