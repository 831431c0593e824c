"""The writer ``object``: an object for each result, in any store that fsspec opens."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from jobx.actors.egress.writers.base import Names, Options, Result, Writer
from jobx.errors import ConfigError, InvalidInput, Unavailable
from jobx.model import check_name

_WHERE: Final = "result writer object"


class ObjectOptions(Options, frozen=True, kw_only=True):
    """Options of the writer ``object``."""

    #: A folder below ``results.object_url``, names separated by ``/``.
    folder: str = ""


class ObjectWriter(Writer[ObjectOptions]):
    """Writes ``<object_url>/<folder>/<workflow>/<request id>.ndjson``, ``[key, value]`` a line.

    The object appears as a whole if the store can do that; a repeat replaces it by itself.
    """

    name: ClassVar[str] = "object"
    options: ClassVar[type[Any]] = ObjectOptions

    def check(self, options: ObjectOptions) -> None:
        """Refuse a folder that is not a plain path downwards, and a URL that fsspec cannot open."""
        url = self.place(Names("w", "j", "r"), options)
        try:
            _open(url)
        except (ImportError, ValueError) as error:
            setting = self.site.settings.results.object_url
            raise ConfigError("results.object_url", repr(setting), str(error)) from error

    def place(self, names: Names, options: ObjectOptions) -> str:
        """Return the URL; credentials are not part of it."""
        url = self.site.settings.results.object_url.rstrip("/")
        if not url:
            raise InvalidInput(_WHERE, "no URL", "needs results.object_url")
        below = [
            check_name(f"{_WHERE}: folder", part) for part in options.folder.split("/") if part
        ]
        return "/".join([url, *below, names.workflow, f"{names.request_id}.ndjson"])

    def write(self, result: Result, options: ObjectOptions) -> None:
        """Write the result.

        Raises:
            Unavailable: The store failed.
        """
        try:
            files, path = _open(self.place(result.names, options))
            files.makedirs(files._parent(path), exist_ok=True)
            with files.transaction, files.open(path, "wb") as file:
                for piece in result.lines():
                    file.write(piece)
        except OSError as error:
            raise Unavailable(f"{_WHERE}: {error}", 0.0) from error


def _open(url: str) -> tuple[Any, str]:
    """Return the file system that a URL names, and the path in it."""
    from fsspec.core import url_to_fs  # noqa: PLC0415 - slow to load, and few deployments need it

    files, path = url_to_fs(url)
    return files, path
