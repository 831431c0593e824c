from __future__ import annotations

import socket
from pathlib import Path

from jobx.tools.serving import systemd
from jobx.tools.serving.watchdog import Heartbeat, Stillness, beat


def test_what_shows_no_life_for_long_enough_stands_still() -> None:
    stillness = Stillness(3.0)
    looks = [stillness.look(float(now), is_alive=False) for now in range(5)]
    assert looks == [False, False, False, True, True]


def test_a_sign_of_life_begins_the_count_anew() -> None:
    stillness = Stillness(3.0)
    looks = [stillness.look(float(now), is_alive=now == 2) for now in range(6)]
    assert looks == [False, False, False, False, False, True]


def test_a_stop_of_the_watcher_is_held_against_nobody() -> None:
    stillness = Stillness(3.0)
    stillness.look(0.0, is_alive=True)
    assert not stillness.look(1_000_000.0, is_alive=False)
    assert stillness.look(1_000_001.5, is_alive=False)


def test_a_heartbeat_is_heard_once() -> None:
    heartbeat = Heartbeat()
    assert not heartbeat.was_heard()
    beat(heartbeat.write_fd)
    assert (heartbeat.was_heard(), heartbeat.was_heard()) == (True, False)
    heartbeat.close()


def test_heartbeats_that_nobody_hears_hold_up_nobody() -> None:
    heartbeat = Heartbeat()
    for _ in range(100_000):
        beat(heartbeat.write_fd)
    assert heartbeat.was_heard()
    heartbeat.close()


def test_systemd_is_told_where_it_wants_to_hear(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(path))
        systemd.notify({"NOTIFY_SOCKET": str(path)}, "READY=1")
        assert heard.recv(100) == b"READY=1"


def test_nobody_is_told_where_nobody_listens(tmp_path: Path) -> None:
    systemd.notify({}, "READY=1")
    systemd.notify({"NOTIFY_SOCKET": str(tmp_path / "gone")}, "READY=1")
