from __future__ import annotations

import errno
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from msgspec.structs import asdict

from jobx.errors import StoreUnavailable
from jobx.handlers.failures import Misuse, describe
from jobx.handlers.scope import mr_modules
from jobx.handlers.scope.factories import HandlerDefinition, ScopeFactories
from jobx.handlers.scope.names import Scope
from tests.support import frames
from tests.support.frames import load
from tests.support.guests import hosting, pairs, run
from tests.support.languages import JAVASCRIPT

SECRETS = {"token": "s3cret"}


class OldStyle:
    """A factory as mr had them."""

    def get_handler_scope_factory(self, workflow: str) -> OldStyle | None:
        return self if workflow == "w" else None

    def get_scope(self, handler: HandlerDefinition) -> dict[str, object]:
        return {"OF": f"{handler.workflow_name}/{handler.handler_name}", **handler.secrets}


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of an operator."""
    module: Any = ModuleType("site_scope")
    monkeypatch.setitem(sys.modules, "site_scope", module)
    return module


def names(path: str, workflow: str = "w", name: str = "h") -> Mapping[str, object]:
    handler = {
        "workflow": workflow,
        "name": name,
        "handler_type": "mapper",
        "source_type": "python",
        "source_code": "",
        "version": "v",
    }
    key, _, path = path.rpartition(" ")
    return ScopeFactories({key or "w": path}, SECRETS).names(handler, Scope().reserved)


def test_a_factory_is_given_the_handler_and_the_secrets(site: Any) -> None:
    site.make = lambda handler, secrets: {"X": (handler, dict(secrets))}
    assert names("site_scope:make") == {"X": ("h", SECRETS)}


def test_a_workflow_without_a_factory_gets_nothing(site: Any) -> None:
    site.make = lambda handler, secrets: {"X": 1}
    assert names("site_scope:make", workflow="other") == {}


def test_a_factory_cannot_change_the_secrets_of_others(site: Any) -> None:
    site.make = lambda handler, secrets: secrets.clear()
    with pytest.raises(Misuse, match="AttributeError"):
        names("site_scope:make")


@pytest.mark.parametrize("thing", [OldStyle, OldStyle()], ids=["class", "instance"])
@pytest.mark.parametrize("path", ["site_scope:old", "* site_scope:old"])
def test_a_factory_in_the_style_of_mr_is_asked_for_the_workflow(
    site: Any, thing: object, path: str
) -> None:
    site.old = thing
    assert names(path) == {"OF": "w/h", "token": "s3cret"}


def test_a_factory_in_the_style_of_mr_may_have_nothing_for_a_workflow(site: Any) -> None:
    site.old = OldStyle
    assert names("* site_scope:old", workflow="other") == {}


WRITTEN_FOR_MR = """
import mr.handlers.scope

MADE = []


class WorkflowScopeFactory(mr.handlers.scope.WorkflowScopeFactory):
    def __init__(self):
        MADE.append("workflows")

    def get_handler_scope_factory(self, workflow):
        return _HandlerScopeFactory(workflow)


class _HandlerScopeFactory(mr.handlers.scope.HandlerScopeFactory):
    def __init__(self, workflow):
        MADE.append(workflow.workflow_name)

    def get_scope(self, handler_definition):
        fields = ("name", "version", "source_type", "source_code", "argument_spec")
        return {"GIVEN": [getattr(handler_definition, name) for name in fields]}
"""


def test_a_factory_written_for_mr_is_made_once_for_a_workflow(site: Any) -> None:
    mr_modules.offer()
    exec(WRITTEN_FOR_MR, vars(site))  # noqa: S102 - it is our own text
    factories = ScopeFactories({"*": "site_scope:WorkflowScopeFactory"}, {})
    handler = asdict(load("m", "mapper", "yield", argument_spec=[("arguments", "list")]))
    found = [factories.names(handler, ()) for _ in range(2)]
    assert found == [{"GIVEN": ["m", "m", "python", "yield", [("arguments", "list")]]}] * 2
    assert site.MADE == ["workflows", "w"]


def test_a_factory_written_for_mr_may_replace_names(site: Any) -> None:
    mr_modules.offer()
    exec(WRITTEN_FOR_MR.replace("GIVEN", "LOG"), vars(site))  # noqa: S102 - it is our own text
    assert "LOG" in names("* site_scope:WorkflowScopeFactory")


def test_only_the_modules_of_mr_that_exist_here_can_be_imported() -> None:
    mr_modules.offer()
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'mr\.config'"):
        importlib.import_module("mr.config")


def test_a_definition_shows_no_secret(site: Any) -> None:
    assert "s3cret" not in repr(HandlerDefinition("w", "h", "mapper", "python", "", "v", SECRETS))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda handler, secrets: 1 / 0, "failed: ZeroDivisionError: division by zero ("),
        (lambda handler: {}, "failed: TypeError: "),
        (lambda handler, secrets: sys.exit(3), "failed: SystemExit: 3 ("),
        (lambda handler, secrets: None, "returned a NoneType, which is no mapping of names"),
        (lambda handler, secrets: {1: 2}, "returned 1, which is no name"),
        (lambda handler, secrets: {"a b": 2}, "returned 'a b', which is no name"),
        (lambda handler, secrets: {"__builtins__": {}}, "'__builtins__', which is no name"),
        (lambda handler, secrets: {"Map": 2}, "returned Map, a name that JobX has for itself"),
        (lambda handler, secrets: {"FS": 2}, "returned FS, a name that JobX has for itself"),
    ],
)
def test_a_factory_that_fails_is_named_with_the_handler(site: Any, make: Any, reason: str) -> None:
    site.make = make
    with pytest.raises(Misuse) as raised:
        names("site_scope:make")
    told = describe(raised.value)
    assert (told["kind"], told["type"]) == ("scope", "ScopeError")
    assert told["message"].startswith("scope factory site_scope:make of workflow w for handler h ")
    assert reason in told["message"]


def test_a_factory_that_finds_no_descriptors_is_nobodys_failure(site: Any) -> None:
    def scope(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    site.scope = scope
    with pytest.raises(StoreUnavailable, match="site_scope:scope"):
        names("site_scope:scope")


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("no_such_module:make", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("site_scope:none", "AttributeError: "),
        ("* site_scope:make", "TypeError: for all workflows it must have get_handler_scope_fact"),
    ],
)
def test_a_factory_that_cannot_be_used_is_a_failure(site: Any, path: str, error: str) -> None:
    site.make = lambda handler, secrets: {}
    with pytest.raises(Misuse, match=f"failed: {error}"):
        names(path)


def test_the_factory_of_the_documentation_gives_a_secret_to_one_handler_only(site: Any) -> None:
    page = (Path(__file__).parents[4] / "docs" / "scope.md").read_text(encoding="utf-8")
    (block,) = (b for b in page.split("```") if b.startswith("python\n# /etc/jobx/scope/"))
    exec(block.removeprefix("python"), vars(site))  # noqa: S102 - it is our own page
    site.make = lambda handler, _: site.for_handler(handler, {"ledger_password": "s3cret"})
    given = names("site_scope:make", name="write_ledger")
    assert given == {"RATES": site.RATES, "LEDGER_PASSWORD": "s3cret"}
    assert names("site_scope:make", name="read") == {"RATES": site.RATES}


def test_names_of_one_handler_are_not_in_the_scope_of_another() -> None:
    scope = Scope()
    own = scope.extended({"KEY": 1})
    assert (own.names("h")["KEY"], "KEY" in scope.names("h")) == (1, False)


def test_scopes_of_an_executor_have_one_invocation_at_work() -> None:
    scope = Scope()
    own = scope.extended({"KEY": 1})
    scope.current = marker = object()  # type: ignore[assignment]  # any will do
    assert own.current is marker


SOURCES = {
    "python": "yield Return()\nyield OF, twice(RATES['a'])\n",
    "javascript": "export function* handler(args) {\n"
    "  yield Return();\n  yield [OF, twice(RATES.a)];\n}\n",
    "executable": "#!/usr/bin/env python3\nimport json, sys\n"
    "print('{\"return\":true}')\nfor line in sys.stdin:\n"
    "    scope = json.loads(line)['scope']\n    assert set(scope) == {'OF', 'RATES'}\n"
    "    print(json.dumps({'pair': [scope['OF'], 2 * scope['RATES']['a']]}))\n"
    "    print('{\"end\":true}', flush=True)\n",
}


@pytest.mark.parametrize("source_type", SOURCES)
def test_handlers_of_other_languages_find_what_the_factory_adds(
    site: Any, tmp_path: Path, source_type: str
) -> None:
    if source_type == "javascript":
        JAVASCRIPT.need()

    def twice(number: int) -> int:
        return 2 * number

    site.make = lambda handler, secrets: {"OF": handler, "RATES": {"a": 4}, "twice": twice}
    handler = frames.load("m", "mapper", SOURCES[source_type], source_type=source_type)
    with hosting(tmp_path) as guests:
        factories = ScopeFactories({"w": "site_scope:make"}, SECRETS)
        made = frames.state(tmp_path, handler, guests=guests, factories=factories)
        (segment,) = run(made, ["k", 1], reducer=None)
        assert pairs(made, segment) == [("m", 8)]
