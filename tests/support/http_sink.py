"""A real HTTP server that takes what is posted, or does not."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Post:
    path: str
    headers: Mapping[str, str]
    body: bytes


class HttpSink(ThreadingHTTPServer):
    """Keeps posts in ``posts``; ``answer`` gives a status and headers for each."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.posts: list[Post] = []
        self.answer: Callable[[Post], tuple[int, dict[str, str]]] = lambda _: (204, {})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/in?token=hidden"


class _Handler(BaseHTTPRequestHandler):
    server: HttpSink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        post = Post(self.path, dict(self.headers), body)
        self.server.posts.append(post)
        status, headers = self.server.answer(post)
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def http_sink(port: int = 0, tls: ssl.SSLContext | None = None) -> Iterator[HttpSink]:
    """Serve in a thread."""
    with HttpSink(port) as sink:
        if tls is not None:
            sink.socket = tls.wrap_socket(sink.socket, server_side=True)
        thread = threading.Thread(target=sink.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield sink
        finally:
            sink.shutdown()
            thread.join()
