from __future__ import annotations

from pathlib import Path

import pytest
from falcon.testing import TestClient

from jobx.config_sections import HttpSettings
from jobx.http.app import create_app
from jobx.http.pages import result_shown
from tests.support.fake_node import FakeNode
from tests.unit.http.pages.conftest import Visit, submitted


def test_first_pairs_of_a_result_are_shown(client: TestClient, visit: Visit) -> None:
    request_id = submitted(client, "count", text="é <b>")
    page = visit(f"/ui/request/texts/{request_id}/result")
    assert "2 pairs" in page.text
    assert '"é"' in page.text
    assert '"<b>"' in page.text


def test_long_result_is_cut_with_a_word(client: TestClient, visit: Visit) -> None:
    request_id = submitted(client, "pairs", count=300, value="x" * 2000)
    page = visit(f"/ui/request/texts/{request_id}/result")
    assert "300 pairs; the first 200 are here" in page.text
    assert page.text.count("… (2,002 characters)") == result_shown.PAIRS


def test_result_in_a_blob_is_shown(tmp_path: Path) -> None:
    client = TestClient(create_app(FakeNode(tmp_path), HttpSettings()))
    request_id = submitted(client, "pairs", count=3)
    assert "3 pairs" in client.simulate_get(f"/ui/request/texts/{request_id}/result").text


@pytest.mark.parametrize(
    ("job", "status", "says"), [("fail", 200, "without"), ("slow", 409, "not")]
)
def test_request_without_a_result_says_so(
    client: TestClient, visit: Visit, job: str, status: int, says: str
) -> None:
    assert says in visit(f"/ui/request/texts/{submitted(client, job)}/result", status).text
