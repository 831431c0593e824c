from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from tests.chaos.soak import exchanges
from tests.chaos.soak.exchanges import Exchanges
from tests.chaos.soak.history import Attempt

LOST = Attempt(7, "GET", 404, "not-found", "r0", began_at=1.0, ended_at=2.5)


def test_an_exchange_can_be_read_as_soon_as_it_is_over(tmp_path: Path) -> None:
    path = tmp_path / "new" / "exchanges.jsonl"
    with closing(Exchanges(path)) as written:
        written.note(LOST)
        (line,) = map(json.loads, path.read_text().splitlines())
    assert (line["ask"], line["status"], line["request_id"]) == (7, 404, "r0")
    assert line["ended_at"] - line["began_at"] == 1.5


def test_one_ask_has_only_so_many_lines(tmp_path: Path) -> None:
    path = tmp_path / "exchanges.jsonl"
    with closing(Exchanges(path)) as written:
        for _ in range(exchanges.MOST + 5):
            written.note(LOST)
        written.note(Attempt(8, "POST", 200))
    assert len(path.read_text().splitlines()) == exchanges.MOST + 1


def test_what_comes_after_the_end_is_not_written(tmp_path: Path) -> None:
    written = Exchanges(tmp_path / "exchanges.jsonl")
    written.close()
    written.note(LOST)
