from __future__ import annotations

import http.client
import json
import os
import signal
from pathlib import Path
from subprocess import Popen

import pytest

from jobx import meanings
from jobx.kv.folder_lock import FolderLock
from jobx.tools.serving.listening import listen
from tests.support.processes import alive, descendants, running, words
from tests.support.waiting import eventually

STUBS = ("-m", "tests.support.serve_stubs")


def _words(mode: str, folder: Path, *more: str) -> list[str]:
    return [*STUBS, mode, "serve", "--data", str(folder), "--bind", "127.0.0.1:0", "--json", *more]


def _announced(process: Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    return dict(json.loads(process.stdout.readline()))


def _detail(line: str) -> str:
    """Return what an error of a command with ``--json`` says."""
    return str(json.loads(line)["error"]["detail"])


def _answers(url: object) -> bool:
    connection = http.client.HTTPConnection(str(url).removeprefix("http://"), timeout=60)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_serve_drains_and_leaves_nothing_behind_on_a_signal(
    number: signal.Signals, tmp_path: Path
) -> None:
    with running(_words("good", tmp_path)) as process:
        _announced(process)
        below = descendants(process.pid)
        process.send_signal(number)

        assert process.wait(60) == meanings.OK
        assert len(below) == 3
        eventually(lambda: not any(map(alive, below)))


def test_second_ctrl_c_kills_at_once(tmp_path: Path) -> None:
    with running(_words("deaf", tmp_path)) as process:
        _announced(process)
        below = descendants(process.pid)
        web = _named(below, "web")
        process.send_signal(signal.SIGINT)
        eventually(lambda: not alive(web))  # so the first signal was heard
        process.send_signal(signal.SIGINT)

        assert process.wait(60) == meanings.INTERRUPTED
        eventually(lambda: not any(map(alive, below)))


def test_node_that_does_not_stop_is_killed_when_time_is_up(tmp_path: Path) -> None:
    with running(_words("deaf", tmp_path), JOBX_NODE_DRAIN_S="0.1") as process:
        _announced(process)
        below = descendants(process.pid)
        process.send_signal(signal.SIGTERM)

        assert process.wait(60) == meanings.OK
        eventually(lambda: not any(map(alive, below)))
        assert process.stderr is not None
        assert "WARNING" in (line := process.stderr.readline())
        assert ": the rest was killed" in line


def test_children_die_when_serve_is_killed(tmp_path: Path) -> None:
    with running(_words("good", tmp_path)) as process:
        _announced(process)
        below = descendants(process.pid)
        stubs = {_named(below, "node"), _named(below, "web")}
        process.kill()

        assert eventually(lambda: not any(map(alive, stubs)))


@pytest.mark.parametrize("part", ["node", "web"])
def test_dead_child_is_started_again_and_what_it_left_is_killed(part: str, tmp_path: Path) -> None:
    with running(_words("good", tmp_path)) as process:
        url = _announced(process)["url"]
        before = descendants(process.pid)
        victim = _named(before, part)
        lost = {victim, *descendants(victim)}
        os.kill(victim, signal.SIGKILL)

        eventually(lambda: not any(map(alive, lost)))
        assert eventually(lambda: len(descendants(process.pid)) == len(before))
        assert eventually(lambda: _answers(url))
        assert process.stderr is not None
        assert process.stderr.readline().endswith("was killed by SIGKILL; starting it again\n")


def test_serve_ends_when_a_node_that_it_starts_again_refuses_its_settings(tmp_path: Path) -> None:
    with running(_words("changed", tmp_path)) as process:
        process.communicate(timeout=240)
    assert process.returncode == meanings.INVALID


def test_serve_gives_up_on_a_node_that_dies_again_and_again(tmp_path: Path) -> None:
    with running(_words("frail", tmp_path)) as process:  # which starts it six times
        stderr = process.communicate(timeout=240)[1].splitlines()

    assert process.returncode == meanings.INTERNAL
    assert _detail(stderr[-1]) == "the node was killed by SIGKILL too often"
    assert len(stderr) == 6


def test_what_is_killed_while_it_starts_is_started_again(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    with running(_words("late", tmp_path / "d"), STUB_MARKS=str(marks)) as process:
        url = _announced(process)["url"]
        assert eventually(lambda: _answers(url))
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(2)]

    assert {path.name for path in marks.iterdir()} == {"node was killed", "web was killed"}
    for part, line in zip(("node", "web"), lines, strict=True):
        assert line.endswith(f": the {part} was killed by SIGKILL; starting it again\n")


def test_serve_exits_as_its_node_does_when_that_cannot_start(tmp_path: Path) -> None:
    with running(_words("refused", tmp_path)) as process:
        stdout, stderr = process.communicate(timeout=60)

    assert (process.returncode, stdout) == (meanings.TAKEN, "")
    assert stderr == "jobx: data folder d is used by process 1 (node)\n"


def test_serve_says_so_when_the_web_server_cannot_start(tmp_path: Path) -> None:
    with running(_words("broken", tmp_path)) as process:
        stderr = process.communicate(timeout=60)[1]

    assert process.returncode == meanings.INTERNAL
    assert _detail(stderr) == "the web ended with code 3 while it started"


def test_serve_names_an_address_that_is_taken(tmp_path: Path) -> None:
    with listen("127.0.0.1:0") as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        with running(_words("good", tmp_path, "--bind", bind)) as process:
            stderr = process.communicate(timeout=60)[1]

    assert process.returncode == meanings.TAKEN
    assert _detail(stderr) == f"address {bind} is used by another process"


def test_serve_names_who_has_the_data_folder_when_its_address_is_taken_too(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    lock.acquire()
    with listen("127.0.0.1:0") as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        with running(_words("good", tmp_path, "--bind", bind)) as process:
            stderr = process.communicate(timeout=60)[1]
    lock.release()

    assert process.returncode == meanings.TAKEN
    assert _detail(stderr) == f"data folder {tmp_path} is used by process {os.getpid()} (node)"


def test_serve_listens_on_a_unix_socket_and_removes_it(tmp_path: Path) -> None:
    path = tmp_path / "web.sock"
    with running(_words("good", tmp_path, "--bind", f"unix:{path}")) as process:
        assert _announced(process)["url"] == f"unix:{path}"
        process.send_signal(signal.SIGTERM)

        assert process.wait(60) == meanings.OK
    assert not path.exists()


def test_serve_says_which_old_variables_do_nothing(tmp_path: Path) -> None:
    with running(_words("good", tmp_path), MR_NSQD_HOSTS="h") as process:
        _announced(process)
        assert process.stderr is not None
        line = process.stderr.readline()
    assert line.startswith("jobx: MR_NSQD_HOSTS is not used: a node works alone")


def test_serve_refuses_an_old_variable_that_cannot_be_followed(tmp_path: Path) -> None:
    with running(_words("good", tmp_path), MR_RESULT_WRITER_FQ_CLASS="x") as process:
        stderr = process.communicate(timeout=60)[1]
    assert process.returncode == meanings.INVALID
    assert _detail(stderr).startswith("setting MR_RESULT_WRITER_FQ_CLASS: ")


def _named(pids: set[int], part: str) -> int:
    return next(pid for pid in pids if part in words(pid))
