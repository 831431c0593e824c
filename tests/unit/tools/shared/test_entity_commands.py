from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from jobx import meanings
from jobx.kv.sqlite.store import SqliteStore
from jobx.kv.store import Put
from tests.unit.tools.conftest import Jobx

MAPPER = "yield MrConfigureToReturn()\nyield from arguments\n"
REDUCER = "for key, values in results:\n    yield key, sum(values)\n"
HEADED = '"""Adds.\n**\nhandler_type: reducer\n"""\n' + REDUCER


@pytest.fixture
def filled(jobx: Jobx) -> Jobx:
    """A data folder with a workflow ``w``, handlers ``m``, ``r``, ``r2``, a step and a job."""
    for words, stdin in (
        (("workflow", "create", "w", "A workflow."), ""),
        (("handler", "create", "w", "m", "Maps.", "python", "mapper", "-a", "n", "int"), MAPPER),
        (("handler", "create", "w", "r", "Reduces.", "python", "reducer"), REDUCER),
        (("handler", "create", "w", "r2", "Reduces.", "python", "reducer"), REDUCER),
        (("step", "create", "w", "s", "A step.", "m", "", "r"), ""),
        (("job", "create", "w", "j", "A job.", "s"), ""),
    ):
        result = jobx(*words, stdin=stdin)
        assert (result.exit_code, result.stderr) == (meanings.OK, "")
    return jobx


def _json(jobx: Jobx, *words: str) -> object:
    result = jobx(*words, "--json")
    assert (result.exit_code, result.stderr) == (meanings.OK, "")
    return json.loads(result.stdout)


def test_create_says_what_it_created(jobx: Jobx) -> None:
    assert jobx("workflow", "create", "w", "d").stdout == "created workflow w\n"


def test_create_answers_with_json_when_asked(jobx: Jobx) -> None:
    answer = _json(jobx, "workflow", "create", "w", "d")

    assert answer == {"done": "created", "kind": "workflow", "name": "w"}


@pytest.mark.parametrize("noun", ["job", "step", "handler"])
def test_an_empty_list_has_the_names_of_its_columns(jobx: Jobx, noun: str) -> None:
    jobx("workflow", "create", "w", "d")
    result = jobx(noun, "list", "w")
    assert (result.exit_code, result.stderr) == (meanings.OK, "")
    assert result.stdout.startswith(f"{noun}  ")
    assert result.stdout.count("\n") == 1


def test_a_list_of_no_workflows_has_the_names_of_its_columns(jobx: Jobx) -> None:
    jobx("workflow", "create", "w", "d")
    jobx("workflow", "delete", "w")
    assert jobx("workflow", "list").stdout == "workflow  description\n"


@pytest.mark.parametrize(
    ("noun", "names", "field", "value"),
    [
        ("workflow", ["w"], "description", "A workflow."),
        ("job", ["w", "j"], "initial_step_name", "s"),
        ("step", ["w", "s"], "combine_handler_name", None),
        ("handler", ["w", "m"], "argument_spec", [["n", "int"]]),
        ("handler", ["w", "m"], "required_capability", "general"),
    ],
)
def test_get_gives_a_created_entity_as_json(
    noun: str, names: list[str], field: str, value: object, filled: Jobx
) -> None:
    entity = _json(filled, noun, "get", *names)

    assert isinstance(entity, dict)
    assert entity[field] == value


def test_get_shows_a_handler_with_its_source(filled: Jobx) -> None:
    assert filled("handler", "get", "w", "r").stdout.endswith(f"\n\n{REDUCER}")


@pytest.mark.parametrize(
    ("noun", "names"), [("job", ["j"]), ("step", ["s"]), ("handler", ["m", "r", "r2"])]
)
def test_list_names_all_of_a_kind(noun: str, names: list[str], filled: Jobx) -> None:
    found = _json(filled, noun, "list", "w")

    assert isinstance(found, list)
    assert [entity[f"{noun}_name"] for entity in found] == names


def test_list_is_a_table_for_people(filled: Jobx) -> None:
    head, row = (line.split() for line in filled("step", "list", "w").stdout.splitlines())

    assert head == ["step", "description", "map_handler", "reduce_handler"]
    assert row == ["s", "A", "step.", "m", "r"]


def test_workflow_list_names_all_workflows(filled: Jobx) -> None:
    assert "A workflow." in filled("workflow", "list").stdout


def test_delete_removes_what_nothing_refers_to(filled: Jobx) -> None:
    assert filled("handler", "delete", "w", "r2").stdout == "deleted handler w/r2\n"
    assert filled("handler", "get", "w", "r2").exit_code == meanings.NOT_FOUND


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ("handler delete w r --force", ["deleted handler w/r", "step s is broken now"]),
        ("handler delete w r2 --force", ["deleted handler w/r2"]),
        ("step delete w s --force", ["deleted step w/s", "job j is broken now"]),
    ],
)
def test_force_deletes_and_says_what_is_broken(words: str, lines: list[str], filled: Jobx) -> None:
    assert filled(*words.split()).stdout.splitlines() == lines


def test_force_deletes_a_workflow_with_all_in_it(filled: Jobx) -> None:
    lines = filled("workflow", "delete", "w", "--force").stdout.splitlines()

    assert (lines[0], "job j went with it" in lines) == ("deleted workflow w", True)
    assert "w" not in filled("workflow", "list").stdout.split()


def test_list_shows_what_is_broken(filled: Jobx) -> None:
    filled("handler", "delete", "w", "r", "--force")

    assert "broken" in filled("step", "list", "w").stdout.splitlines()[0]
    found = _json(filled, "step", "list", "w")
    assert isinstance(found, list)
    assert found[0]["broken"] == "there is no handler named w/r"


def test_forced_delete_answers_with_json_when_asked(filled: Jobx) -> None:
    assert _json(filled, "step", "delete", "w", "s", "--force") == {
        "done": "deleted",
        "kind": "step",
        "name": "w/s",
        "broken": ["job j"],
    }


def test_list_is_sorted_by_a_field(filled: Jobx) -> None:
    found = _json(filled, "handler", "list", "w", "--by", "description")

    assert isinstance(found, list)
    assert [one["handler_name"] for one in found] == ["m", "r", "r2"]


def test_exported_workflow_is_applied_as_it_was(filled: Jobx, tmp_path: Path) -> None:
    folder, again = tmp_path / "w", tmp_path / "again"
    assert filled("workflow", "export", "w", str(folder)).stdout == "exported workflow w\n"
    assert filled("apply", str(folder), "--dry-run").stdout == "workflow w is up to date\n"
    filled("workflow", "delete", "w", "--force")

    assert filled("apply", str(folder)).exit_code == meanings.OK
    filled("workflow", "export", "w", str(again))
    assert [path.read_bytes() for path in sorted(again.rglob("*.*"))] == [
        path.read_bytes() for path in sorted(folder.rglob("*.*"))
    ]


@pytest.mark.parametrize(
    ("target", "code"), [("/dev/null/nowhere", meanings.INVALID), (".", meanings.TAKEN)]
)
def test_folder_that_cannot_be_exported_to_is_named(
    target: str, code: int, filled: Jobx, tmp_path: Path
) -> None:
    folder = str(tmp_path) if target == "." else target
    result = filled("workflow", "export", "w", folder)

    assert (result.exit_code, folder in result.stderr) == (code, True)


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ("workflow create w again", meanings.TAKEN, "workflow w exists already"),
        ("workflow create W! d", meanings.INVALID, "workflow_name: a name is 1 to 63 of a-z"),
        ("workflow get nope", meanings.NOT_FOUND, "there is no workflow named nope"),
        ("workflow delete w", meanings.TAKEN, "workflow w is used by"),
        ("job get w nope", meanings.NOT_FOUND, "there is no job named w/nope"),
        ("job list nope", meanings.NOT_FOUND, "there is no workflow named nope"),
        ("job create w k d nope", meanings.NOT_FOUND, "there is no step named w/nope"),
        ("job create w k d s --writer nope", meanings.INVALID, "the writers are inline, email"),
        (
            "job create w k d s --writer http -o to=x",
            meanings.INVALID,
            "its options are url (got to)",
        ),
        ("step create w t d r '' r", meanings.INVALID, "mapper"),
        ("step create w t d m '' ''", meanings.INVALID, "a step needs a reducer"),
        ("step delete w s", meanings.TAKEN, "step w/s is used by"),
        ("handler delete w m", meanings.TAKEN, "handler w/m is used by"),
        ("handler create w h d python cook", meanings.USAGE, "'cook' is not one of"),
        ("handler create w h d cobol mapper", meanings.INVALID, "cobol"),
        ("handler create w h d python mapper -a n text", meanings.USAGE, "'text' is not one of"),
        ("handler create nope h d python mapper", meanings.NOT_FOUND, "workflow named nope"),
        ("handler sync w /dev/null/nowhere", meanings.INVALID, "/dev/null/nowhere"),
        ("step set-handler w s", meanings.USAGE, "at least one of"),
        ("step set-handler w s -r m", meanings.INVALID, "reducer"),
        ("request get w nope", meanings.NOT_FOUND, "request"),
        ("request list nope", meanings.NOT_FOUND, "there is no workflow named nope"),
        ("request list w --state odd", meanings.USAGE, "'odd' is not one of"),
        ("request cancel w r", meanings.NOT_FOUND, "request"),
        ("actors tree", meanings.UNAVAILABLE, "no node runs on"),
        ("node status", meanings.UNAVAILABLE, "start one with jobx serve"),
    ],
)
def test_refusal_is_one_line_with_its_exit_code(
    words: str, code: int, line: str, filled: Jobx
) -> None:
    result = filled(*(word.strip("'") for word in words.split()), stdin=MAPPER)

    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith("jobx: ")
    assert result.stderr.count("\n") == 1
    assert line in result.stderr


@pytest.mark.parametrize("words", ["workflow list", "job create w j d s", "request list w"])
def test_folder_without_a_store_is_named_and_not_created(
    words: str, jobx: Jobx, folder: Path
) -> None:
    result = jobx(*words.split())

    assert result.exit_code == meanings.NOT_FOUND
    assert f"{folder / 'jobx.sqlite'}; name its folder with --data, or create" in result.stderr
    assert not folder.exists()


def test_data_option_goes_before_the_environment(jobx: Jobx, tmp_path: Path) -> None:
    jobx("workflow", "create", "elsewhere", "d", "--data", str(tmp_path / "other"))

    assert "elsewhere" in jobx("workflow", "list", "--data", str(tmp_path / "other")).stdout


def test_handler_whose_source_is_wrong_is_not_stored(filled: Jobx) -> None:
    result = filled("handler", "create", "w", "h", "d", "python", "mapper", stdin="yield (")

    assert result.exit_code == meanings.INVALID
    assert filled("handler", "get", "w", "h").exit_code == meanings.NOT_FOUND


@pytest.mark.parametrize("stdin", ["", " \n"])
def test_handler_without_a_source_is_refused_by_name(stdin: str, filled: Jobx) -> None:
    result = filled("handler", "create", "w", "h", "d", "python", "mapper", stdin=stdin)

    assert result.exit_code == meanings.INVALID
    assert result.stderr.startswith("jobx: handler w/h, source on stdin: must not be empty")


def test_handler_source_that_is_not_text_is_refused(filled: Jobx) -> None:
    result = filled("handler", "create", "w", "h", "d", "python", "mapper", stdin=b"\xff")

    assert (result.exit_code, "UTF-8" in result.stderr) == (meanings.INVALID, True)


def test_set_handler_gives_a_step_another_handler(filled: Jobx) -> None:
    filled("step", "set-handler", "w", "s", "-r", "r2")

    assert '"reduce_handler_name": "r2"' in filled("step", "get", "w", "s", "--json").stdout


@pytest.mark.parametrize(
    ("simulate", "left"), [(["--simulate"], "r"), ([], "r2")], ids=["simulated", "done"]
)
def test_update_handlers_changes_steps_unless_simulated(
    simulate: list[str], left: str, filled: Jobx
) -> None:
    answer = _json(filled, "step", "update-handlers", "w", "reducer", "r", "r2", *simulate)

    assert answer == {"simulated": bool(simulate), "steps": ["s"]}
    assert f'"reduce_handler_name": "{left}"' in filled("step", "get", "w", "s", "--json").stdout


def test_update_handlers_says_when_no_step_changes(filled: Jobx) -> None:
    result = filled("step", "update-handlers", "w", "reducer", "r2", "r")

    assert result.stdout == "no step uses reducer r2\n"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    folder = tmp_path / "sources"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "add.py").write_text(HEADED)
    return folder


def test_sync_stores_the_handlers_of_a_folder(filled: Jobx, sources: Path) -> None:
    result = filled("handler", "sync", "w", str(sources))

    assert result.exit_code == meanings.OK
    assert [line.split()[:2] for line in result.stdout.splitlines()] == [
        ["handler", "action"],
        ["deep_add", "added"],
        ["m", "kept"],
        ["r", "kept"],
        ["r2", "removed"],
    ]


def test_sync_changes_nothing_when_simulated(filled: Jobx, sources: Path) -> None:
    answer = _json(filled, "handler", "sync", "w", str(sources), "--simulate")

    assert isinstance(answer, dict)
    assert answer["simulated"] is True
    assert answer["handlers"][0] == {"handler": "deep_add", "action": "added", "reason": ""}
    assert filled("handler", "get", "w", "r2").exit_code == meanings.OK


def test_sync_exits_5_when_a_file_is_refused(filled: Jobx, sources: Path) -> None:
    (sources / "bad.py").write_text("no header")

    result = filled("handler", "sync", "w", str(sources))

    assert result.exit_code == meanings.INVALID
    assert filled("handler", "get", "w", "deep_add").exit_code == meanings.OK


def test_list_shows_what_steps_and_handlers_require(filled: Jobx) -> None:
    create = ("handler", "create", "w", "fast", "d", "python", "mapper", "-r", "gpu")
    assert filled(*create, stdin=MAPPER).exit_code == meanings.OK
    filled("step", "create", "w", "t", "d", "fast", "", "r")
    steps, handlers = _json(filled, "step", "list", "w"), _json(filled, "handler", "list", "w")

    assert isinstance(steps, list)
    assert {one["step_name"]: one["requires"] for one in steps} == {"s": None, "t": "gpu"}
    assert isinstance(handlers, list)
    assert {one["required_capability"] for one in handlers} == {"general", "gpu"}
    assert "requires" in filled("step", "list", "w").stdout.splitlines()[0].split()
    assert "required_capability" in filled("handler", "list", "w").stdout.splitlines()[0].split()


@pytest.mark.parametrize("words", [["workflow", "list"], ["workflow", "list", "--json"]])
def test_a_list_shows_what_can_be_read_and_then_fails(
    filled: Jobx, folder: Path, words: list[str]
) -> None:
    with closing(SqliteStore(folder / "jobx.sqlite")) as store:
        store.commit([Put("entities/workflow/Not A Name", b"hello")])
    done = filled(*words)
    assert ("A workflow." in done.stdout, done.exit_code) == (True, meanings.STORE)
    assert "entities/workflow/Not A Name" in done.stderr
