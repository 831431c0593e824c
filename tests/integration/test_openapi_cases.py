"""Requests that are made from /openapi.json: what it allows is taken, what it forbids is refused,
and each answer is one that it describes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.support.authoring import ANSWER, define
from tests.support.served import served
from tests.support.services import need

#: Enough for all cases on a free machine; on a busy one fewer are tried.
MOST_S: Final = 25
ROOT: Final = Path(__file__).parents[2]
#: The document cannot say which sources of handlers are right, nor which writers of results and
#: classes of actors there are, nor whose a cursor is, nor which days a month has, nor what is
#: between commas, so those may be refused. A trace of actors waits for them.
CONFIG: Final = """
request-timeout = 60.0
[phases.coverage]
unexpected-methods = ["PATCH", "TRACE"]
[[operations]]
include-operation-id = [
    "createHandler", "putHandler", "createJob", "putJob", "listActors", "topActors",
    "listRequests"
]
checks.positive_data_acceptance.enabled = false
[[operations]]
include-operation-id = "traceActors"
enabled = false
"""


def test_the_description_says_what_is_taken_and_what_is_answered(tmp_path: Path) -> None:
    need("schemathesis", "services", "schemathesis")
    define(tmp_path / "data", {"m": ANSWER}, {"m": ("m", "sum")})
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG)
    words = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"]
    words += ["--phases", "coverage,fuzzing", "--max-examples", "3", "--max-time", str(MOST_S)]
    words += ["--generation-deterministic", "--continue-on-failure", "--no-color"]
    environ = {name: text for name, text in os.environ.items() if not name.startswith("JOBX_")}
    environ |= {"SCHEMATHESIS_HOOKS": "tests.support.openapi_hooks", "PYTHONPATH": str(ROOT)}

    with served(tmp_path / "data") as one:
        url = f"http://127.0.0.1:{one.port}/openapi.json"
        ran = subprocess.run(
            [*words, url],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    assert ran.returncode == 0, ran.stdout[-20_000:] + ran.stderr[-2_000:]
    assert "generated" in ran.stdout
