from __future__ import annotations

from typing import Any, Protocol

import pytest
from falcon.testing import TestClient

from tests.support.html import Html


class Visit(Protocol):
    """Opens a page; the status must be as said."""

    def __call__(self, path: str, status: int = 200, **options: Any) -> Html: ...


@pytest.fixture
def visit(client: TestClient) -> Visit:
    def visited(path: str, status: int = 200, **options: Any) -> Html:
        answer = client.simulate_get(path, **options)
        assert answer.status_code == status, answer.text
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        return Html(answer.text, path)

    return visited


@pytest.fixture
def failed(client: TestClient) -> str:
    """A request that failed."""
    return submitted(client, "fail")


@pytest.fixture
def running(client: TestClient) -> str:
    """A request that goes on."""
    return submitted(client, "slow")


def submitted(client: TestClient, job: str, **arguments: object) -> str:
    body = {"arguments": arguments}
    answer = client.simulate_post(f"/job/texts/{job}", json=body, params={"blocking": "false"})
    found: str = answer.json["request_id"]
    return found
