from __future__ import annotations

import gc
import shutil
import signal
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings

from tests.support.compiled import CompilerMissingError
from tests.support.etcd import FORGETFUL, V2, Etcd, etcd_servers
from tests.support.fault.rules import Faults
from tests.support.services import absent

# What a shell has in its background it starts with SIGINT ignored, and that would be inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no reason to fail: nothing here asserts how long something takes. Examples are
# the same in each run, so that a failure is of what was changed; ``--hypothesis-profile=search``
# looks for new ones, and what that finds becomes an ``@example``.
_COMMON: Final[dict[str, Any]] = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("jobx", max_examples=40, derandomize=True, **_COMMON)
settings.register_profile("search", max_examples=1000, print_blob=True, **_COMMON)
settings.load_profile("jobx")


@pytest.fixture(autouse=True, scope="module")
def _leaves_nothing() -> Iterator[None]:
    """Have what the tests of a module left open be a warning there, and not in a later one.

    What is alive then is not looked at again, which makes the next collections quick.
    """
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def dot() -> None:
    """Skip what needs Graphviz where it is missing, or fail it where it was promised."""
    if shutil.which("dot") is None:
        absent("dot", "needs the program dot of Graphviz")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run tests with the marker ``every_store`` once on each."""
    if metafunc.definition.get_closest_marker("every_store"):
        metafunc.parametrize("store_kind", ["sqlite", "etcd", "etcd2"], indirect=True)


@pytest.fixture(autouse=True)
def store_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which store nodes of the test have: SQLite, unless ``every_store`` says otherwise."""
    kind: str = getattr(request, "param", "sqlite")
    if kind != "sqlite":
        servers: Etcd = request.getfixturevalue("etcd")
        monkeypatch.setenv("JOBX_STORE_URL", f"{servers.url_of(kind)}/{uuid.uuid4().hex}")
        # A disk that pauses for seconds is not what these tests are about.
        monkeypatch.setenv("JOBX_STORE_TIMEOUT_S", "20")
    return kind


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Etcd]:
    """One server of etcd for all tests that leave it as it is."""
    with etcd_servers(tmp_path_factory.mktemp("etcd"), flags=(*FORGETFUL, V2)) as servers:
        yield servers


@pytest.fixture
def faults(tmp_path: Path) -> Faults:
    """Faults of the operating system, for processes that are started with ``faults.environ``."""
    try:
        return Faults(tmp_path / "fault")
    except CompilerMissingError as error:
        absent("cc", str(error))
