"""The one way from a path of author code to names below the workflow's folder.

The result is a list of plain names. So no back end ever sees ``..``, an absolute path, a scheme, or
a separator that it may interpret in its own way. This happens before any back end is asked.
"""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from typing import Final, TypeAlias
from urllib.parse import unquote

#: Names from the root of a back end, or from the workflow's folder, downwards.
Parts: TypeAlias = tuple[str, ...]

#: S3 takes keys of 1024 bytes, and the prefix of the deployment comes on top.
MAX_PATH_BYTES: Final = 900
MAX_NAME_BYTES: Final = 255

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|~")
_SEPARATORS: Final = re.compile(r"[/\\\0]")
_DOTS: Final = re.compile(r"[. ]{2,}|\s+")
#: Control characters, lone surrogates, line and paragraph separators.
_UNWRITABLE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


class PathRefused(PermissionError):
    """A path that FS refuses: ``filename`` is the path, ``strerror`` says why."""


def refused(reason: str, path: str | None = None) -> PathRefused:
    """Return the error for a refused path."""
    return PathRefused(errno.EPERM, reason, path)


def normalise(path: str | os.PathLike[str]) -> Parts:
    """Return the names that lead to ``path`` from the workflow's folder, which is ``.``.

    Raises:
        PathRefused: The path is invalid, or may lead out of the folder on some back end.
    """
    text = os.fspath(path) if isinstance(path, os.PathLike) else path
    if not isinstance(text, str):
        raise refused(f"a path is text, not {type(text).__name__}", repr(text)[:80])
    reason = _wrong_text(text)
    parts = tuple(part for part in text.split("/") if part not in ("", "."))
    if reason is None and parts and _SCHEME.match(parts[0]):
        reason = "a scheme, drive or home folder is none of this file system"
    for part in parts:
        reason = reason or _wrong_name(part)
    if reason is not None:
        raise refused(reason, text)
    return parts


def _wrong_text(text: str) -> str | None:
    if not text:
        return "an empty path names nothing"
    if any(unicodedata.category(character) in _UNWRITABLE for character in text):
        return "control characters and half characters cannot be part of a path"
    if len(text.encode()) > MAX_PATH_BYTES:
        return f"a path has at most {MAX_PATH_BYTES} bytes"
    if text.startswith("/"):
        return "an absolute path leads out of the workflow's folder"
    if "\\" in text:
        return "a backslash cannot be part of a path"
    if "::" in text:
        return "a chain of file systems is no path"
    return None


def _wrong_name(name: str) -> str | None:
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"a name has at most {MAX_NAME_BYTES} bytes"
    plain = _plain(name)
    if _DOTS.fullmatch(plain):
        return "'..', and what may be read as it, leads out of the workflow's folder"
    if _SEPARATORS.search(plain):
        return "an encoded separator may lead out of the workflow's folder"
    return None


def _plain(name: str) -> str:
    """Return the plain form of a name, without encodings and look-alike characters."""
    before = None
    while before != name:
        before, name = name, unicodedata.normalize("NFKC", unquote(name))
    return name
