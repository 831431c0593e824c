from __future__ import annotations

from typing import Any

import pytest

from jobx.handlers.failures import HandlerTimeout, RunError
from jobx.handlers.markers import Map
from jobx.handlers.scope.invocation import Invocation
from jobx.handlers.scope.names import Scope, join
from tests.support.frames import REQUEST


def _scope(output_bytes: int = 1000, **extra: object) -> Scope:
    scope = Scope(extra)
    scope.current = Invocation(REQUEST, "step", 7, 2, output_bytes=output_bytes)
    return scope


def _names(scope: Scope) -> Any:
    return scope.names("h")


def _output(scope: Scope) -> str:
    return str(scope.at_work().notes()["output"])


def test_further_names_are_found_by_handlers() -> None:
    names = _names(_scope(ANSWER=42))
    assert (names["ANSWER"], names["__name__"]) == (42, "handler(h)")


def test_each_handler_gets_its_own_globals() -> None:
    scope = _scope()
    scope.names("a")["x"] = 1
    assert "x" not in scope.names("b")


def test_the_contexts_tell_of_the_current_invocation() -> None:
    names = _names(_scope())
    request, invocation = names["REQUEST"], names["INVOCATION"]
    assert (request.id, request.workflow, request.job) == ("r1", "w", "j")
    assert request.context == {"who": "me"}
    assert (invocation.vertex, invocation.step, invocation.attempt) == (7, "step", 2)
    assert invocation.id == "m7"
    assert invocation.remaining_s() == float("inf")


def test_output_of_all_kinds_is_captured_in_order() -> None:
    scope = _scope()
    names = _names(scope)
    names["PRINT"]("a", 1)
    names["LOG"].warning("%s is %d", "b", 2)
    names["LOG"].info("100%")
    names["PRINT"]("\udc80")
    assert _output(scope) == "a 1\nWARNING r1/m7: b is 2\nINFO r1/m7: 100%\n\\udc80\n"


def test_output_beyond_its_limit_is_counted() -> None:
    scope = _scope(output_bytes=5)
    scope.write("1234567")
    scope.write("89")
    assert _output(scope) == "12345\n[4 bytes of output were cut]\n"


def test_output_outside_of_an_invocation_is_dropped() -> None:
    scope = Scope()
    scope.write("lost")
    with pytest.raises(RuntimeError, match="no invocation"):
        scope.at_work()


def test_a_session_gives_back_what_was_set() -> None:
    scope = _scope()
    names = _names(scope)
    kept = [1, (2,)]
    names["S_SET"]("k", kept)
    kept.append(3)
    names["S_GET"]("k").append(4)
    assert (names["S_GET"]("k"), names["S_LIST"]()) == ([1, [2]], ["k"])
    assert (names["S_GET"]("x", None), scope.at_work().session) == (None, {"k": [1, [2]]})
    with pytest.raises(KeyError):
        names["S_GET"]("x")


@pytest.mark.parametrize(
    ("key", "value", "error"),
    [(1, 1, TypeError), ("k", object(), ValueError), ("\udc80", 1, ValueError)],
)
def test_a_session_refuses_what_cannot_be_kept(
    key: Any, value: Any, error: type[Exception]
) -> None:
    with pytest.raises(error):
        _names(_scope())["S_SET"](key, value)


def test_a_reducer_may_only_read_the_session() -> None:
    scope = _scope()
    scope.at_work().stage = "reducer"
    with pytest.raises(PermissionError, match="a reducer may only read"):
        _names(scope)["S_SET"]("k", 1)


def test_a_step_is_named_by_text() -> None:
    with pytest.raises(TypeError, match="not by a int"):
        Map(5)  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ((), ""),
        (("a",), "a"),
        (("a", "b", "c"), "a/b/c"),
        (("/a/", "/b"), "/a/b"),
        (("", "a"), "/a"),
    ],
)
def test_join_puts_one_separator_between_parts(parts: tuple[str, ...], path: str) -> None:
    assert join(*parts) == path


def test_a_program_gets_input_and_environment_and_gives_its_output() -> None:
    run = _names(_scope())["RUN"]
    assert run("cat", "é") == "é"
    assert run(["sh", "-c", "echo $COLOUR"], env={"COLOUR": "red"}) == "red\n"


def test_a_program_that_ends_otherwise_than_expected_raises_with_its_complaint() -> None:
    scope = _scope()
    run = _names(scope)["RUN"]
    with pytest.raises(RunError, match="sh ended with code 3: no"):
        run("sh -c 'echo no >&2; exit 3'")
    assert run("sh -c 'exit 3'", success_code=3) == ""
    assert run("sh -c 'exit 4'", success_code=None) == ""
    assert _output(scope) == "no\n"


def test_a_program_is_killed_at_the_deadline_of_the_invocation() -> None:
    scope = _scope()
    scope.at_work().deadline = 0.0
    with pytest.raises(HandlerTimeout, match="sleep was still running"):
        _names(scope)["RUN"]("sleep 60")
