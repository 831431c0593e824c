"""A Redis that keeps nothing on disk."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

from tests.support.waiting import eventually

_START_S = 30.0


class RedisServer:
    """Runs until it is closed; ``url`` is where."""

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._address = listener.getsockname()
        port = self._address[1]
        self.url = f"redis://127.0.0.1:{port}/0"
        options = f"--bind 127.0.0.1 --port {port} --appendonly no --dir {folder}"
        self._process = subprocess.Popen(["redis-server", *options.split(), "--save", ""])
        eventually(self._listens, _START_S)

    def _listens(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(self._address) == 0

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=_START_S)
