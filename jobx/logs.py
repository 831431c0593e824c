"""The log of a process: its destination and the form of its lines."""

from __future__ import annotations

import datetime
import logging
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any, Final

from jobx import printable
from jobx.config import NodeSettings
from jobx.errors import ConfigError

_FORM: Final = "%(asctime)s %(levelname)s [%(process)d] %(name)s: %(message)s"


class Formatter(logging.Formatter):
    """Formats each message as one line, whatever foreign text it quotes; then the traceback.

    The time is that of this machine, with its distance from UTC.
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
        return printable.lines(super().formatException(ei))


def start(settings: NodeSettings) -> None:
    """Start the log of this process, with the settings; a second start does nothing.

    Raises:
        ConfigError: Its file cannot be written.
    """
    write_to(_handler(settings.log_path), settings.log_level)


def write_to(handler: logging.Handler, level: str) -> None:
    """Send the log of this process to a handler, from a level on."""
    handler.setFormatter(Formatter(_FORM))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(capture=True)


def _handler(path: str) -> logging.Handler:
    if not path:
        return logging.StreamHandler()
    try:
        Path(path).touch(
            0o600
        )  # it quotes input of callers; the mode of an existing file is its owner's choice
        return WatchedFileHandler(path)
    except OSError as error:
        raise ConfigError("node.log_path", repr(path), str(error.strerror)) from error
