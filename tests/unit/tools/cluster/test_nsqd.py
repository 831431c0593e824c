from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from jobx.tools.cluster import nsqd

OK = b"\0\0\0\6\0\0\0\0OK"


@contextmanager
def server(says: bytes) -> Iterator[str]:
    """Listen once, read what is asked, and answer."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(says)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join(60)


def test_an_nsqd_that_answers_is_no_trouble() -> None:
    with server(OK) as address:
        assert nsqd.trouble(address) is None


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", OK[:5]])
def test_what_answers_otherwise_is_named(says: bytes) -> None:
    with server(says) as address:
        assert nsqd.trouble(address) == "it answers, but not as nsqd does"


def test_a_port_without_a_listener_is_trouble() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert nsqd.trouble(f"127.0.0.1:{unused.getsockname()[1]}") == "Connection refused"
