"""Tahoe-LAFS through the web API of a gateway: an fsspec file system, and the back end over it.

A directory is a capability ("cap"), which anybody who knows it may use, so no path and no message
contains one. Every change of a folder uses the folder's own cap and one name in it. A longer path
would create missing folders on the way, and two writers that do so at once lose files.
"""

from __future__ import annotations

import errno
import http.client
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, ClassVar, Final
from urllib.parse import quote, urlencode, urlsplit

from fsspec import AbstractFileSystem

from jobx.handlers.files.backend import failure
from jobx.handlers.files.paths import Parts
from jobx.handlers.files.remote import Remote, Stream

_PIECE_BYTES: Final = 4 << 20
_CAP: Final = re.compile(r"URI(:|%3A)\S+", re.IGNORECASE)
_REASON_CHARACTERS: Final = 200
_NUMBERS: Final[Mapping[int, int]] = {404: errno.ENOENT, 409: errno.EEXIST, 507: errno.ENOSPC}


class Tahoe(Remote):
    """A back end on a directory of a grid."""

    fs: TahoeFileSystem

    def copy(self, source: Parts, target: Parts) -> None:
        """Link a file to a second place. Its content never changes, so the link is a copy."""
        self.check_target(target)
        self.fs.cp_file(self.at(source), self.at(target))

    def move(self, source: Parts, target: Parts) -> None:
        """Move a file or folder; a file at ``target`` is replaced."""
        self.check_target(target)
        self.fs.mv_file(self.at(source), self.at(target))


class TahoeFileSystem(AbstractFileSystem):
    """fsspec over the web API, rooted at a directory's cap.

    Args:
        url_prefix: URL of the gateway, such as ``http://127.0.0.1:3456``.
        dir_uri: The writable cap of the directory.
        timeout_s: How long to wait for the gateway.
    """

    protocol: ClassVar[str] = "tahoe"
    cachable = False
    root_marker = ""

    def __init__(self, url_prefix: str, dir_uri: str, timeout_s: float, **options: Any) -> None:
        super().__init__(**options)
        self._address = urlsplit(url_prefix)
        self._cap = dir_uri
        self._timeout_s = timeout_s

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Return name, type, size and mtime."""
        return _info(path, self._node(path))

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """Return the entries of a folder, or the file itself."""
        node = self._node(path)
        below = node[1]["children"].items() if node[0] == "dirnode" else ()
        infos = [_info(f"{path}/{name}".lstrip("/"), child) for name, child in below]
        if node[0] != "dirnode":
            infos = [_info(path, node)]
        return infos if detail else [info["name"] for info in infos]

    def mkdir(self, path: str, create_parents: bool = False, **options: Any) -> None:
        """Create a folder; if several do so at once, one succeeds."""
        parent, name = self._place(path)
        made = self._ask("POST", "uri", {"t": "mkdir"}).decode()
        self._ask("PUT", _url(parent, name), {"t": "uri", "replace": "false"}, made.encode())

    def rmdir(self, path: str) -> None:
        """Remove an empty folder."""
        kind, facts = self._node(path)
        if kind != "dirnode":
            raise failure(errno.ENOTDIR)
        if facts["children"]:
            raise failure(errno.ENOTEMPTY)
        self._ask("DELETE", _url(*self._place(path)))

    def rm_file(self, path: str) -> None:
        """Remove a file."""
        self._ask("DELETE", _url(*self._place(path)))

    def mv_file(self, source: str, target: str) -> None:
        """Move a file or folder; a file is replaced, a folder is not."""
        before, old = self._place(source)
        after, new = self._place(target)
        words = {"t": "relink", "from_name": old, "to_name": new, "to_dir": after}
        self._ask("POST", _url(before), words | {"replace": "only-files"})

    def cp_file(self, path1: str, path2: str, **options: Any) -> None:
        """Link a file to a second place."""
        cap = self._read_cap(path1)
        words = {"t": "uri", "replace": "only-files"}
        self._ask("PUT", _url(*self._place(path2)), words, cap.encode())

    def put_file(self, lpath: str, rpath: str, callback: Any = None, **options: Any) -> None:
        """Upload a local file as an immutable one; this replaces an existing file."""
        words = {"format": "CHK", "replace": "only-files"}
        with open(lpath, "rb") as file:
            self._ask("PUT", _url(*self._place(rpath)), words, file)

    def cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **options: Any
    ) -> bytes:
        """Return the bytes of a file from ``start`` to before ``end``."""
        size_bytes = self.info(path)["size"]
        first, last, _ = slice(start, end).indices(size_bytes)
        return self._fetch(self._read_cap(path), first, max(last - first, 0))

    def _open(self, path: str, mode: str = "rb", *_: Any, **options: Any) -> BinaryIO:
        if mode != "rb":
            raise ValueError("files are written by put_file, as a whole")
        kind, facts = self._node(path)
        if kind != "filenode":
            raise failure(errno.EISDIR)
        cap, size_bytes = facts["ro_uri"], facts["size"]
        stream = Stream(lambda start, wanted: self._fetch(cap, start, wanted), size_bytes)
        return io.BufferedReader(stream, _PIECE_BYTES)

    def _fetch(self, cap: str, start: int, wanted_bytes: int) -> bytes:
        if wanted_bytes <= 0:
            return b""
        span = {"Range": f"bytes={start}-{start + wanted_bytes - 1}"}
        return self._ask("GET", _url(cap), headers=span)

    def _node(self, path: str) -> tuple[str, dict[str, Any]]:
        answer = self._ask("GET", _url(self._cap, *_names(path)), {"t": "json"})
        kind, facts = json.loads(answer)
        return kind, facts

    def _read_cap(self, path: str) -> str:
        kind, facts = self._node(path)
        if kind != "filenode":
            raise failure(errno.EISDIR)
        return str(facts["ro_uri"])

    def _place(self, path: str) -> tuple[str, str]:
        """Return the cap of the folder that a path is in, and its name there."""
        *above, name = _names(path)
        if not above:
            return self._cap, name
        cap = self._ask("GET", _url(self._cap, *above), {"t": "uri"}).decode().strip()
        if not cap.startswith("URI:DIR"):
            raise failure(errno.ENOTDIR)
        return cap, name

    def _ask(
        self,
        method: str,
        path: str,
        words: Mapping[str, str] | None = None,
        body: bytes | BinaryIO | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return what the gateway answers.

        Raises:
            OSError: What its status means.
        """
        target = f"{self._address.path.rstrip('/')}/{path}"
        if words:
            target += f"?{urlencode(words)}"
        with _reached(), self._connection() as connection:
            connection.request(method, target, body, dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read()
        if answer.status >= http.client.MULTIPLE_CHOICES:
            raise _failure(answer.status, content)
        return content

    @contextmanager
    def _connection(self) -> Iterator[http.client.HTTPConnection]:
        secure = self._address.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(self._address.netloc, timeout=self._timeout_s)
        try:
            yield connection
        finally:
            connection.close()


@contextmanager
def _reached() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise failure(errno.ETIMEDOUT) from error
    except (ConnectionError, http.client.HTTPException) as error:
        raise OSError(errno.ECONNREFUSED, "the Tahoe gateway does not answer") from error


def _failure(status: int, content: bytes) -> OSError:
    text = _CAP.sub("URI:…", content.decode("utf-8", "replace"))[:_REASON_CHARACTERS]
    if status == http.client.BAD_REQUEST and "Files have no children" in text:
        return failure(errno.ENOTDIR)
    if status in _NUMBERS:
        return failure(_NUMBERS[status])
    return OSError(errno.EIO, f"the Tahoe gateway answered {status}: {text.strip()}")


def _info(path: str, node: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    kind, facts = node
    linked = facts.get("metadata", {}).get("tahoe", {})
    return {
        "name": path,
        "type": "directory" if kind == "dirnode" else "file",
        "size": 0 if kind == "dirnode" else facts.get("size") or 0,
        "mtime": linked.get("linkmotime"),
    }


def _names(path: str) -> list[str]:
    return [name for name in os.fspath(path).split("/") if name]


def _url(cap: str, *names: str) -> str:
    return "/".join(["uri", *(quote(part, safe="") for part in (cap, *names))])
