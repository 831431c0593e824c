"""What a Falcon application answers on gunicorn's asgi worker, as JobX's web worker is run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.bench.peers.base import Call, Peer
from tests.bench.peers.http_client import HttpClient, argument
from tests.bench.work import check, sums_of

_STOP_S = 30.0


class GunicornPeer(Peer):
    """One web worker; it answers with the body of the request.

    Args:
        folder: As each peer's.
        application: Where gunicorn finds it.
        environ: Variables that the application reads.
    """

    def __init__(self, folder: Path, application: str, environ: Mapping[str, str]) -> None:
        super().__init__(folder)
        with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
            self._address = listener.getsockname()
            number = listener.fileno()
            options = f"--worker-class asgi --bind fd://{number} --no-control-socket"
            self._process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", *options.split(), application],
                env=os.environ | environ,
                pass_fds=(number,),
            )

    def client(self) -> Call:
        http = HttpClient(self._address)

        def ask(number: int) -> dict[int, int]:
            check("body", http.post("/", argument(number)), argument(number))
            return sums_of(number)

        return ask

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=_STOP_S)
