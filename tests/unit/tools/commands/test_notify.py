from __future__ import annotations

import socket
import threading

import msgspec
import pytest

from jobx.errors import InUse, InvalidInput
from jobx.tools.commands import notify
from jobx.tools.commands.notify import Arrival, Listener, _decoded
from jobx.views import ChannelView, NotificationPage, NotificationView, SendingView


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


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (
            b"name=MR_HANDLER.HTTP&levelname=ERROR&msg=no+luck&created=x",
            f"x  {'MR_HANDLER.HTTP':40}      ERROR  no luck",
        ),
        (b"&".join([b"a=1"] * 200), " "),
        (b"\xff", " "),
    ],
)
def test_a_log_record_is_printed_and_another_form_does_no_harm(body: bytes, line: str) -> None:
    found = _decoded(body, is_form=True)
    assert line in Arrival({}, found, is_repeat=False).line()


def test_a_record_shows_when_it_was_made() -> None:
    body = {"name": "n", "levelname": "INFO", "msg": "m", "created": "0"}
    assert Arrival({}, body, is_repeat=False).line().startswith(("1970-01-01", "1969-12-31"))


def test_a_listener_on_an_address_in_use_says_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        host, port = taken.getsockname()
        with pytest.raises(InUse, match=f"{host}:{port}"):
            notify._listener(host, port, "", lambda _: None)


def test_a_listener_on_a_host_that_is_none_says_so() -> None:
    with pytest.raises(InvalidInput, match="host"):
        notify._listener("é" * 80, 0, "", lambda _: None)


def _post(port: int, length: str, body: bytes) -> str:
    """Return the status of the answer."""
    head = f"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n".encode("latin-1")
    with socket.create_connection(("127.0.0.1", port), 60) as connection:
        connection.sendall(head + body)
        return connection.recv(100).split()[1].decode()


def test_list_says_what_was_told_to_whom_and_what_is_tried_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    sent = [
        SendingView(channel="log", to="the log of the node", state="sent", attempts=1),
        SendingView(
            channel="http", to="http://h", state="retrying", attempts=2, next_at=1e9, error="no"
        ),
    ]
    told = NotificationView(
        at=1e9,
        kind="request.failed",
        level="error",
        count=3,
        subject="it broke",
        text="",
        sent=sent,
    )
    page = NotificationPage(
        node_id="n",
        told=1,
        held_back=2,
        channels=[ChannelView(name="http", to="http://h", level="info", waiting=1)],
        notifications=[told, msgspec.structs.replace(told, sent=[])],
    )
    notify.say_told(page)
    text = " ".join(capsys.readouterr().out.split())
    for part in ("it broke", "http retrying, next at", ": no", "nobody", "2 repeats", "http://h"):
        assert part in text
