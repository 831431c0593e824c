from __future__ import annotations

import logging
from typing import Any

import pytest

from jobx.handlers.scope.author_log import AuthorLog, Notify, level_name
from jobx.handlers.scope.invocation import Invocation
from tests.support.frames import REQUEST

LEVELS = ["debug", "info", "warning", "warn", "error", "critical", "fatal"]


class _Lines(list[tuple[str, str]]):
    """What a log was given."""

    @property
    def log(self) -> Any:
        """A log that writes here."""
        return AuthorLog(lambda level, message: self.append((level, message)))


@pytest.mark.parametrize("name", LEVELS)
def test_every_level_of_a_logger_is_a_method(name: str) -> None:
    lines = _Lines()
    getattr(lines.log, name)("%d of %s", 1, "a")
    assert lines == [(level_name(name), "1 of a")]


@pytest.mark.parametrize(
    ("level", "name"),
    [
        (logging.INFO, "INFO"),
        (35, "WARNING"),
        (0, "DEBUG"),
        ("Warn", "WARNING"),
        ("FATAL", "CRITICAL"),
    ],
)
def test_a_level_is_a_number_or_a_name_in_any_case(level: int | str, name: str) -> None:
    lines = _Lines()
    lines.log.log(level, "a")
    lines.log.getChild("x").INFO("b")
    assert lines == [(name, "a"), ("INFO", "b")]


def test_an_unknown_level_is_refused_with_the_known_ones() -> None:
    with pytest.raises(AttributeError, match="there is no level loud; the levels are debug, info"):
        AuthorLog(print).loud("a")
    with pytest.raises(ValueError, match="there is no level loud"):
        level_name("loud")


def test_a_map_fills_named_places() -> None:
    lines = _Lines()
    lines.log.info("%(a)s", {"a": 1})
    lines.log.info("%(b)s", {"a": 1})
    assert [message for _, message in lines] == ["1", "%(b)s ({'a': 1},)"]


@pytest.mark.parametrize("exc_info", [True, 1, "tuple", "exception"])
def test_exc_info_adds_the_traceback(exc_info: object) -> None:
    lines = _Lines()
    try:
        raise KeyError("k")
    except KeyError as error:
        given = {"tuple": (KeyError, error, error.__traceback__), "exception": error}
        lines.log.info("a", exc_info=given.get(str(exc_info), exc_info), extra={"x": 1})
    ((_, message),) = lines
    assert message.startswith("a\nTraceback (most recent call last):\n")
    assert message.endswith("KeyError: 'k'")


@pytest.mark.parametrize("exc_info", [True, False, None, (None, None, None)])
def test_without_an_exception_there_is_no_traceback(exc_info: object) -> None:
    lines = _Lines()
    lines.log.warning("a", exc_info=exc_info)
    lines.log.exception("b", exc_info=exc_info)
    assert [message for _, message in lines] == ["a", "b"]


def test_a_keyword_that_no_logger_has_is_refused() -> None:
    with pytest.raises(TypeError, match=r"info\(\) got an unexpected keyword 'colour'"):
        AuthorLog(print).info("a", colour=1)


def test_a_notification_has_its_level_and_traceback() -> None:
    invocation = Invocation(REQUEST, "step", 7, 2, output_bytes=1000)
    try:
        raise KeyError("k")
    except KeyError:
        Notify("HTTP", lambda: invocation).warn("%s", "a", exc_info=True)
    ((channel, level, _, template, message, text),) = invocation.notifications
    assert (channel, level, template, message) == ("HTTP", "warning", "%s", "a")
    assert text.endswith("KeyError: 'k'\n")
