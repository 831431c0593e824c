"""A real browser: opens a page of a test's own and says what became of it."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.services import absent

#: A name that no network knows; the browser is told that it is this machine.
ELSEWHERE = "elsewhere.example"


def program() -> str:
    """Return where Chromium is; skip the test, or fail it, when it is nowhere."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    return found or absent("chromium", "there is no chromium on PATH")


def opened(url: str, folder: Path) -> str:
    """Return the document that a page has become when it has done all that it does."""
    command = [program(), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += [f"--user-data-dir={folder}", f"--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1"]
    command += ["--disable-dev-shm-usage", "--virtual-time-budget=20000", "--dump-dom", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
    return done.stdout


class _Server6(ThreadingHTTPServer):
    address_family = socket.AF_INET6


@contextmanager
def page(text: str, relayed_to: int | None = None, address: str = "127.0.0.1") -> Iterator[int]:
    """Serve a page at ``/page``, and give the port.

    Args:
        text: The page.
        relayed_to: Everything else is passed on to this port, as it is when a name comes to
            mean another machine.
        address: Where it is served.
    """

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            if self.path == "/page":
                self._write(200, text.encode())
            elif relayed_to is not None:
                self._write(*self._relayed(relayed_to))
            else:
                self._write(404, b"")

        def __getattr__(self, name: str) -> Callable[[], None]:
            return self.answer if name.startswith("do_") else object.__getattribute__(self, name)

        def _relayed(self, port: int) -> tuple[int, bytes]:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            with contextlib.closing(connection):
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                return answer.status, answer.read()

        def _write(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = (_Server6 if ":" in address else ThreadingHTTPServer)((address, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(60)
