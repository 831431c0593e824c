"""Outside services that tests need: a missing one skips, or fails where it was promised."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, NoReturn

import pytest

START_S = 60.0


def need(service: str, extra: str, *modules: str) -> None:
    """Skip the test when a module is missing, or fail it; see ``absent``."""
    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        absent(service, f"needs {', '.join(missing)} of the extra {extra}")


def absent(service: str, reason: str) -> NoReturn:
    """Skip the test, or fail it if JOBX_REQUIRE_SERVICES (names with commas) names the service."""
    if service in os.environ.get("JOBX_REQUIRE_SERVICES", "").split(","):
        pytest.fail(f"service {service} is required here: {reason}")
    pytest.skip(f"service {service}: {reason}")


@contextmanager
def serving(module: str, *arguments: str) -> Iterator[dict[str, Any]]:
    """Run a program of ``tests.support.servers`` and give what it says of itself."""
    command = [sys.executable, "-W", "ignore", "-m", f"tests.support.servers.{module}", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, f"the server {module} ended with code {process.wait(START_S)}"
        yield json.loads(line)
    finally:
        process.kill()
        process.communicate(timeout=START_S)
