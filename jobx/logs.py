"""The log of a process: its destination and the form of its lines."""

from __future__ import annotations

import datetime
import json
import logging
import os
import sys
import textwrap
from contextlib import suppress
from functools import partial
from io import TextIOWrapper
from logging.handlers import WatchedFileHandler
from typing import Any, Final

from jobx import printable
from jobx.config_sections import NodeSettings
from jobx.errors import ConfigError

#: What a message may be about.
_ABOUT: Final = ("workflow", "request", "invocation", "attempt", "step")
_FORM: Final = "%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"


class Formatter(logging.Formatter):
    """Formats each message as one line, whatever foreign text it quotes; then the traceback.

    Lines of a traceback are indented, so that none of them can pass for a message. The time is that
    of this machine, with its distance from UTC.
    """

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - its name in logging
        """Return the time of a message."""
        del datefmt
        at = datetime.datetime.fromtimestamp(record.created).astimezone()
        return at.isoformat(" ", "milliseconds")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - its name in logging
        """Return the line."""
        return printable.line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - its name in logging
        """Return the traceback."""
        return textwrap.indent(printable.lines(super().formatException(ei)), "  ")


class JsonLines(Formatter):
    """Formats each message as one line of JSON, in ASCII, whatever foreign text it quotes.

    Its fields: ``at``, ``level``, ``process``, ``logger``, ``message``, ``node``, where it is about
    them those of ``about``, and ``traceback``. A request among the arguments of a message is what
    it is about.

    Args:
        node_id: The node that the process belongs to.
    """

    def __init__(self, node_id: str) -> None:
        super().__init__()
        self._node_id = node_id

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = {
            "at": datetime.datetime.fromtimestamp(record.created).astimezone().isoformat(),
            "level": record.levelname.lower(),
            "process": record.process,
            "logger": record.name,
            "message": record.getMessage(),
            "node": self._node_id,
        }
        arguments: tuple[Any, ...] = record.args if isinstance(record.args, tuple) else ()
        for argument in arguments:
            if hasattr(argument, "request_id"):
                fields |= {"workflow": argument.workflow, "request": argument.request_id}
        told = {name: getattr(record, name, None) for name in _ABOUT}
        fields |= {name: value for name, value in told.items() if value is not None}
        if record.exc_info:
            fields["traceback"] = logging.Formatter.formatException(self, record.exc_info)
        return json.dumps(fields, default=str)


def about(
    key: tuple[str, str] | None = None,
    *,
    invocation: str | None = None,
    attempt: int | None = None,
    step: str | None = None,
) -> dict[str, str | int | None]:
    """Return what a message is about, as ``extra`` of a call of a logger.

    Args:
        key: Workflow and id of a request; None: of none.
        invocation: The id of an invocation of it.
        attempt: The number of its attempt.
        step: The step of the invocation.
    """
    workflow, request = key or (None, None)
    return dict(zip(_ABOUT, (workflow, request, invocation, attempt, step), strict=True))


class LogFile(WatchedFileHandler):
    """A log file, which is made again if it was renamed or removed.

    Whoever logs gets no error of it: what the file does not take goes to stderr.
    """

    def _open(self) -> TextIOWrapper:
        # It quotes input of callers; the mode of an existing file is its owner's choice.
        private = partial(os.open, mode=0o600)
        return open(self.baseFilename, "a", encoding="utf-8", opener=private)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message."""
        try:
            super().emit(record)
        except OSError:  # it cannot be made again
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - its name in logging
        """Write to stderr what the file did not take, while that error is handled."""
        if not isinstance(sys.exception(), OSError):
            super().handleError(record)
        elif sys.stderr is not None:
            with suppress(OSError):
                sys.stderr.write(f"{self.format(record)}\n")


def start(settings: NodeSettings) -> None:
    """Start the log of this process, with the settings; a second start does nothing.

    Raises:
        ConfigError: Its file cannot be written.
    """
    form = JsonLines(settings.id) if settings.log_format == "json" else Formatter(_FORM)
    write_to(_handler(settings.log_path), settings.log_level, form)


def write_to(handler: logging.Handler, level: str, form: logging.Formatter | None = None) -> None:
    """Send the log of this process to a handler, from a level on, in a form."""
    handler.setFormatter(form or Formatter(_FORM))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(capture=True)


def _handler(path: str) -> logging.Handler:
    if not path:
        return logging.StreamHandler()
    try:
        return LogFile(path)
    except OSError as error:
        raise ConfigError("node.log_path", repr(path), str(error.strerror)) from error
