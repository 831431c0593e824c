"""JobX over HTTP: ``jobx serve``, asked over connections that stay open."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench import measure
from tests.bench.peers.base import Call
from tests.bench.peers.http_client import HttpClient, argument
from tests.bench.peers.jobx_peer import WORKFLOW, JobxPeer, create_others
from tests.support.waiting import eventually

_START_S = 30.0


class JobxHttpPeer(JobxPeer):
    def __init__(self, folder: Path, store_url: str = "") -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self._address = listener.getsockname()
        host, port = self._address
        super().__init__(folder, ("serve", "--bind", f"{host}:{port}"), store_url)
        eventually(self._answers, _START_S)

    def client(self) -> Call:
        http = HttpClient(self._address)
        return lambda number: _pairs(http.post(f"/job/{WORKFLOW}/one", argument(number)))

    def argument(self, text: str) -> Callable[[], int]:
        http, body = HttpClient(self._address), json.dumps({"arguments": {"text": text}}).encode()
        return lambda: _pairs(http.post(f"/job/{WORKFLOW}/measure", body))["length"]

    def result(self, size: int) -> Callable[[], bytes]:
        http, body = HttpClient(self._address), json.dumps({"arguments": {"size": size}}).encode()
        return lambda: http.post(f"/job/{WORKFLOW}/give", body)

    def first_calls(self, workflows: int) -> list[Call]:
        names = create_others(self.settings, workflows)
        http = HttpClient(self._address)  # not before: the server closes one that is idle
        return [
            lambda number, name=name: _pairs(http.post(f"/job/{name}/one", argument(number)))
            for name in names
        ]

    def _answers(self) -> bool:
        try:
            socket.create_connection(self._address).close()
        except ConnectionRefusedError:
            return False
        return True


def _pairs(answer: bytes) -> dict[Any, int]:
    return dict(json.loads(answer)["result"]["pairs"])


if __name__ == "__main__":
    measure.main("jobx", JobxHttpPeer)
