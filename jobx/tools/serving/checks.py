"""Checks all settings together before anything starts: what they name must exist and be usable."""

from __future__ import annotations

import grp
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final

from jobx import refusals
from jobx.actors.cluster import requirements
from jobx.actors.egress import urls
from jobx.actors.egress.otlp import Collector
from jobx.config import Settings
from jobx.config_sections import OutboundSettings, is_secret
from jobx.errors import ConfigError, StoreRefused, quote
from jobx.handlers.blobs import opening as blob_places
from jobx.handlers.files import opening as places
from jobx.handlers.scope.secrets import read_secrets
from jobx.kv import opening
from jobx.kv.data_folder import check_usable
from jobx.tools.serving.listening import host_and_port

#: A setting, and what raises a ConfigError of it, or another error.
_Check = tuple[str, Callable[[], object]]
#: Executors with less address space cannot start.
LEAST_MEMORY_BYTES: Final = 64 << 20
_PASSWORD: Final = re.compile(r"(://[^/@\s:]*:)[^/@\s]*@")
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
    refusals.refuse(_wrong(settings, _checks(settings, environ)))


def found(settings: Settings, environ: Mapping[str, str]) -> list[ConfigError]:
    """Return what is wrong with the settings, each by its name.

    It also has what a node finds where it opens its data folder, and makes its result writers,
    which imports those of the settings.
    """
    folder = "node.data_dir", partial(_check_data_folder, settings)
    writers = "results.writer", partial(_check_writers, settings)
    return _wrong(settings, [*_checks(settings, environ), folder, writers])


def _wrong(settings: Settings, checks: Iterable[_Check]) -> list[ConfigError]:
    wrong: list[ConfigError] = []
    for setting, one in checks:
        with refusals.collect(wrong), _named(setting, settings):
            one()
    return wrong


def shown_of(value: object) -> object:
    """Return the value of a setting without the password of a URL: a wrong one may have it."""
    return _PASSWORD.sub(r"\1***@", value) if isinstance(value, str) else value


@contextmanager
def _named(setting: str, settings: Settings) -> Iterator[None]:
    """Raise what says no setting, such as that a path is too long, as a ConfigError of one."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        shown = "a secret" if is_secret(setting) else quote(shown_of(_value(settings, setting)))
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(setting, shown, reason) from error


def _checks(settings: Settings, environ: Mapping[str, str]) -> Iterator[_Check]:
    yield "http.bind", partial(host_and_port, settings.http.bind)
    yield "http.socket_group", partial(_check_group, settings.http.socket_group)
    yield "node.data_dir", partial(_expanded, settings.node.data_dir)
    yield "node.log_path", partial(_check_log_path, settings.node.log_path)
    yield "executors.memory_bytes", partial(_check_memory, settings.executors.memory_bytes)
    for name, paths, mode in (
        ("results.file_path", (settings.results.file_path,), os.W_OK),
        ("scope.path", settings.scope.path, os.R_OK),
    ):
        for path in paths:
            yield name, partial(_check_folder, name, path, mode)
    for name in _FILES:
        yield name, partial(_check_file, name, str(_value(settings, name)))
    for name in ("notify.http_url", "results.http_url"):
        yield name, partial(urls.trusted, str(_value(settings, name)), name)
    for text in settings.outbound.allow:
        yield "outbound.allow", partial(urls.origin_of, text)
    for text in settings.outbound.networks:
        yield "outbound.networks", partial(urls.network_of, text)
    yield "mail.sender", partial(_check_sender, settings)
    if settings.otel.endpoint:
        yield "otel.endpoint", partial(urls.trusted, settings.otel.endpoint, "otel.endpoint")
        yield "otel.endpoint", partial(Collector, settings.otel.endpoint, settings.node.id)
    if settings.store.url:
        yield "store.url", partial(opening.servers_of, settings.store.url)
    yield "files.url", partial(places.check, settings.files)
    if settings.blobs.location:
        yield "blobs.url", partial(blob_places.check, settings.blobs)
    yield "cluster.key_file", partial(requirements.check, settings)
    yield "scope.secrets", partial(read_secrets, settings.scope.secrets, environ)


def _value(settings: Settings, setting: str) -> object:
    section, _, field = setting.partition(".")
    return getattr(getattr(settings, section), field)


def _expanded(text: str) -> Path:
    """Return a path in which ``~`` is a folder of a user.

    Raises:
        RuntimeError: There is no such user.
    """
    return Path(text).expanduser()


def _check_data_folder(settings: Settings) -> None:
    """Check that this user can use the data folder, or make it."""
    path = settings.data_dir
    _check_data_dir(path)
    try:
        check_usable(path)
    except StoreRefused as error:
        raise ConfigError("node.data_dir", repr(str(path)), error.args[1]) from error


def _check_writers(settings: Settings) -> None:
    """Make all result writers; those of the settings are imported."""
    from jobx.actors.egress.http_client import Outbound  # noqa: PLC0415 - few commands need it
    from jobx.actors.egress.writers.base import WriterSite  # noqa: PLC0415 - as above
    from jobx.actors.egress.writers.registry import Writers  # noqa: PLC0415 - as above

    Writers(WriterSite(settings, Outbound(OutboundSettings(), []), time.time))


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
    path = _expanded(text)
    if not path.is_dir():
        raise ConfigError(setting, repr(text), "must be a folder that exists")
    if not os.access(path, mode | os.X_OK):
        raise ConfigError(setting, repr(text), "this user may not use it")


def _check_file(setting: str, text: str) -> None:
    if not text:
        return
    path = Path(text)
    if path.exists() and not path.is_file():  # to open a pipe would wait for its writer
        raise ConfigError(setting, repr(text), "must be a file")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise ConfigError(setting, repr(text), error.strerror or str(error)) from error


def _check_sender(settings: Settings) -> None:
    for name in ("notify.email_to", "results.email_to"):
        if _value(settings, name) and not settings.mail.sender:
            raise ConfigError("mail.sender", "''", f"must be set for {name}")
