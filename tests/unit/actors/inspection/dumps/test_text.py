from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from jobx.actors.inspection.dumps import text as dump_text
from jobx.actors.request.events import Failed, Retried
from tests.unit.actors.inspection.dumps.samples import LEAVES, TOTAL, WHOLE, WRONG, Sample

RETRIED = Retried(2.6, "map", 1, 1, 1, 2, 0.5, WRONG, notes={1: {"output": "tried\n"}})


def test_ndjson_has_a_line_for_each_invocation(tmp_path: Path) -> None:
    rows = Sample(tmp_path, *WHOLE).text().splitlines()
    found = [json.loads(row) for row in rows]
    assert [one["invocation_id"] for one in found] == [
        "m0",
        "m1",
        "c1",
        "r1",
        "m2",
        "c2",
        "r2",
        "r0",
    ]
    assert found[0]["arguments"] == [["text", "ab"]]
    assert "failure" not in found[0]


@pytest.mark.parametrize("asked", [{}, {"states": ("failed",)}], ids=["some", "none"])
def test_json_is_one_document_with_its_request(tmp_path: Path, asked: dict[str, Any]) -> None:
    found = json.loads(Sample(tmp_path, *WHOLE).text(form="json", **asked))
    assert found["request"]["request_id"] == "r1"
    assert len(found["invocations"]) == (0 if asked else 8)


def test_text_says_all_of_it_in_lines(tmp_path: Path) -> None:
    text = Sample(tmp_path, *WHOLE[:3], RETRIED, LEAVES, TOTAL).text(form="text").decode()
    assert "m1 succeeded, attempt 2: leaf/leaf_map leaf_map-1\n" in text
    assert "  ran on n2, in executor 8, after 0.000000 s in the queue, for 0.001000 s\n" in text
    assert '  arguments: ["a", 1]\n' in text
    assert "  attempt 1 failed on n1: author: ValueError: wrong\n  traceback:\n" in text
    assert "  output:\n    tried\n" in text
    assert "  data: absent, retention.data was none" in text


def test_text_has_no_controls_of_authors(tmp_path: Path) -> None:
    wrong = replace(WRONG, message="a\x1b[2J\nb", traceback="c\x1b]0;d\x07")
    notes = {2: {"output": "e\x1b[31m"}}
    failed = Failed(3.0, "map", 1, 2, 1, wrong, notes)
    text = Sample(tmp_path, *WHOLE[:3], failed, state="failed").text(form="text").decode()
    assert "\x1b" not in text
    assert "\x07" not in text


def test_flat_is_the_tree_with_what_data_is_there(tmp_path: Path) -> None:
    events = [*WHOLE[:3], replace(LEAVES, count=1)]
    text = Sample(tmp_path, *events, state="failed").text(is_flat=True)
    assert text.decode().splitlines() == [
        "m0 M A-- split",
        "  m1 M A-- leaf",
        "  c1 C A-- leaf",
        "  r1 R A-- leaf",
        "  m2 M A-- leaf",
        "r0 R A-- split",
    ]


def test_it_comes_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dump_text, "CHUNK_BYTES", 100)
    sample = Sample(tmp_path, *WHOLE)
    chunks = list(dump_text.chunks(sample.store, sample.blobs, sample._asked({})))
    assert len(chunks) > 2
    assert b"".join(chunks) == sample.text()
