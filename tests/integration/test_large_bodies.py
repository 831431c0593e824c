"""What large bodies leave of the memory of a web worker, and of the time of others."""

from __future__ import annotations

import contextlib
import http.client
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.served import served
from tests.support.waiting import eventually

MIB = 1 << 20
#: Text of this takes four times as many bytes in Python as in a body.
TEXT = "a" * (8 * MIB - 100) + "\N{GRINNING FACE}"
BODY = json.dumps({"arguments": {"a": TEXT}}, ensure_ascii=False).encode()
CLIENTS = 40


def memory_bytes(pid: int, name: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (found,) = [line.split()[1] for line in lines if line.startswith(f"{name}:")]
    return int(found) * 1024


def test_memory_of_large_bodies_has_a_limit_and_is_given_back(tmp_path: Path) -> None:
    with served(tmp_path / "d", JOBX_HTTP_BODIES_BYTES=str(64 * MIB)) as one:
        (worker,) = one.web_workers()
        before = memory_bytes(worker, "VmRSS")

        def post(_: int) -> int:
            client = http.client.HTTPConnection("127.0.0.1", one.port, timeout=100)
            with contextlib.closing(client):
                client.request("POST", "/job/no/no", BODY, {"Content-Type": "application/json"})
                return client.getresponse().status

        with ThreadPoolExecutor(CLIENTS) as clients:
            statuses = set(clients.map(post, range(CLIENTS)))

        assert statuses <= {404, 503}
        # One is decoded at a time, which takes some ten times its bytes.
        assert memory_bytes(worker, "VmHWM") < before + 64 * MIB + 12 * 8 * MIB
        eventually(lambda: memory_bytes(worker, "VmRSS") < before + 32 * MIB)
