from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from click.testing import Result

from jobx import meanings
from jobx.config import Settings
from jobx.errors import StoreUnavailable
from jobx.kv.store import Store
from jobx.tools.commands import cluster
from jobx.tools.shared.command import Call
from jobx.views import StoreServerView

Jobx = Callable[..., Result]


@pytest.fixture
def no_etcd(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no server of etcd answer."""

    @contextmanager
    def store(_: Call) -> Iterator[Store]:
        raise StoreUnavailable("no etcd")
        yield

    def survey(_: Settings) -> list[StoreServerView]:
        return [StoreServerView(server="h:1", error="Connection refused")]

    monkeypatch.setenv("JOBX_STORE_URL", "etcd://h:1")
    monkeypatch.setattr(cluster, "survey", survey)
    monkeypatch.setattr(Call, "store", store)


@pytest.mark.usefixtures("no_etcd")
def test_a_status_without_the_store_names_each_server_and_fails(jobx: Jobx) -> None:
    shown = jobx("cluster", "status")
    assert "trouble: etcd h:1 does not answer: Connection refused" in shown.stdout
    assert shown.exit_code == meanings.UNAVAILABLE


@pytest.mark.usefixtures("no_etcd")
def test_a_status_without_the_store_is_one_object_and_one_error(jobx: Jobx) -> None:
    shown = jobx("cluster", "status", "--json")
    assert json.loads(shown.stdout)["etcd"][0]["server"] == "h:1"
    assert json.loads(shown.stderr)["error"]["exit_code"] == shown.exit_code
