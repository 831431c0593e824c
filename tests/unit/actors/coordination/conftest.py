from __future__ import annotations

import pytest

from tests.unit.actors.coordination.report_desk import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()
