from __future__ import annotations

import pytest
from falcon import testing

from jobx.config import HttpSettings
from jobx.http.app import create_app
from tests.support.fake_node import FakeNode


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def settings() -> HttpSettings:
    return HttpSettings(max_body_bytes=100_000, max_depth=16, max_inline_pairs=50, max_page=10)


@pytest.fixture
def client(node: FakeNode, settings: HttpSettings) -> testing.TestClient:
    return testing.TestClient(create_app(node, settings))
