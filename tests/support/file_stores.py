"""Every kind of back end of shared files, on real servers that run once for all tests."""

from __future__ import annotations

import secrets
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from jobx.config_sections import FilesSettings
from jobx.handlers.files import opening
from jobx.handlers.files.backend import BackEnd
from jobx.handlers.files.files import FS
from tests.support.services import need, serving
from tests.support.waiting import eventually

#: Its parts take a minute to install, so it is asked for by its marker only.
TAHOE = pytest.param("tahoe", marks=pytest.mark.tahoe)
KINDS = ("file", "memory", "s3", "sftp", TAHOE)


class Stores:
    """A back end of each kind; its server is started when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: dict[str, dict[str, Any]] = {}
        self._servers = ExitStack()
        self._settings: dict[str, FilesSettings] = {}
        self._back_ends: dict[str, BackEnd] = {}

    def close(self) -> None:
        """Stop the servers."""
        self._servers.close()

    def settings(self, kind: str) -> FilesSettings:
        """Return the settings of the back end of a kind."""
        if kind not in self._settings:
            self._settings[kind] = getattr(self, f"_{kind}")()
        return self._settings[kind]

    def back_end(self, kind: str) -> BackEnd:
        """Return the back end of a kind, connected."""
        if kind not in self._back_ends:
            self._back_ends[kind] = opening.connect(self.settings(kind))
        return self._back_ends[kind]

    def root(self, kind: str) -> Path:
        """Return the folder that is the root of the back end ``file`` or ``sftp``."""
        return self._folder / f"{kind}-root"

    def _file(self) -> FilesSettings:
        self.root("file").mkdir(mode=0o750)
        return FilesSettings(url=f"file://{self.root('file')}", options={"fsync": False})

    def _memory(self) -> FilesSettings:
        return FilesSettings(url="memory://tests")

    def _s3(self) -> FilesSettings:
        need("s3", "services", "s3fs", "moto", "flask_cors")
        server = self._server("s3")
        options = {"key": "k", "secret": "s", "endpoint_url": server["endpoint_url"]}
        return FilesSettings(url=f"s3://{server['bucket']}/below/it", options=options)

    def _sftp(self) -> FilesSettings:
        need("sftp", "services", "sshfs", "asyncssh")
        server = self._server("sftp", str(self._folder))
        self.root("sftp").mkdir()
        options = {key: server[key] for key in ("known_hosts", "password")}
        url = f"sftp://{server['username']}@127.0.0.1:{server['port']}{self.root('sftp')}"
        return FilesSettings(url=url, options=options)

    def _tahoe(self) -> FilesSettings:
        need("tahoe", "tahoe", "allmydata")
        prefix = self._server("tahoe", str(self._folder / "tahoe"))["url_prefix"]
        cap = eventually(lambda: _new_directory(prefix))
        return FilesSettings(tahoe_dir_uri=cap, tahoe_webapi_url_prefix=prefix)

    def new_directory(self) -> str:
        """Return the cap of a new directory of the grid."""
        prefix = self.settings("tahoe").tahoe_webapi_url_prefix
        return str(eventually(lambda: _new_directory(prefix)))

    def _server(self, module: str, *arguments: str) -> dict[str, Any]:
        if module not in self._started:
            running = serving(module, *arguments)
            self._started[module] = self._servers.enter_context(running)
        return self._started[module]


def _new_directory(prefix: str) -> str | None:
    """Return the cap of a new directory, None while the grid is not connected to itself."""
    request = urllib.request.Request(f"{prefix}/uri?t=mkdir", b"", method="POST")  # noqa: S310 - ours
    try:
        with urllib.request.urlopen(request, timeout=30.0) as answer:  # noqa: S310 - ours
            return str(answer.read().decode())
    except OSError:
        return None


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """All kinds of back ends."""
    made = Stores(tmp_path_factory.mktemp("stores"))
    yield made
    made.close()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def workflow() -> str:
    return f"w{secrets.token_hex(4)}"


@pytest.fixture
def fs(kind: str, stores: Stores, workflow: str) -> FS:
    return FS(lambda: workflow, lambda: stores.back_end(kind))


def write(fs: FS, path: str, content: bytes = b"content") -> None:
    with fs.open(path, "wb") as file:
        file.write(content)


def read(fs: FS, path: str) -> bytes:
    with fs.open(path, "rb") as file:
        return bytes(file.read())


def names(fs: FS, path: str = ".") -> list[str]:
    return [name for name, _ in fs.ls(path)]
