from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import jobx as package
from jobx import meanings
from jobx.errors import NotFound
from jobx.tools.cli import main
from jobx.tools.commands import workflow
from tests.support.signals import odd_signals
from tests.support.tables import check_each
from tests.unit.tools.conftest import Jobx

ROOT = Path(__file__).parents[3]
SHARED = {"data", "config_file", "as_json", "debug"}


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if command.params and path != "jobx":
        yield path, command
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command)):
            below = command.get_command(click.Context(command), name)
            assert below is not None
            yield from _commands(below, f"{path} {name}")


def _groups(group: click.Group) -> Iterator[click.Group]:
    yield group
    for name in group.list_commands(click.Context(group)):
        below = group.get_command(click.Context(group), name)
        if isinstance(below, click.Group):
            yield from _groups(below)


COMMANDS = dict(_commands(main, "jobx"))


def test_commands_have_the_shared_options() -> None:
    named = {path: {param.name for param in one.params} for path, one in COMMANDS.items()}
    assert [path for path, names in named.items() if not names >= SHARED] == []


@pytest.mark.parametrize("group", [*_groups(main)], ids=lambda group: str(group.name))
def test_list_of_commands_cuts_no_line(group: click.Group) -> None:
    page = group.get_help(click.Context(group, terminal_width=80))
    listed = page.partition("Commands:\n")[2].splitlines()

    assert listed
    assert [line for line in listed if line.endswith(("...", "…"))] == []


def test_commands_explain_themselves_with_an_example(jobx: Jobx) -> None:
    def check(path: str) -> None:
        result = jobx(*path.split()[1:], "--help")
        assert result.exit_code == meanings.OK
        assert f"Example:\n    {path}" in result.stdout

    check_each(COMMANDS, check)


def test_commands_stand_in_the_reference_with_their_examples() -> None:
    reference = (ROOT / "docs" / "commands.md").read_text()

    def check(path: str) -> None:
        example = str(COMMANDS[path].epilog).rpartition("\n")[2].strip()
        assert f"### `{path}" in reference
        assert f"\n{example}\n" in reference

    check_each(COMMANDS, check)


def test_every_option_of_a_command_stands_in_its_chapter_of_the_reference() -> None:
    chapters = (ROOT / "docs" / "commands.md").read_text().split("\n## ")

    def check(path: str) -> None:
        own = [option for option in COMMANDS[path].params if option.name not in SHARED]
        options = [one for one in own if isinstance(one, click.Option) and not one.hidden]
        words = [word for option in options for word in option.opts]
        (chapter,) = (one for one in chapters if f"### `{path}" in one)
        assert [word for word in words if word not in chapter] == []

    check_each(COMMANDS, check)


def test_exit_codes_stand_in_the_reference() -> None:
    reference = (ROOT / "docs" / "commands.md").read_text()
    codes = {
        code for name, code in vars(meanings).items() if name.isupper() and isinstance(code, int)
    }

    assert {int(code) for code in re.findall(r"^\| (\d+) \|", reference, re.MULTILINE)} == codes


def test_unknown_command_is_a_usage_error_in_one_line(jobx: Jobx) -> None:
    result = jobx("workflw", "list")

    assert result.exit_code == meanings.USAGE
    assert result.stderr.startswith("jobx: No such command 'workflw'")
    assert result.stderr.count("\n") == 1


def test_group_without_a_command_shows_its_help(jobx: Jobx) -> None:
    result = jobx("job")

    assert result.exit_code == meanings.USAGE
    assert "Commands:" in result.stderr


def test_error_is_one_line_that_names_what_was_wrong(
    jobx: Jobx, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make_fail(monkeypatch, NotFound("workflow", "a\nb"))

    result = jobx("workflow", "list")

    assert (result.exit_code, result.stdout) == (meanings.NOT_FOUND, "")
    assert result.stderr == "jobx: there is no workflow named a b\n"


def test_fault_of_jobx_shows_no_traceback(jobx: Jobx, monkeypatch: pytest.MonkeyPatch) -> None:
    _make_fail(monkeypatch, KeyError("lost"))

    result = jobx("workflow", "list")

    assert result.exit_code == meanings.INTERNAL
    assert result.stderr == "jobx: a fault of JobX: KeyError: 'lost' (--debug shows where)\n"


def test_debug_shows_the_traceback(jobx: Jobx, monkeypatch: pytest.MonkeyPatch) -> None:
    _make_fail(monkeypatch, NotFound("workflow", "x"))

    result = jobx("workflow", "list", "--debug")

    assert result.exit_code == meanings.NOT_FOUND
    assert "Traceback" in result.stderr


def test_ctrl_c_exits_130(jobx: Jobx, monkeypatch: pytest.MonkeyPatch) -> None:
    _make_fail(monkeypatch, KeyboardInterrupt())

    assert jobx("workflow", "list").exit_code == meanings.INTERRUPTED


def test_wrong_setting_is_refused_by_name(jobx: Jobx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBX_NODE_EXECUTORS", "many")

    result = jobx("workflow", "list")

    assert result.exit_code == meanings.INVALID
    assert "setting node.executors" in result.stderr


def test_reader_that_leaves_early_is_no_error() -> None:
    program = (
        "import click\n"
        "from jobx.tools.cli import main\n"
        "from jobx.tools.shared import render\n"
        "@main.command('spill')\n"
        "def spill():\n"
        "    for _ in range(100_000): render.say('x' * 100)\n"
        "main.get_command = lambda ctx, name: spill\n"
        "main(['spill'])\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout is not None
    assert child.stderr is not None
    with child.stdout, child.stderr:
        child.stdout.readline()
        child.stdout.close()
        stderr = child.stderr.read()

    assert (child.wait(60), stderr) == (meanings.OK, b"")


def test_help_lists_every_command(jobx: Jobx) -> None:
    assert all(f"\n  {name} " in jobx("--help").stdout for name in ("serve", "run", "handler"))


def test_version_is_printed(jobx: Jobx) -> None:
    assert jobx("--version").stdout == f"jobx {package.__version__}\n"


def _make_fail(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(workflow, "show_all", fail)
    monkeypatch.setattr("jobx.tools.shared.command.Call.entities", fail)


SIGNALS = """
import signal
from jobx.tools.cli import main
try:
    main(["--version"])
except SystemExit as end:
    print(end.code, signal.getsignal(signal.SIGCHLD).name, signal.pthread_sigmask(0, ()))
"""


def test_command_starts_with_usual_signals_whatever_it_inherits() -> None:
    with (
        odd_signals(),
        subprocess.Popen(
            [sys.executable, "-c", SIGNALS], stdout=subprocess.PIPE, text=True
        ) as command,
    ):
        told, _ = command.communicate(timeout=60)

    assert told.splitlines()[-1] == "0 SIG_DFL set()"


@pytest.mark.parametrize(
    "words",
    ["workflow create w d", "workflow list", "request list w", "request cancel w 1", "run w/j"],
)
def test_each_command_that_opens_a_store_tells_once_what_does_not_choose_it(
    words: str, jobx: Jobx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MR_ETCD_PORT", "2379")
    told = "jobx: MR_ETCD_PORT is not used: it goes with MR_ETCD_HOST, which is not set\n"
    assert jobx(*words.split()).stderr.count(told) == 1
    assert jobx("--version").stderr == ""
