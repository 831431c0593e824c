from __future__ import annotations

import pytest

from tests.support.stores import OpenStore, opener


@pytest.fixture(scope="session")
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """Opens a new store by the name of its kind, in a folder, with limits if any are given."""
    return opener(lambda: request.getfixturevalue("etcd"))
