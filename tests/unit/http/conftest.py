from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
from falcon import testing

from jobx.config_sections import HttpSettings
from jobx.http import app
from jobx.http.app import create_app
from tests.support.fake_node import FakeNode


@pytest.fixture(autouse=True, scope="session")
def _described_once() -> Iterator[None]:
    """Make the description of the interface, the half of making an application, once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "document", functools.cache(app.document))
        yield


@pytest.fixture
def node() -> FakeNode:
    return FakeNode()


@pytest.fixture
def settings() -> HttpSettings:
    return HttpSettings(max_body_bytes=100_000, max_depth=16, max_inline_pairs=50, max_page=10)


@pytest.fixture
def client(node: FakeNode, settings: HttpSettings) -> testing.TestClient:
    return testing.TestClient(create_app(node, settings))
