"""Opens the shared place of blobs, if the settings name one."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from jobx.config_sections import BlobSettings
from jobx.errors import ConfigError
from jobx.handlers.blobs.shared import SharedBlobs
from jobx.handlers.files.backend import BackEnd

#: How long executors repeat what the place refuses: then their work is given back, and done again
#: later, so that other requests run meanwhile …
EXECUTORS_S: Final = 1.0
#: … and how long others do, for whom somebody waits.
OTHERS_S: Final = 3.0


def check(settings: BlobSettings) -> None:
    """Refuse settings that cannot name a shared place, without contacting it.

    Raises:
        ConfigError: Something is wrong, or an extra is not installed.
    """
    from jobx.handlers.files import opening  # noqa: PLC0415 - most processes never need it

    if urlsplit(settings.location).scheme == "memory":
        reason = "is in the memory of one process, and this place is shared by many"
        raise ConfigError("blobs.url", repr(settings.url), reason)
    opening.check(settings, "blobs")


def shared_blobs(settings: BlobSettings, patience_s: float = OTHERS_S) -> SharedBlobs | None:
    """Return the shared place, which is connected on first use; None: nothing is shared."""
    if not settings.location:
        return None

    def connect() -> BackEnd:
        from jobx.handlers.files import opening  # noqa: PLC0415 - as above

        try:
            return opening.connect(settings)
        except ConfigError as error:  # the start checked the settings, so this will pass
            raise OSError(errno.ENODEV, error.args[2]) from error

    return SharedBlobs(settings.location, connect, settings.timeout_s, patience_s)


def load(settings: BlobSettings) -> None:
    """Import what a shared place needs, if there is one, before anybody waits for it.

    Raises:
        ConfigError: As ``check``.
    """
    if settings.location:
        from jobx.handlers.files import opening  # noqa: PLC0415 - as above

        opening.load(settings)


def of_executor(settings: Mapping[str, Any] | None) -> SharedBlobs | None:
    """Return the shared place of an executor, whose settings are plain values."""
    return None if settings is None else shared_blobs(from_plain(settings), EXECUTORS_S)


def from_plain(settings: Mapping[str, Any]) -> BlobSettings:
    """Return settings from plain values."""
    return msgspec.convert(settings, BlobSettings)
