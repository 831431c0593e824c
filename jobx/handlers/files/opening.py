"""Back ends by URL: the settings are checked at start, and the back end is opened on first use."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

from jobx.config_sections import BlobSettings, FilesSettings, PlaceSettings
from jobx.errors import ConfigError
from jobx.handlers.files.backend import BackEnd
from jobx.handlers.files.local import Local
from jobx.system.extras import install


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of back end.

    Attributes:
        open: Opens one.
        wrong: Returns the error in its settings, or None.
        module: Module that it needs in addition to JobX's own requirements.
        extra: The extra of JobX with that module.
    """

    open: Callable[[SplitResult, PlaceSettings], BackEnd]
    wrong: Callable[[SplitResult, PlaceSettings], str | None]
    module: str = ""
    extra: str = ""


def from_plain(settings: Mapping[str, Any]) -> FilesSettings:
    """Return settings from plain values."""
    return msgspec.convert(settings, FilesSettings)


def check(settings: PlaceSettings, section: str = "files") -> None:
    """Refuse settings of a section that cannot make a back end, without contacting it.

    Raises:
        ConfigError: Something is wrong, or an extra is not installed.
    """
    if settings.location:
        _choose(settings, section)


def load(settings: PlaceSettings) -> None:
    """Import the package that a back end needs, which may take a second. Raises as ``check``."""
    kind, _ = _choose(settings)
    if kind.module:
        import_module(kind.module)


def connect(settings: PlaceSettings) -> BackEnd:
    """Return the back end that the settings name.

    Raises:
        ConfigError: As ``check``.
        OSError: It cannot be reached.
    """
    kind, url = _choose(settings)
    return kind.open(url, settings)


def _choose(settings: PlaceSettings, section: str = "files") -> tuple[_Kind, SplitResult]:
    setting, url = f"{section}.url", urlsplit(settings.location)
    kind = _KINDS.get(url.scheme)
    if kind is None:
        known = ", ".join(f"{scheme}:" for scheme in _KINDS)
        shown = repr(url.scheme or settings.location[:80])
        raise ConfigError(setting, shown, f"must be a URL that begins with one of {known}")
    shown = f"{url.scheme} URL"
    if url.password is not None or url.query or url.fragment:
        raise ConfigError(setting, shown, "holds no password, query or fragment: use options")
    if kind.module and find_spec(kind.module) is None:
        reason = f"needs {kind.module}: {install(kind.extra)}"
        raise ConfigError(setting, shown, reason)
    wrong = kind.wrong(url, settings)
    if wrong is not None:
        raise ConfigError(setting, shown, wrong)
    return kind, url


def _local(url: SplitResult, settings: PlaceSettings) -> BackEnd:
    return Local(unquote(url.path), fsync=bool(settings.options.get("fsync", True)))


def _local_wrong(url: SplitResult, settings: PlaceSettings) -> str | None:
    if url.netloc not in ("", "localhost") or not url.path.startswith("/"):
        return "must be file:///FOLDER"
    if not os.path.isdir(unquote(url.path)):
        return f"the folder {unquote(url.path)} does not exist"
    return None


def _memory(url: SplitResult, settings: PlaceSettings) -> BackEnd:
    from fsspec.implementations.memory import MemoryFileSystem  # noqa: PLC0415 - slow to load

    from jobx.handlers.files.remote import Memory  # noqa: PLC0415 - it loads fsspec

    fs, root = MemoryFileSystem(), f"/{url.netloc}{url.path}".rstrip("/")
    fs.makedirs(root, exist_ok=True)
    return Memory(fs, root)


def _s3(url: SplitResult, settings: PlaceSettings) -> BackEnd:
    from jobx.handlers.files import threads  # noqa: PLC0415 - it loads fsspec
    from jobx.handlers.files.s3 import S3, FlatS3  # noqa: PLC0415 - it loads s3fs, an extra

    threads.claim()
    prefix = unquote(url.path).strip("/")
    kind = FlatS3 if isinstance(settings, BlobSettings) else S3
    return kind(url.netloc, prefix, settings.timeout_s, dict(settings.options))


def _sftp(url: SplitResult, settings: PlaceSettings) -> BackEnd:
    from jobx.handlers.files import threads  # noqa: PLC0415 - it loads fsspec
    from jobx.handlers.files.sftp import Sftp  # noqa: PLC0415 - it loads sshfs, an optional package

    threads.claim()
    named = {"port": url.port, "username": url.username and unquote(url.username)}
    options = {name: value for name, value in named.items() if value} | settings.options
    root = unquote(url.path).rstrip("/") or "/"
    return Sftp(url.hostname or "", root, settings.timeout_s, options)


def _host_wrong(url: SplitResult, settings: PlaceSettings) -> str | None:
    return None if url.hostname else f"must be {url.scheme}://HOST/…"


def _tahoe(url: SplitResult, settings: PlaceSettings) -> BackEnd:
    from jobx.handlers.files.tahoe import Tahoe, TahoeFileSystem  # noqa: PLC0415 - it loads fsspec

    prefix, cap = settings.tahoe_webapi_url_prefix, settings.tahoe_dir_uri
    return Tahoe(TahoeFileSystem(prefix, cap, settings.timeout_s), "")


def _tahoe_wrong(url: SplitResult, settings: PlaceSettings) -> str | None:
    if url.netloc or url.path:
        return "must be tahoe: alone; tahoe_dir_uri is the folder"
    if not settings.tahoe_dir_uri.startswith("URI:DIR"):
        return "needs tahoe_dir_uri (files: MR_FS_TAHOE_DIR_URI), a directory's URI"
    if urlsplit(settings.tahoe_webapi_url_prefix).scheme not in ("http", "https"):
        return "needs tahoe_webapi_url_prefix (files: MR_FS_TAHOE_WEBAPI_URL_PREFIX), an http URL"
    return None


_KINDS: Final[Mapping[str, _Kind]] = MappingProxyType(
    {
        "file": _Kind(_local, _local_wrong),
        "memory": _Kind(_memory, lambda url, settings: None),
        "s3": _Kind(_s3, _host_wrong, "s3fs", "s3"),
        "sftp": _Kind(_sftp, _host_wrong, "sshfs", "sftp"),
        "tahoe": _Kind(_tahoe, _tahoe_wrong),
    }
)
