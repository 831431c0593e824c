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
        "requests.window": f"{path}:9",
    }


@pytest.mark.parametrize(
    "text",
    [
        '[http]\n"workers" = 2\n',
        "http = { workers = 2 }\n",
        '["http"]\nworkers = 2\n',
        "http.'workers' = 2\n",
    ],
)
def test_a_setting_in_no_common_form_comes_from_its_file(path: Path, text: str) -> None:
    path.write_text(text)
    assert sources(path, {}, {}) == {"http.workers": str(path)}


@pytest.mark.parametrize(
    "text",
    [
        '[results]\nemail_body = """\nattempts = 5\n"""\n',
        "[results]\n# attempts = 5\nemail_body = ''\n",
        "[scope.factories]\npath = 'a.b:c'\n[results]\nemail_body = ''\n",
    ],
)
def test_what_only_looks_like_a_setting_comes_from_nowhere(path: Path, text: str) -> None:
    path.write_text(text)
    assert set(sources(path, {}, {})) <= {"results.email_body", "scope.factories"}


def test_a_variable_comes_before_the_file_and_an_option_before_both(path: Path) -> None:
    environ = {"JOBX_REQUESTS_WINDOW": "5", "JOBX_NODE_EXECUTORS": "1"}
    found = sources(path, environ, {"node.executors": 4, "http.bind": None})

    assert found["requests.window"] == "JOBX_REQUESTS_WINDOW"
    assert found["node.executors"] == "an option"
    assert "http.bind" not in found
