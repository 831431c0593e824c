"""What the value of a key on v2 holds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.errors import EntryDamaged
from jobx.kv.etcd2.records import Record, RedoStep, decode, digest, encode

STEPS = st.builds(
    RedoStep,
    st.sampled_from(["set", "remove", "clear"]),
    st.text(max_size=3),
    st.text(max_size=3),
    st.lists(st.text(max_size=3), max_size=2).map(tuple),
)
RECORDS = st.builds(
    Record,
    st.none() | st.binary(max_size=8) | st.text(max_size=8).map(str.encode),
    st.text(max_size=3),
    st.text(max_size=3),
    st.lists(STEPS, max_size=2).map(tuple),
    st.booleans(),
)


@given(record=RECORDS)
def test_every_record_comes_back_from_its_text(record: Record) -> None:
    text = encode(record)
    assert decode("a", json.loads(json.dumps(text))) == record


@pytest.mark.parametrize("text", ["", "{}", '{"a": 1}\n', "é\0"])
def test_text_is_its_own_record(text: str) -> None:
    assert encode(Record(text.encode())) == text


@pytest.mark.parametrize(
    "text", ["=", "={}x", "={", '={"redo":[["else","a"]]}\n', '={"is_base64":true}\n*']
)
def test_what_jobx_did_not_write_is_damaged(text: str) -> None:
    with pytest.raises(EntryDamaged, match="entry a of the store: JobX did not write it"):
        decode("a", text)


def test_a_unit_has_the_same_digest_in_each_try() -> None:
    assert digest("a", b"b") == digest("a", b"b")
    assert len({digest("a", b"b"), digest("a", b"c"), digest("b", b"b"), digest("a", None)}) == 4
