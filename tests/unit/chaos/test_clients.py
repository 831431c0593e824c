from __future__ import annotations

from http.client import HTTPMessage

import pytest

from tests.chaos.soak.clients import Answer, Patience


@pytest.mark.parametrize(
    ("answer", "is_over"),
    [
        (Answer(202, HTTPMessage(), b""), True),
        (Answer(503, HTTPMessage(), b""), False),
        (None, False),
    ],
)
def test_patience_wears_out_by_answers_alone(answer: Answer | None, is_over: bool) -> None:
    patience = Patience(10.0)
    patience.heard(answer, 11.0)
    assert patience.is_over == is_over


def test_a_result_of_many_lines_has_no_code() -> None:
    headers = HTTPMessage()
    headers["Content-Type"] = "application/x-ndjson"
    assert Answer(200, headers, b"[0, 1]\n[1, 2]\n").code == ""


def test_a_client_does_not_wait_for_ever() -> None:
    assert Patience(0.0).is_over
