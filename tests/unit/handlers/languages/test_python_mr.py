from __future__ import annotations

import ast

import pytest

from jobx.handlers.languages.python_mr import METHODS, is_only_iterated, rename


@pytest.mark.parametrize("name", METHODS)
def test_a_method_of_python_2_is_renamed(name: str) -> None:
    module = ast.parse(f"a.b.{name}(x)")
    rename(module)
    assert ast.unparse(module) == f"a.b.{METHODS[name]}(x)"


def test_a_name_that_the_module_defines_is_kept() -> None:
    text = "class A:\n\n    def iteritems(self):\n        return self.iteritems()"
    module = ast.parse(text)
    rename(module)
    assert ast.unparse(module) == text


@pytest.mark.parametrize(
    ("source", "is_only"),
    [
        ("for k, v in results: f(k, sum(v))", True),
        ("x = [(k, max(v)) for k, v in results]", True),
        ("for k, v in results: pass\nfor k, v in results: pass", True),
        ("f()", True),
        ("len(results)", False),
        ("print(results)\nfor k, v in results: pass", False),
        ("for pair in results[1:]: pass", False),
        ("results = 1", False),
    ],
)
def test_what_is_only_iterated_is_told(source: str, is_only: bool) -> None:
    assert is_only_iterated(ast.parse(source), "results") is is_only
