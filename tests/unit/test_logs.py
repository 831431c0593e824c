import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobx import logs
from jobx.actors.messages import RequestKey


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "log"
    made.mkdir()
    return made


@pytest.fixture
def log(folder: Path) -> Iterator[logging.Logger]:
    handler = logs.LogFile(folder / "jobx.log")
    handler.setFormatter(logs.Formatter("%(message)s"))
    logger = logging.Logger("a log of its own")
    logger.addHandler(handler)
    yield logger
    handler.close()


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_renamed_log_file_is_made_again_and_no_other_user_may_read_it(
    folder: Path, log: logging.Logger
) -> None:
    path, moved = folder / "jobx.log", folder / "jobx.log.1"
    log.warning("before")
    before = os.umask(0)
    try:
        path.rename(moved)
        log.warning("after")
    finally:
        os.umask(before)
    assert (moved.read_text(), path.read_text()) == ("before\n", "after\n")
    assert (mode_of(moved), mode_of(path)) == (0o600, 0o600)


def test_the_mode_of_a_log_file_that_was_there_stays(folder: Path) -> None:
    path = folder / "jobx.log"
    path.touch()
    path.chmod(0o640)
    logs.LogFile(path).close()
    assert mode_of(path) == 0o640


def test_what_a_log_file_does_not_take_goes_to_stderr_and_its_caller_gets_no_error(
    folder: Path, log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log.warning("in time")
    (folder / "jobx.log").unlink()
    folder.rmdir()
    log.warning("first")
    log.warning("second")
    folder.mkdir()
    log.warning("third")
    assert capsys.readouterr().err == "first\nsecond\n"
    assert (folder / "jobx.log").read_text() == "third\n"


def test_a_log_file_takes_text_in_every_script(folder: Path, log: logging.Logger) -> None:
    log.warning("Grüße, %s", "\ud800世界")
    assert (folder / "jobx.log").read_text(encoding="utf-8") == "Grüße, \\ud800世界\n"


def test_no_line_of_a_traceback_passes_for_a_message(folder: Path, log: logging.Logger) -> None:
    try:
        raise RuntimeError("boom\n2026-01-01 INFO [1] jobx: all is well\x1b[2J")
    except RuntimeError:
        log.exception("failed")
    first, *others = (folder / "jobx.log").read_text().splitlines()
    assert first == "failed"
    assert others[-1] == "  2026-01-01 INFO [1] jobx: all is well\\x1b[2J"
    assert all(line.startswith("  ") for line in others)


def json_line(message: str, *arguments: object, **options: Any) -> dict[str, Any]:
    """Return a message as JsonLines writes it; one line, in ASCII."""
    logger = logging.Logger("jobx.test")
    record = logger.makeRecord("jobx.test", logging.ERROR, "", 0, message, arguments, **options)
    line = logs.JsonLines("n1").format(record)
    assert line.isascii()
    assert line.splitlines() == [line]
    found: dict[str, Any] = json.loads(line)
    return found


def test_a_line_of_json_says_what_it_is_about() -> None:
    about = logs.about(("w", "r"), invocation="m17", attempt=2, step="words")
    found = json_line("it failed", exc_info=None, extra=about)
    assert found.pop("at")
    assert found == {
        "level": "error",
        "process": os.getpid(),
        "logger": "jobx.test",
        "message": "it failed",
        "node": "n1",
        "workflow": "w",
        "request": "r",
        "invocation": "m17",
        "attempt": 2,
        "step": "words",
    }


def test_a_request_among_the_arguments_is_what_a_line_of_json_is_about() -> None:
    found = json_line("request %s: %s", RequestKey("w", "r"), ("a", "pair"), exc_info=None)
    assert found["message"] == "request w/r: ('a', 'pair')"
    assert (found["workflow"], found["request"]) == ("w", "r")


@pytest.mark.parametrize(
    "text",
    ["a\nb", "\r\n{}", "\u2028\x85\x00\x1b[31m", '"},{"level":"x', "\ud800", "%s %d {0}"],
)
def test_hostile_text_stays_in_its_field(text: str) -> None:
    found = json_line("%s", text, exc_info=None)
    assert found["message"] == text
    assert found["level"] == "error"


def test_a_line_of_json_has_its_traceback() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        found = json_line("it failed", exc_info=sys.exc_info())
    assert found["traceback"].endswith("ValueError: a\nb")


def test_what_is_about_nothing_has_no_field_for_it() -> None:
    assert not {"request", "invocation"} & json_line("hello", exc_info=None).keys()
