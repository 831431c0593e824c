"""The header of a handler's source: a description, a line ``**``, then metadata.

It is the docstring in Python, and the first comment in other languages. ``**`` and ``**yaml``
announce YAML, ``**json`` announces JSON. The metadata has only plain values: no tags, no aliases,
and words such as ``on`` and ``no`` are text.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
import re
import textwrap
import tokenize
import warnings
from collections.abc import Callable
from typing import Any, Final

from jobx import values
from jobx.errors import InvalidInput, TooLarge
from jobx.handlers.authoring import strict_yaml

#: Largest header, with its description. It is far below a source, because YAML is slow to read.
MAX_HEADER_BYTES: Final = 64 << 10

_MARK: Final = re.compile(r"^[ \t]*\*\*(\w*)[ \t]*$", re.MULTILINE)
_STARRED: Final = re.compile(r"\s*\*( |$)")
_NOT_CODE: Final = frozenset({tokenize.COMMENT, tokenize.NL, tokenize.ENCODING})


def read(where: str, source_type: str, text: str) -> tuple[str, dict[str, Any]]:
    """Return the description and the metadata of a handler's source.

    Args:
        where: The owner of the source, for errors.
        source_type: Language of the source; it decides the form of the header.
        text: The source.

    Raises:
        InvalidInput: There is no header, or its metadata cannot be read.
        TooLarge: The header is larger than MAX_HEADER_BYTES.
    """
    header = _EXTRACTORS.get(source_type, _hash_comment)(text)
    if header is None:
        reason = "must start with a description, a line '**' and metadata"
        raise InvalidInput(f"{where}, header", "none", reason)
    try:
        size_bytes = len(header.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{where}, header", "a lone surrogate", "must be UTF-8") from error
    if size_bytes > MAX_HEADER_BYTES:
        reason = f"must not be larger than {MAX_HEADER_BYTES} bytes"
        raise TooLarge(f"{where}, header", f"{len(header)} characters", reason)
    mark = _MARK.search(header)
    if mark is None:
        reason = "needs a line '**', '**yaml' or '**json' between description and metadata"
        raise InvalidInput(f"{where}, header", repr(header[-60:]), reason)
    text = header[mark.end() :].removeprefix("\n")
    metadata = _parse(f"{where}, metadata", mark[1].lower() or "yaml", text)
    return header[: mark.start()].strip(), metadata


def _docstring(text: str) -> str | None:
    # Only the first token of code is read; the rest is checked elsewhere.
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.STRING:
                return _text(token.string)
            if token.type not in _NOT_CODE:
                return None
    except (SyntaxError, ValueError, tokenize.TokenError):
        return None
    return None


def _text(literal: str) -> str | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd escape in a description is harmless
        value = ast.literal_eval(literal)
    return inspect.cleandoc(value) if isinstance(value, str) else None


def _slash_comment(text: str) -> str | None:
    body = _without_shebang(text).lstrip()
    if not body.startswith("/*"):
        return _line_comment(body, "//")
    block, end, _ = body[2:].removeprefix("*").partition("*/")
    if not end:
        return None
    lines = block.splitlines()
    if all(_STARRED.match(line) for line in lines[1:] if line.strip()):
        lines[1:] = [_STARRED.sub("", line, count=1) for line in lines[1:]]
    return inspect.cleandoc("\n".join(lines))


def _hash_comment(text: str) -> str | None:
    return _line_comment(_without_shebang(text).lstrip(), "#")


def _semicolon_comment(text: str) -> str | None:
    return _line_comment(text.lstrip(), ";;")


def _line_comment(text: str, mark: str) -> str | None:
    lines = []
    for line in text.splitlines():
        if not line.startswith(mark):
            break
        lines.append(line.removeprefix(mark).rstrip())
    return textwrap.dedent("\n".join(lines)) if lines else None


def _without_shebang(text: str) -> str:
    return text.partition("\n")[2] if text.startswith("#!") else text


_EXTRACTORS: Final[dict[str, Callable[[str], str | None]]] = {
    "python": _docstring,
    "javascript": _slash_comment,
    "wasm": _semicolon_comment,
}


def _parse(where: str, form: str, text: str) -> dict[str, Any]:
    reader = _READERS.get(form)
    if reader is None:
        raise InvalidInput(where, f"**{form}", "must be announced by '**', '**yaml' or '**json'")
    try:
        metadata = reader(text)
        json.dumps(metadata, ensure_ascii=False).encode()  # refuses lone surrogates
    except (ValueError, RecursionError) as error:
        reason = f"cannot be read as {form}: {' '.join(str(error).split())}"
        raise InvalidInput(where, repr(text.strip()[:60]), reason) from error
    if not isinstance(metadata, dict) or not all(isinstance(key, str) for key in metadata):
        raise InvalidInput(where, repr(metadata)[:60], "must be a map with text keys")
    return metadata


_READERS: Final[dict[str, Callable[[str], Any]]] = {
    "yaml": strict_yaml.read,
    "json": values.read_json,
}
