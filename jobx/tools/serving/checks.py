"""Checks all settings together before anything starts: what they name must exist and be usable."""

from __future__ import annotations

import grp
import os
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Final

from jobx import refusals
from jobx.actors.cluster import membership
from jobx.actors.egress import urls
from jobx.config import OutboundSettings, Settings
from jobx.errors import ConfigError, StoreRefused
from jobx.handlers.blobs import opening as blob_places
from jobx.handlers.files import opening as places
from jobx.handlers.scope.secrets import read_secrets
from jobx.kv import opening
from jobx.kv.data_folder import check_usable
from jobx.tools.serving.listening import host_and_port

#: Executors with less address space cannot start.
LEAST_MEMORY_BYTES: Final = 64 << 20
#: Settings that name a file, which must be there.
_FILES: Final = (
    *("store.ca_file", "store.cert_file", "store.key_file", "outbound.ca_file"),
    *("bridge.ca_file", "bridge.cert_file", "bridge.key_file"),
)


def check(settings: Settings, environ: Mapping[str, str]) -> None:
    """Refuse settings that cannot work on this machine; nothing is contacted or changed.

    Raises:
        ConfigError: One of them is wrong.
        SettingsRefused: Several are.
    """
    refusals.refuse(found(settings, environ))


def check_folder(settings: Settings) -> None:
    """Refuse a data folder that this user can neither use nor make; a node does so, too.

    Raises:
        ConfigError: It says why.
    """
    path = settings.data_dir
    _check_data_dir(path)
    try:
        if path.is_dir():
            check_usable(path)
    except StoreRefused as error:
        raise ConfigError("node.data_dir", repr(str(path)), error.args[1]) from error


def check_writers(settings: Settings) -> None:
    """Refuse a default result writer that cannot work; imports those of the settings.

    Raises:
        ConfigError: It says why.
    """
    from jobx.actors.egress.http_client import Outbound  # noqa: PLC0415 - few commands need it
    from jobx.actors.egress.writers.base import WriterSite  # noqa: PLC0415 - as above
    from jobx.actors.egress.writers.registry import Writers  # noqa: PLC0415 - as above

    Writers(WriterSite(settings, Outbound(OutboundSettings(), []), time.time))


def found(settings: Settings, environ: Mapping[str, str]) -> list[ConfigError]:
    """Return what is wrong with the settings, each by its name."""
    wrong: list[ConfigError] = []
    for one in _checks(settings, environ):
        with refusals.collect(wrong):
            one()
    return wrong


def _checks(settings: Settings, environ: Mapping[str, str]) -> Iterator[Callable[[], object]]:
    yield partial(host_and_port, settings.http.bind)
    yield partial(_check_group, settings.http.socket_group)
    yield partial(_check_log_path, settings.node.log_path)
    yield partial(_check_memory, settings.executors.memory_bytes)
    yield partial(_check_folder, "results.file_path", settings.results.file_path, os.W_OK)
    for path in settings.scope.path:
        yield partial(_check_folder, "scope.path", path, os.R_OK)
    for name in _FILES:
        yield partial(_check_file, name, _value(settings, name))
    for name in ("notify.http_url", "results.http_url"):
        yield partial(urls.trusted, _value(settings, name), name)
    for text in settings.outbound.allow:
        yield partial(urls.origin_of, text)
    for text in settings.outbound.networks:
        yield partial(urls.network_of, text)
    yield partial(_check_sender, settings)
    if settings.store.url:
        yield partial(opening.servers_of, settings.store.url)
    yield partial(places.check, settings.files)
    if settings.blobs.location:
        yield partial(blob_places.check, settings.blobs)
    yield partial(membership.check, settings)
    yield partial(read_secrets, settings.scope.secrets, environ)


def _value(settings: Settings, name: str) -> str:
    section, _, field = name.partition(".")
    return str(getattr(getattr(settings, section), field))


def _check_group(group: str) -> None:
    try:
        if group:
            grp.getgrnam(group)
    except KeyError as error:
        raise ConfigError("http.socket_group", repr(group), "there is no such group") from error


def _check_data_dir(path: Path) -> None:
    """Check that this user can make the data folder; one that exists is checked by its user."""
    if path.is_dir():
        return
    above = next(one for one in path.parents if one.exists())
    if path.exists() or not above.is_dir():
        raise ConfigError("node.data_dir", repr(str(path)), "is a file, or below one")
    if not os.access(above, os.W_OK | os.X_OK):
        reason = f"cannot be made: this user may not write to {above}"
        raise ConfigError("node.data_dir", repr(str(path)), reason)


def _check_log_path(text: str) -> None:
    if not text:
        return
    path = Path(text).absolute()
    if path.is_dir() or not path.parent.is_dir():
        reason = "must be a file in a folder that exists"
        raise ConfigError("node.log_path", repr(text), reason)
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise ConfigError("node.log_path", repr(text), "this user may not write it")


def _check_memory(memory_bytes: int) -> None:
    if 0 < memory_bytes < LEAST_MEMORY_BYTES:
        reason = f"must be 0 (no limit) or at least {LEAST_MEMORY_BYTES}"
        raise ConfigError("executors.memory_bytes", str(memory_bytes), reason)


def _check_folder(setting: str, text: str, mode: int) -> None:
    if not text:
        return
    path = Path(text).expanduser()
    if not path.is_dir():
        raise ConfigError(setting, repr(text), "must be a folder that exists")
    if not os.access(path, mode | os.X_OK):
        raise ConfigError(setting, repr(text), "this user may not use it")


def _check_file(setting: str, text: str) -> None:
    if not text:
        return
    try:
        with Path(text).open("rb"):
            pass
    except OSError as error:
        raise ConfigError(setting, repr(text), error.strerror or str(error)) from error


def _check_sender(settings: Settings) -> None:
    for name in ("notify.email_to", "results.email_to"):
        section, _, field = name.partition(".")
        if getattr(getattr(settings, section), field) and not settings.mail.sender:
            raise ConfigError("mail.sender", "''", f"must be set for {name}")
