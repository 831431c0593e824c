"""Names of keys in v2, where a key is a file or a folder, never both.

Each part of a key between slashes is a name. All but letters, digits and ``-._~`` is escaped as
``=XX``, also a leading ``_``, which v2 hides, and a leading dot. An empty part is ``=_``.

A file and a folder of one name differ in a ``=`` at the end. Entities have none: they are found
with ``etcdctl get entities/job/<workflow>/<job>``. Everywhere else folders have none, and files do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_PLAIN: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_NOT_FIRST: Final = b"._"
_EMPTY: Final = "=_"
_MARK: Final = "="
#: The parts of a key of an entity, by class; of other classes than these, ``_PARTS``.
_WORKFLOW: Final = ("entities", "workflow")
_PARTS: Final = 4


def escaped(name: str) -> str:
    """Return a part of a key as v2 has it."""
    return "".join(map(_escaped, enumerate(name.encode()))) or _EMPTY


def _escaped(numbered: tuple[int, int]) -> str:
    place, byte = numbered
    is_plain = byte in _PLAIN and (place > 0 or byte not in _NOT_FIRST)
    return chr(byte) if is_plain else f"={byte:02X}"


def unescaped(text: str) -> str | None:
    """Return the part of a key, None if ``text`` is none."""
    if text == _EMPTY:
        return ""
    first, *others = text.split("=")
    try:
        body = first.encode() + b"".join(
            bytes.fromhex(other[:2]) + other[2:].encode() for other in others
        )
        name = body.decode()
    except ValueError:
        return None
    return name if escaped(name) == text else None


def _is_for_files(parts: Sequence[str]) -> bool:
    """Tell whether files have no mark at the place that these parts lead to."""
    if parts[0] != _WORKFLOW[0]:
        return False
    if tuple(parts[:2]) == _WORKFLOW:
        return len(parts) == _PARTS - 1
    return len(parts) == _PARTS


def _name(parts: Sequence[str], is_file: bool) -> str:
    """Return the name of a file, or a folder, whose key has these parts."""
    is_marked = is_file is not _is_for_files(parts)
    return escaped(parts[-1]) + (_MARK if is_marked else "")


class Names:
    """The names of the keys of one store.

    Args:
        root: What all keys begin with: nothing, or text with a slash at the end.
    """

    def __init__(self, root: str) -> None:
        parts = root.split("/")[:-1]
        self._base = "".join(f"/{escaped(part)}" for part in parts)
        #: The folder of all keys.
        self.base = self._base or "/"
        #: Whether it is a folder that may be removed.
        self.has_root = bool(parts)

    def depth(self, path: str) -> int:
        """Return the number of names in a path."""
        return path.removeprefix(self._base).count("/")

    def path(self, key: str) -> str:
        """Return the path of a key."""
        parts = key.split("/")
        return f"{self._folders(parts[:-1])}/{_name(parts, is_file=True)}"

    def folder(self, prefix: str) -> str:
        """Return the path of the folder of all keys that begin with a prefix."""
        return self._folders(prefix.split("/")[:-1]) or "/"

    def _folders(self, parts: Sequence[str]) -> str:
        names = (_name(parts[: end + 1], is_file=False) for end in range(len(parts)))
        return self._base + "".join(f"/{name}" for name in names)

    def key(self, path: str, is_file: bool = True) -> str | None:
        """Return the key of a path, of a folder with a slash at the end; None if it has none."""
        parts: list[str] = []
        for name in path.removeprefix(self._base).split("/")[1:]:
            part = unescaped(name.removesuffix(_MARK))
            if part is None:
                return None
            parts.append(part)
        key = "/".join(parts) + ("" if is_file else "/")
        expected = self.path(key) if is_file else self.folder(key)
        return key if expected == path else None
