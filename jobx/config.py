"""Settings: defaults, then a TOML file, then ``JOBX_*`` variables, then flags.

The only reader of the environment. A setting ``name`` of section ``[part]`` is the variable
``JOBX_PART_NAME``. Every wrong setting is refused by its name.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import tomllib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from jobx.errors import ConfigError, quote

PositiveInt = Annotated[int, msgspec.Meta(ge=1)]
#: Seconds, at most a year: more is as good as no limit, and no timer takes infinity.
PositiveFloat = Annotated[float, msgspec.Meta(gt=0, le=31_536_000)]

ENV_PREFIX: Final = "JOBX_"
#: Longest name that a Unix socket may have, with its closing zero byte: 108.
MAX_SOCKET_PATH_BYTES: Final = 107


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all sections."""


class NodeSettings(Section, frozen=True, kw_only=True):
    """What a node is and where it keeps its state."""

    #: Folder of the store, the blobs, the gateway's socket and the lock.
    data_dir: str = "jobx-data"
    #: Executor processes; 0 means one for each processor.
    executors: Annotated[int, msgspec.Meta(ge=0, le=256)] = 0
    #: Capabilities that this node offers.
    capabilities: tuple[str, ...] = ("general",)
    #: How long a stopping node waits for running work.
    drain_s: PositiveFloat = 10.0
    log_level: Literal["debug", "info", "warning", "error"] = "info"


class HttpSettings(Section, frozen=True, kw_only=True):
    """The web workers."""

    bind: str = "127.0.0.1:8080"
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    #: Largest request body, before and after decompression.
    max_body_bytes: PositiveInt = 8 << 20
    #: Deepest nesting of a JSON body.
    max_depth: Annotated[int, msgspec.Meta(ge=2, le=64)] = 32
    #: Longest that a blocking request waits; it then gets 202 and a location.
    max_wait_s: PositiveFloat = 300.0
    #: A result with more pairs is not sent as one JSON document but streamed.
    max_inline_pairs: PositiveInt = 100_000
    #: Largest page of a listing.
    max_page: PositiveInt = 1000


class RequestSettings(Section, frozen=True, kw_only=True):
    """Limits and policies of requests."""

    #: Requests that may be open at once; further ones get 503.
    max_open: PositiveInt = 10_000
    #: A request that takes longer fails.
    time_limit_s: PositiveFloat = 86_400.0
    #: One invocation that takes longer fails, unless its handler says otherwise.
    invocation_time_limit_s: PositiveFloat = 3600.0
    #: Tries of an invocation whose executor dies under it, before its request fails.
    lost_attempts: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    #: How long a finished request and its blobs are kept.
    retention_s: PositiveFloat = 86_400.0
    #: Mapped children of one mapper that may be open at once.
    window: PositiveInt = 4000
    #: Invocations that a request may have in all; 0 means no limit.
    max_invocations: Annotated[int, msgspec.Meta(ge=0)] = 0
    #: How deep mappers may map on.
    max_tree_depth: PositiveInt = 1000


class ExecutorSettings(Section, frozen=True, kw_only=True):
    """The processes that run author code."""

    #: Address space of an executor; 0 means no limit.
    memory_bytes: Annotated[int, msgspec.Meta(ge=0)] = 4 << 30
    #: Pairs that one invocation may hold before it spills to disk, by estimated size.
    spill_bytes: PositiveInt = 64 << 20
    #: An executor is replaced after this many invocations …
    recycle_invocations: PositiveInt = 1_000_000
    #: … or when its resident memory has grown by this much.
    recycle_growth_bytes: PositiveInt = 256 << 20
    #: Output of one invocation that is kept.
    output_bytes: PositiveInt = 64 << 10
    #: Largest value that travels inside a frame and an event; larger ones become blobs.
    inline_bytes: PositiveInt = 64 << 10
    #: Environment variables that author code may see.
    environment: tuple[str, ...] = ("PATH", "LANG", "LC_ALL", "TZ")


class Settings(Section, frozen=True, kw_only=True):
    """All settings of a process."""

    node: NodeSettings = NodeSettings()
    http: HttpSettings = HttpSettings()
    requests: RequestSettings = RequestSettings()
    executors: ExecutorSettings = ExecutorSettings()

    @property
    def data_dir(self) -> Path:
        """The data folder as an absolute path."""
        return Path(self.node.data_dir).expanduser().absolute()

    @property
    def store_path(self) -> Path:
        """The file of the embedded store."""
        return self.data_dir / "jobx.sqlite"

    @property
    def gateway_path(self) -> Path:
        """The socket of the node's gateway.

        It is in the data folder, unless that has too long a path for the name of a socket.
        """
        path = self.data_dir / "gateway.sock"
        if len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES:
            return path
        digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:20]
        return Path(tempfile.gettempdir()) / f"jobx-{os.getuid()}-{digest}.sock"

    @property
    def executor_count(self) -> int:
        """Executor processes to start."""
        return self.node.executors or (os.cpu_count() or 1)


def load(
    path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> Settings:
    """Return the settings.

    Args:
        path: A TOML file, or None for the one that ``JOBX_CONFIG`` names, if any.
        environ: The environment, for ``JOBX_*`` variables.
        flags: Settings by dotted name (``node.data_dir``); None values are passed over.

    Raises:
        ConfigError: The file cannot be read, or a setting is unknown or wrong.
    """
    if path is None and environ.get("JOBX_CONFIG"):
        path = Path(environ["JOBX_CONFIG"])
    tree: dict[str, dict[str, Any]] = _read(path) if path else {}
    for section, name, text in _variables(environ):
        tree.setdefault(section, {})[name] = _parse(section, name, text)
    for dotted, value in (flags or {}).items():
        if value is not None:
            section, _, name = dotted.partition(".")
            tree.setdefault(section, {})[name] = value
    return _convert(tree)


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        tree = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError("file", str(path), str(error)) from error
    for section, fields in tree.items():
        if not isinstance(fields, dict):
            raise ConfigError(section, quote(fields), "must be a section of settings")
    return tree


def _variables(environ: Mapping[str, str]) -> list[tuple[str, str, str]]:
    sections = {part.upper(): part for part in Settings.__struct_fields__}
    found = []
    for variable, text in sorted(environ.items()):
        head, _, name = variable.removeprefix(ENV_PREFIX).partition("_")
        if variable.startswith(ENV_PREFIX) and head in sections and name:
            found.append((sections[head], name.lower(), text))
    return found


def _parse(section: str, name: str, text: str) -> object:
    kinds = typing.get_type_hints(typing.get_type_hints(Settings)[section])
    if typing.get_origin(kinds.get(name)) is tuple:
        return [item.strip() for item in text.split(",") if item.strip()]
    return text


def _convert(tree: Mapping[str, dict[str, Any]]) -> Settings:
    parts: dict[str, Any] = {}
    kinds = typing.get_type_hints(Settings)
    for section, fields in tree.items():
        if section not in kinds:
            known = ", ".join(Settings.__struct_fields__)
            raise ConfigError(section, "a section", f"unknown; the sections are {known}")
        parts[section] = _convert_section(section, kinds[section], fields)
    return Settings(**parts)


def _convert_section(section: str, kind: type[Section], fields: Mapping[str, Any]) -> Section:
    hints = typing.get_type_hints(kind, include_extras=True)
    checked = {}
    for name, value in fields.items():
        setting = f"{section}.{name}"
        if name not in hints:
            known = ", ".join(kind.__struct_fields__)
            raise ConfigError(setting, quote(value), f"unknown; [{section}] knows {known}")
        try:
            checked[name] = msgspec.convert(value, hints[name], strict=not isinstance(value, str))
        except msgspec.ValidationError as error:
            raise ConfigError(setting, quote(value), str(error)) from error
    return kind(**checked)
