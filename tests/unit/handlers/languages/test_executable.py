"""Programs of the line protocol, and filters."""

from __future__ import annotations

import mmap
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import InvalidInput
from jobx.handlers.execution.state import ExecutorState
from jobx.handlers.languages import Checked, by_ending, exchange, processor, program
from jobx.handlers.languages.guests import Guests
from tests.support import frames
from tests.support.guests import children, failed, hosting, pairs, run
from tests.support.languages import EXECUTABLE, PYTHON


@pytest.fixture
def guests(tmp_path: Path) -> Iterator[Guests]:
    with hosting(tmp_path) as made:
        yield made


def state(guests: Guests, language: str = "executable", **sources: str) -> ExecutorState:
    kinds = {"m": "mapper", "c": "combiner", "r": "reducer"}
    loads = [
        frames.load(version, kinds[version], source, source_type=language)
        for version, source in sources.items()
    ]
    return frames.state(Path(guests.folder), *loads, guests=guests)


#: Reads a call to its end, and ends.
SILENT = "#!/bin/sh\nwhile read -r line; do case $line in *end*) exit;; esac; done"


def once(*lines: str) -> str:
    """Return a script that reads one call, runs lines and ends."""
    return "\n".join(["#!/bin/sh", "read -r line", *lines])


@pytest.mark.parametrize("first", ["", "echo", "#!sh", "#! ", "#!bin/sh", "#!/bin/s\0h"])
def test_a_source_names_its_program_by_an_absolute_path(first: str) -> None:
    with pytest.raises(InvalidInput, match=r"line 1: must be #! and the absolute path"):
        processor("executable").check(first, "mapper")


def test_a_check_names_the_line_of_a_shell_script() -> None:
    with pytest.raises(InvalidInput, match="line 3"):
        processor("shell").check("#!/bin/sh\ntrue\nif done\n", "mapper")


def test_endings_tell_the_language() -> None:
    told = [by_ending(ending) for ending in (".py", ".sh", ".exec", ".js", ".txt")]
    assert told == ["python", "shell", "executable", "javascript", None]


def test_nothing_tells_whether_keys_are_treated_alone_but_the_metadata(guests: Guests) -> None:
    assert processor("executable").read(EXECUTABLE.add_up, "reducer") == Checked()
    made = state(guests)
    fields = {"source_type": "executable", "per_key": True}
    made.load(frames.load("r", "reducer", EXECUTABLE.add_up, **fields))
    assert made.per_key("r", _invocation(made))


def _invocation(made: ExecutorState) -> Any:
    from jobx.handlers.scope.invocation import Invocation

    return Invocation(frames.REQUEST, "s", 1, 1, output_bytes=10)


def test_a_program_outside_the_folders_is_refused_on_the_node(tmp_path: Path) -> None:
    with hosting(tmp_path, programs=("/opt/jobs",)) as guests:
        failure = failed(run(state(guests, m=EXECUTABLE.echo), [1, 1])[0])
    assert (failure["kind"], failure["type"]) == ("capability", "ProgramRefused")
    assert "executors.programs" in failure["message"]


def test_a_program_that_is_missing_fails_for_want_of_a_capability(guests: Guests) -> None:
    failure = failed(run(state(guests, m="#!/usr/bin/no-such-program"), [1, 1])[0])
    assert (failure["kind"], failure["type"]) == ("capability", "RuntimeMissing")


def test_a_compiled_program_is_its_own_interpreter(guests: Guests) -> None:
    made = state(guests, m="#!/bin/cat\n" + '{"return":true}\n{"pair":["from",["cat"]]}')
    assert pairs(made, run(made, [1, 1], reducer=None)[0]) == [("from", ["cat"])]


def test_a_program_may_end_after_each_call(guests: Guests) -> None:
    made = state(guests, m=once("""printf '{"return":true}\\n{"pair":[%s,1]}\\n' "$$" """))
    keys = [pairs(made, one)[0][0] for one in run(made, [1, 1], [2, 2], [3, 3], reducer=None)]
    assert len(set(keys)) == 3


def test_a_program_that_ends_between_calls_is_started_again(guests: Guests) -> None:
    last = once("""printf '{"return":true}\\n{"pair":[%s,1]}\\n{"end":true}\\n' "$$" """)
    made = state(guests, m=last)
    keys = [pairs(made, one)[0][0] for one in run(made, *[[n, n] for n in range(20)], reducer=None)]
    assert len(set(keys)) == 20


def test_a_program_that_goes_on_reading_serves_all_calls(guests: Guests) -> None:
    serve = (
        "#!/bin/sh\nwhile read -r line; do\n"
        """printf '{"return":true}\\n{"pair":[%s,1]}\\n{"end":true}\\n' "$$"\ndone"""
    )
    made = state(guests, m=serve)
    keys = [pairs(made, one)[0][0] for one in run(made, [1, 1], [2, 2], [3, 3], reducer=None)]
    assert len(set(keys)) == 1


def test_a_program_that_reads_nothing_until_it_has_written_all_does_not_block(
    guests: Guests,
) -> None:
    many = once(
        'echo \'{"map":"t"}\'',
        'n=0; while [ $n -lt 20000 ]; do echo "{\\"pair\\":[$n,$n]}"; n=$((n+1)); done',
    )
    made = state(guests, m=many)
    (segment,) = run(made, [1, "x" * 1_000_000], chunk_pairs=20_000, reducer=None)
    assert len(children(made, segment)) <= 20_000
    assert children(made, segment)[:2] == [[0, 0], [1, 1]]


def test_what_is_not_of_the_protocol_is_output(guests: Guests) -> None:
    said = ['{"return":true}', "[1]", '{"other":1}', '{"a":1,"pair":2}', "{", '{"log":"x"}']
    made = state(guests, m=once(f"cat <<'END'\n{chr(10).join(said)}\nEND", "echo oops >&2"))
    (segment,) = run(made, [1, 1], reducer=None)
    output = segment[6][1]["output"]
    assert sorted(output.splitlines()) == sorted([*said[1:5], "INFO r1/m1: x", "oops"])


def test_values_that_json_has_not_are_tagged(guests: Guests) -> None:
    line = '{"pair":[{"$bytes":"AAE="},{"$decimal":"1.10"}]}'
    made = state(guests, m=once("echo '{\"return\":true}'", f"echo '{line}'"))
    ((key, value),) = pairs(made, run(made, [1, 1], reducer=None)[0])
    assert (key, str(value)) == (b"\x00\x01", "1.10")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ('{"map":5}', "protocol"),
        ('{"session":[]}', "protocol"),
        ('{"pair":[{"$bytes":"!"},1]}', "pair"),
        ('{"pair":[1,2]}', "protocol"),
        ('{"return":true}{"x"', "protocol"),
        ('{"pair":[1,2],"end":true}', "protocol"),
        ('{"session":{"a":{"$decimal":"x"}}}', "protocol"),
        ('{"output":{"$bytes":"1"}}', "protocol"),
        ('{"error":{"kind":["author"]}}', "protocol"),
    ],
)
def test_a_wrong_line_fails_its_invocation(guests: Guests, line: str, kind: str) -> None:
    made = state(guests, m=once(f"echo '{line}'", "echo '{\"pair\":[1,NaN]}'"))
    assert failed(run(made, [1, 1])[0])["kind"] == kind


PYTHON_LINES = f"""#!{sys.executable}
import json, sys
def say(**line): print(json.dumps(line), flush=True)
def hear(): return json.loads(sys.stdin.readline())
def keys(): return [line["key"] for line in iter(hear, {{"end": True}})]
"""


def in_python(guests: Guests, kind: str, body: str) -> ExecutorState:
    source = f"{PYTHON_LINES}\n{body}\nsay(end=True)"
    return state(guests, **{kind: source})


@pytest.fixture
def scripting(tmp_path: Path) -> Iterator[Guests]:
    folders = {str(Path(sys.executable).parent), str(Path(sys.executable).resolve().parent)}
    with hosting(tmp_path, programs=tuple(folders)) as made:
        yield made


def test_a_program_calls_names_of_the_scope(scripting: Guests) -> None:
    body = """hear(); say(**{"return": True})
say(ask=["S_SET", "a", {"$bytes": "AAE="}]); assert hear() == {"answer": None}
say(ask=["S_GET", "a"]); said = [hear()]
say(ask=["LOG.info", "%d of %s", 1, "x"]); hear()
say(ask=["S_GET", "b"]); said.append(hear())
say(ask=["__name__"]); said.append(hear())
say(pairs=[[1, said[0]["answer"]], [2, said[1]["raise"]["type"]], [3, said[2]["raise"]["type"]]])"""
    made = in_python(scripting, "m", body)
    (segment,) = run(made, [1, 1], reducer=None)
    assert pairs(made, segment) == [(1, b"\0\1"), (2, "KeyError"), (3, "NameError")]
    assert segment[6][1]["output"] == "INFO r1/m1: 1 of x\n"


def test_a_reply_comes_between_keys(scripting: Guests) -> None:
    body = """hear(); say(ask=["JOIN", "a", "b"])
lines = list(iter(hear, {"end": True}))
assert {"answer": "a/b"} in lines, lines[-3:]
say(pair=["keys", len(lines) - 1])"""
    made = in_python(scripting, "r", body)
    made.load(frames.load("w", "mapper", _MANY))
    assert pairs(made, run(made, [1, 1], mapper="w")[0]) == [("keys", 300)]


def test_a_reducer_has_its_keys_sent_again(scripting: Guests) -> None:
    body = """hear(); first = keys(); say(again=True); say(pair=[len(first), keys() == first])"""
    made = in_python(scripting, "r", body)
    made.load(frames.load("w", "mapper", _MANY))
    assert pairs(made, run(made, [1, 1], mapper="w")[0]) == [(300, True)]


#: So much that it does not fit a pipe.
_MANY = "def handler(key, value):\n yield Return()\n for n in range(300): yield n, 'x' * 1000"


def test_an_error_tells_its_kind_and_where_it_came_from(guests: Guests) -> None:
    line = '{"error":{"kind":"pair","pair":7,"message":"m","trace":[[1,"outer"],[2,"inner"]]}}'
    failure = failed(run(state(guests, m=once(f"echo '{line}'")), [1, 1])[0])
    assert (failure["kind"], failure["pair"]) == ("pair", 7)
    assert re.findall(r"line (\d), in (\w+)", failure["traceback"]) == [
        ("1", "outer"),
        ("2", "inner"),
    ]


@pytest.mark.parametrize("pair", ["99999999999999999999", "-1", "true", '"1"', "[1]"])
def test_an_error_of_a_pair_that_has_no_such_index_tells_none(guests: Guests, pair: str) -> None:
    line = f'{{"error":{{"message":"x","pair":{pair}}}}}'
    failure = failed(run(state(guests, m=once(f"echo '{line}'")), [1, 1])[0])
    assert (failure["message"], failure["pair"]) == ("x", None)


def test_output_may_look_like_the_protocol(guests: Guests) -> None:
    line = r'{"output":"{\"pair\":1}\n"}'
    made = state(guests, m=once("echo '{\"return\":true}'", f"printf '%s\\n' '{line}'"))
    (segment,) = run(made, [1, 1], reducer=None)
    assert segment[6] == {1: {"output": '{"pair":1}\n'}}


def test_a_program_that_did_not_read_its_call_is_not_asked_again(guests: Guests) -> None:
    serve = (
        "#!/bin/sh\nwhile :; do\n"
        """printf '{"return":true}\\n{"pair":[%s,1]}\\n{"end":true}\\n' "$$"; read -r line\ndone"""
    )
    made = state(guests, m=serve)
    big = "x" * 300_000
    keys = [pairs(made, one)[0][0] for one in run(made, [1, big], [2, big], reducer=None)]
    assert len(set(keys)) == 2


def test_an_error_that_is_told_leaves_the_program_running(guests: Guests) -> None:
    serve = (
        "#!/bin/sh\nwhile read -r line; do\n"
        """echo "{\\"error\\":{\\"type\\":\\"Odd\\",\\"message\\":\\"$$\\"}}"\ndone"""
    )
    failures = [failed(one) for one in run(state(guests, m=serve), [1, 1], [2, 2])]
    assert {one["type"] for one in failures} == {"Odd"}
    assert len({one["message"] for one in failures}) == 1


@pytest.mark.parametrize("before", ["", "echo '{\"return\":true}'"])
def test_a_program_that_closes_its_output_and_goes_on_fails_by_name(
    guests: Guests, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    monkeypatch.setattr(program, "_END_S", 0.05)
    failure = failed(run(state(guests, m=once(before, "exec >&-", "sleep 60")), [1, 1])[0])
    assert failure["kind"] == "protocol"
    assert "closed its output before the end of its answer, and did not end" in failure["message"]


ASKS_ON = '#!/bin/sh\nwhile :; do echo \'{"ask":["JOIN","a","b"]}\'; done'


def test_a_program_that_asks_and_reads_nothing_fails_by_name(
    guests: Guests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "_STALL_S", 0.05)
    failure = failed(run(state(guests, m=ASKS_ON), [1, 1])[0])
    assert failure["kind"] == "protocol"
    assert f"while {exchange.MAX_REPLIES + 1} replies wait" in failure["message"]


def test_a_program_may_ask_much_before_it_reads(scripting: Guests) -> None:
    body = """import threading
def answers():
    while len(said) < 5000: said.append(hear())
said = []; say(**{"return": True}); hear()
reading = threading.Thread(target=answers); reading.start()
for n in range(5000): say(ask=["JOIN", "a", str(n)])
reading.join(); say(pair=["last", said[-1]["answer"]])"""
    made = in_python(scripting, "m", body)
    assert pairs(made, run(made, [1, 1], reducer=None)[0]) == [("last", "a/4999")]


def test_a_call_that_a_program_took_up_is_not_repeated(guests: Guests, tmp_path: Path) -> None:
    serve = (
        f"#!/bin/sh\nread -r line; echo x >> {tmp_path}/calls\n"
        "echo '{\"return\":true}'; echo '{\"end\":true}'\n"
        f"read -r line; echo x >> {tmp_path}/calls; echo oops >&2"
    )
    made = state(guests, m=serve)
    first, second = run(made, [1, 1], [2, 2], reducer=None)
    assert pairs(made, first) == []
    assert "without a line of the protocol" in failed(second)["message"]
    assert (tmp_path / "calls").read_text() == "x\nx\n"


def test_a_reducer_is_silent_only_where_it_is_given_no_keys(guests: Guests) -> None:
    made = state(guests, m=once("echo '{\"return\":true}'", "echo '{\"pair\":[1,1]}'"), r=SILENT)
    nothing = frames.run(made, frames.reduce(Path(guests.folder), []))[0]
    assert nothing[0] != "failed"
    lost = failed(run(made, [1, 1])[0])
    assert lost["message"].startswith("the program ended without a line of the protocol")


def test_a_program_may_complain_at_length_after_its_output(guests: Guests) -> None:
    said = once("echo '{\"return\":true}'", "exec >&-", "head -c 300000 /dev/zero >&2")
    assert run(state(guests, m=said), [1, 1], reducer=None)[0][0] == "returned"


def test_an_exit_code_is_a_failure_with_what_was_said_last(guests: Guests) -> None:
    failure = failed(run(state(guests, m=once("echo 'no luck' >&2", "exit 3")), [1, 1])[0])
    assert (failure["kind"], failure["type"]) == ("author", "ProgramFailed")
    assert failure["message"] == "/bin/sh ended with code 3: no luck"


COUNT_WORDS = "#!/bin/sh\ncut -f 2 | tr ' ' '\\n' | sort | uniq -c | awk '{print $2 \"\\t\" $1}'"
ADD_UP = (
    "#!/bin/sh\nawk -F '\\t' '$1 != k { if (NR > 1) print k \"\\t\" n; k = $1; n = 0 } "
    '{ n += $2 } END { if (NR) print k "\\t" n }\''
)


def test_a_job_of_filters_gives_the_bytes_of_python(guests: Guests) -> None:
    text = "to be or not to be"
    words = "yield Return()\nfor word in arguments['text'].split(): yield word, 1"
    expected = run(state(guests, "python", m=words, r=PYTHON.add_up), [["text", text]], root=True)
    made = state(guests, "shell", m=COUNT_WORDS, c=ADD_UP, r=ADD_UP)
    (segment,) = run(made, [["text", text]], root=True, combiner="c")
    assert segment[3] == expected[0][3]


def test_a_filter_maps_on_and_writes_its_session(guests: Guests) -> None:
    source = "#!/bin/sh\necho map next\nprintf 'S_SET\\tmine\\t5\\n'\ncat\necho done"
    made = state(guests, "shell", m=source)
    (segment,) = run(made, ["k", "v"], reducer=None)
    assert (segment[2], children(made, segment)) == ("next", [["k", "v"]])
    assert segment[7] == {1: {"output": "done\n", "session": {"mine": 5}}}


def test_a_filter_may_give_nothing(guests: Guests) -> None:
    made = state(guests, "shell", m="#!/bin/sh\ntrue")
    assert pairs(made, run(made, ["k", "v"], reducer=None)[0]) == []


def test_a_filter_finds_its_context_and_session_in_the_environment(guests: Guests) -> None:
    source = '#!/bin/sh\nprintf \'%s\\t%s\\n\' "$JOBX_CALL $JOBX_REQUEST $JOBX_STEP" "$S_word"'
    made = state(guests, "shell", r=source)
    folder = Path(guests.folder)
    (segment,) = frames.run(made, frames.reduce(folder, [], session={"word": "x", "odd-1": 2}))
    assert frames.pairs(segment[3], folder) == [("reduce r1 s", "x")]


@pytest.mark.parametrize(
    ("value", "returned"),
    [
        ("a\tb\nc\\d\re", "a\tb\nc\\d\re"),
        ("007", "007"),
        ("12", 12),
        (-12, -12),
        (1.5, 1.5),
        (None, "null"),
        ([1, "x"], '[1,"x"]'),
        ("\\t", "\\t"),
    ],
)
def test_cells_are_text_or_numbers(guests: Guests, value: Any, returned: Any) -> None:
    made = state(guests, "shell", m="#!/bin/sh\ncat")
    assert pairs(made, run(made, ["k", value], reducer=None)[0]) == [("k", returned)]


def test_a_failing_filter_names_its_line(guests: Guests) -> None:
    made = state(guests, "shell", m="#!/bin/sh\nset -eu\ncat\necho $nothing")
    failure = failed(run(made, ["k", "v"])[0])
    assert 'File "<handler m>", line 4' in failure["traceback"]


@pytest.mark.parametrize(
    ("session", "reason"),
    [
        ({"word": "a\0b"}, "S_word has a zero byte"),
        ({"word": "x" * 32 * mmap.PAGESIZE}, "S_word has .*more than [0-9]+ KiB"),
        ({f"w{n}": "x" * 100_000 for n in range(200)}, "more arguments and variables"),
    ],
    ids=["zero", "long", "many"],
)
def test_a_session_that_variables_cannot_hold_fails_by_name(
    guests: Guests, session: dict[str, str], reason: str
) -> None:
    made = state(guests, "shell", r="#!/bin/sh\ncat")
    failure = failed(frames.run(made, frames.reduce(Path(guests.folder), [], session=session))[0])
    assert failure["kind"] == "protocol"
    assert re.search(reason, failure["message"])


def test_a_session_that_is_no_text_names_its_line(guests: Guests) -> None:
    made = state(guests, "shell", m="#!/bin/sh\nprintf 'a\\t1\\nS_SET\\tword\\t\\377\\n'")
    failure = failed(run(made, ["k", "v"])[0])
    assert (failure["kind"], failure["message"][:19]) == ("protocol", "line 2: S_SET 'word")
