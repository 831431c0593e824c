from __future__ import annotations

from pathlib import Path

import pytest

from jobx.tools.shared.setting_sources import sources

TEXT = """# head
http.workers = 2
[node]
executors = 3
  log_level = "info"
[files.options]
key = "x"
[requests]
window = 1
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "jobx.toml"
    made.write_text(TEXT)
    return made


def test_a_setting_of_a_file_comes_from_its_line(path: Path) -> None:
    assert sources(path, {}, {}) == {
        "http.workers": f"{path}:2",
        "node.executors": f"{path}:4",
        "node.log_level": f"{path}:5",
        "files.options": f"{path}:6",
        "files.key": f"{path}:7",
        "requests.window": f"{path}:9",
    }


def test_a_variable_comes_before_the_file_and_an_option_before_both(path: Path) -> None:
    environ = {"JOBX_REQUESTS_WINDOW": "5", "JOBX_NODE_EXECUTORS": "1"}
    found = sources(path, environ, {"node.executors": 4, "http.bind": None})

    assert found["requests.window"] == "JOBX_REQUESTS_WINDOW"
    assert found["node.executors"] == "an option"
    assert "http.bind" not in found
