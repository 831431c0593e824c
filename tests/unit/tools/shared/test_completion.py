from __future__ import annotations

from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from jobx.tools.cli import main
from tests.unit.tools.conftest import Jobx


@pytest.fixture
def _setup(jobx: Jobx) -> None:
    jobx("workflow", "create", "texts", "x")
    for name, kind in (("split", "mapper"), ("join", "mapper"), ("sum", "reducer")):
        jobx("handler", "create", "texts", name, "x", "python", kind, stdin="yield 1, 2\n")
    jobx("step", "create", "texts", "words", "x", "split", "", "sum")
    jobx("job", "create", "texts", "count", "x", "words")


@pytest.mark.usefixtures("_setup")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("work", {"workflow"}),
        ("job get ", {"texts"}),
        ("job get texts ", {"count"}),
        ("step get texts w", {"words"}),
        ("handler get texts s", {"split", "sum"}),
        ("step create texts new x ", {"split", "join", "sum"}),
        ("step set-handler texts words -m j", {"join"}),
        ("run te", {"texts/count"}),
        ("request get texts ", {"latest"}),
        ("request list texts --state f", {"failed"}),
        ("request watch texts ", {"latest"}),
        ("request dump texts latest --step ", {"words"}),
        ("request invocations texts latest --step ", {"words"}),
        ("job create texts ", set()),
        ("job get nothing ", set()),
    ],
)
def test_a_shell_is_offered_what_may_stand_there(typed: str, offered: set[str]) -> None:
    *words, incomplete = typed.split(" ")
    found = ShellComplete(main, {}, "jobx", "_JOBX_COMPLETE").get_completions(words, incomplete)

    assert {item.value for item in found} == offered


def test_nothing_is_offered_without_a_store(jobx: Jobx, folder: Path) -> None:
    del jobx
    found = ShellComplete(main, {}, "jobx", "_JOBX_COMPLETE").get_completions(["job", "get"], "")

    assert (found, folder.exists()) == ([], False)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell_asks_this_program(shell: str, jobx: Jobx) -> None:
    script = jobx("completion", shell).stdout

    assert f"_JOBX_COMPLETE={shell}_complete" in script
