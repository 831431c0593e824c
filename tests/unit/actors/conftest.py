from __future__ import annotations

import pytest

from jobx.actors import commit_faults, log_writer


@pytest.fixture
def _retry_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What went wrong is tried again at once."""
    monkeypatch.setattr(commit_faults, "RETRY_S", (0.001, 0.002))


@pytest.fixture
def _never_lazy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for company waits for ever."""
    monkeypatch.setattr(log_writer, "LAZY_S", 3600.0)
