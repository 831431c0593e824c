"""From a handler's source file to a handler: name, language, header, checks."""

from __future__ import annotations

import base64
from pathlib import Path, PurePath
from typing import Annotated, Any, Final, get_args

import msgspec

from jobx import model
from jobx.errors import InvalidInput, TooLarge
from jobx.handlers import languages
from jobx.handlers.authoring import checks, header

MAX_SOURCE_BYTES: Final = 1 << 20
#: Largest source of a language whose programs are binaries, in base64: compilers put all that a
#: program needs into it, which takes Go's 4 MiB for the smallest one that uses ``fmt``.
MAX_BINARY_BYTES: Final = 16 << 20
_BINARY: Final = "wasm"
#: What a WebAssembly module begins with.
_MODULE: Final = b"\0asm"
#: The default of ``required_capability``, also for the original's ``none``.
GENERAL: Final = "general"

_TYPES: Final = ", ".join(get_args(model.ArgumentType))
#: Each key of the metadata: its type, and what it accepts in words.
_KEYS: Final[dict[str, tuple[Any, str]]] = {
    "handler_type": (model.HandlerType, "must be mapper, combiner or reducer"),
    "argument_spec": (
        tuple[tuple[Annotated[str, msgspec.Meta(min_length=1)], model.ArgumentType], ...],
        f"must be a list of [name, type] where type is one of {_TYPES}",
    ),
    "required_capability": (model.Name, "must be a name (a-z 0-9 _ . -) or 'none'"),
    "per_key": (bool, "must be true or false"),
    "retry": (model.Retry, "must be a map of attempts, backoff_s, max_backoff_s and on"),
    "time_limit_s": (model.Seconds, "must be a number of seconds above 0"),
    "examples": (
        tuple[model.Example, ...],
        "must be a list of maps of arguments and expected, expected being a list of pairs",
    ),
}
_ALIASES: Final = {"timeout": "time_limit_s"}


def parse(workflow: str, name: str, source_type: str, text: str) -> model.Handler:
    """Return the handler of a source with a header; the source is not checked.

    Args:
        workflow: Name of its workflow.
        name: Name of the handler.
        source_type: Its language.
        text: The source, header included.

    Raises:
        InvalidInput: A name, the header or the metadata is wrong; the error says what is accepted.
        TooLarge: The source is larger than ``most_bytes``.
    """
    where = f"handler {model.check_name('handler name', name)}"
    check_size(where, source_type, text)
    description, metadata = header.read(where, source_type, text)
    return model.Handler(
        workflow_name=model.check_name("workflow name", workflow),
        handler_name=name,
        description=description,
        source_type=model.check_name(f"{where}, language", source_type),
        source_code=text,
        **_fields(where, metadata),
    )


def most_bytes(source_type: str) -> int:
    """Return the most bytes that a source of a language may have."""
    return MAX_BINARY_BYTES if source_type == _BINARY else MAX_SOURCE_BYTES


def read(path: Path) -> str:
    """Return the text of a handler's file; of a file that is too large, only the beginning.

    Raises:
        InvalidInput: It cannot be read, or is not UTF-8.
    """
    try:
        body = _beginning(path, most_bytes(languages.by_ending(path.suffix) or ""))
        return body.decode("utf-8-sig")
    except OSError as error:
        raise InvalidInput("file", path.name, str(error)) from error
    except UnicodeDecodeError as error:
        reason = str(error)
        if body.startswith(_MODULE):
            reason = (
                "is a bare module without a header: put the header before it, and the module in "
                "base64, or store it with jobx handler create --file"
            )
        raise InvalidInput("file", path.name, reason) from error


def _beginning(path: Path, most: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(most + 1)


def read_bare(path: Path, source_type: str) -> str:
    """Return the source in a file that need have no header; a binary in base64.

    Raises:
        InvalidInput: It cannot be read, is empty, or not UTF-8.
        TooLarge: It is larger than ``most_bytes``.
    """
    try:
        body = _beginning(path, most_bytes(source_type))
    except OSError as error:
        raise InvalidInput("file", path.name, str(error)) from error
    return text_of(f"file {path.name}", source_type, body)


def text_of(where: str, source_type: str, body: bytes) -> str:
    """Return a source of which all but the text is known otherwise; a binary in base64.

    Raises:
        InvalidInput: It is empty, or not UTF-8.
        TooLarge: It is larger than ``most_bytes``.
    """
    if not body.strip():
        raise InvalidInput(where, "nothing", "must not be empty")
    if source_type == _BINARY and body.startswith(_MODULE):
        body = base64.encodebytes(body)
    if len(body) > most_bytes(source_type):
        reason = f"must not be larger than {most_bytes(source_type)} bytes"
        raise TooLarge(where, f"{len(body)} bytes or more", reason)
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(where, str(error), "must be UTF-8") from error


def write(text: str) -> bytes:
    """Return the bytes of a file that ``read`` reads as a text."""
    return text.encode("utf-8-sig" if text.startswith("\ufeff") else "utf-8")


def check_size(where: str, source_type: str, text: str) -> None:
    """Refuse a source that is too large, or not UTF-8.

    Raises:
        InvalidInput: It has a lone surrogate.
        TooLarge: It is larger than ``most_bytes``.
    """
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{where}, source", "a lone surrogate", "must be UTF-8") from error
    if size_bytes > (most := most_bytes(source_type)):
        reason = f"must not be larger than {most} bytes"
        raise TooLarge(f"{where}, source", f"{size_bytes} bytes", reason)


def name_of(path: PurePath) -> str:
    """Return the name of the handler in the file at ``path``, which is relative to its folder.

    Raises:
        InvalidInput: The path does not make a name.
    """
    name = "_".join(path.with_suffix("").parts)
    return model.check_name(f"handler file {path}", name)


def check(handler: model.Handler) -> None:
    """Check that the source of a handler can be loaded: its syntax and its signature.

    Raises:
        InvalidInput: It cannot, or its language is unknown.
    """
    if not handler.source_code.strip():
        raise InvalidInput(f"handler {handler.handler_name}", "source code", "must not be empty")
    try:
        checks.check(handler.source_type, handler.source_code, handler.handler_type)
    except InvalidInput as error:
        where, value, reason = error.args
        raise InvalidInput(f"handler {handler.handler_name}: {where}", value, reason) from error


def _fields(where: str, metadata: dict[str, Any]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for key, value in metadata.items():
        field = _ALIASES.get(key, key)
        if field not in _KEYS:
            known = ", ".join((*_KEYS, *_ALIASES))
            raise InvalidInput(f"{where}, metadata key", repr(key), f"unknown; known are {known}")
        if field in fields:
            raise InvalidInput(f"{where}, metadata key", repr(key), f"repeats {field}")
        fields[field] = _convert(f"{where}, {key}", field, value)
    if "handler_type" not in fields:
        raise InvalidInput(f"{where}, handler_type", "nothing", _KEYS["handler_type"][1])
    return fields


def _convert(where: str, field: str, value: Any) -> Any:
    kind, accepted = _KEYS[field]
    try:
        converted = msgspec.convert(_plain(field, value), kind)
    except msgspec.ValidationError as error:
        reason = f"{accepted} ({error})"
        raise InvalidInput(where, repr(value)[:120], reason) from error
    if field == "argument_spec":
        _check_unique(where, [name for name, _ in converted])
    return converted


def _plain(field: str, value: Any) -> Any:
    """Return metadata in the one form that is stored, from any accepted form."""
    if field == "required_capability" and value in (None, "none"):
        return GENERAL
    if field == "argument_spec":
        return _plain_spec(value)
    return value


def _plain_spec(value: Any) -> Any:
    if value is None:
        return ()
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, list):
        return [_plain_argument(item) for item in value]
    return value


def _plain_argument(item: Any) -> Any:
    if isinstance(item, dict) and item.keys() == {"name", "type"}:
        return item["name"], item["type"]
    return item


def _check_unique(where: str, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidInput(where, repr(name), "an argument is named twice")
        seen.add(name)
