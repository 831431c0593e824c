from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from jobx.actors.executors.paces import UsualTime
from jobx.actors.usual_times import NAME, UsualTimes

TIMES = [UsualTime("w", "s", "map", ("v1", "v2"), 0.25)]


class Known:
    def __init__(self, times: Sequence[UsualTime] = ()) -> None:
        self.times = list(times)

    def usual_times(self) -> list[UsualTime]:
        return self.times

    def recall_usual(self, times: Sequence[UsualTime]) -> None:
        self.times = list(times)


def recalled(folder: Path) -> list[UsualTime]:
    known = Known()
    times = UsualTimes(folder, known)
    times.recall(times.read())
    return known.times


def test_the_next_life_knows_what_was_noted(tmp_path: Path) -> None:
    UsualTimes(tmp_path, Known(TIMES)).close()
    assert recalled(tmp_path) == TIMES
    assert [(path.name, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == [
        (NAME, 0o600)
    ]


def test_first_life_knows_nothing(tmp_path: Path) -> None:
    assert recalled(tmp_path) == []


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[[", b"[1]", b'[["w","s","map",["v"],-1]]', b"[" * 2_000_000),
        *(b'[["\xff","s","map",["v"],1]]', b'[["w","s","map",["v"],1,' + b"[" * 10_000),
    ],
)
def test_file_that_is_damaged_is_no_trouble(tmp_path: Path, body: bytes) -> None:
    (tmp_path / NAME).write_bytes(body)
    assert recalled(tmp_path) == []


def test_file_that_cannot_be_read_or_written_is_no_trouble(tmp_path: Path) -> None:
    (tmp_path / NAME).mkdir()
    UsualTimes(tmp_path, Known(TIMES)).close()
    assert recalled(tmp_path) == []


def test_what_has_not_changed_is_not_written_again(tmp_path: Path) -> None:
    times = UsualTimes(tmp_path, Known(TIMES))
    times.close()
    (tmp_path / NAME).unlink()
    times.close()
    assert not (tmp_path / NAME).exists()
