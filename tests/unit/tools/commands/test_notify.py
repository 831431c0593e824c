from __future__ import annotations

import socket
import threading

import pytest

from jobx.tools.commands.notify import Arrival, Listener


@pytest.mark.parametrize("length", ["9" * 5000, "²", "-1", "1_0", ""])
def test_length_of_a_body_that_is_none_is_refused_and_the_listener_goes_on(length: str) -> None:
    said: list[Arrival] = []
    with Listener("127.0.0.1", 0, "", said.append) as listener:
        serving = threading.Thread(target=listener.serve_forever, args=(0.01,))
        serving.start()
        try:
            refused = _post(listener.server_port, length, b"")
            taken = _post(listener.server_port, "2", b"{}")
        finally:
            listener.shutdown()
            serving.join(60)

    assert (refused, taken) == ("413", "204")
    assert [arrival.body for arrival in said] == [{}]


def _post(port: int, length: str, body: bytes) -> str:
    """Return the status of the answer."""
    head = f"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n".encode("latin-1")
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(head + body)
        return connection.recv(100).split()[1].decode()
