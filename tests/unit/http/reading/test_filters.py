"""Which requests a client wants to see, by the query of an address."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from falcon.testing import create_asgi_req

from jobx.errors import InvalidInput
from jobx.http.reading import filters, headers
from jobx.questions import ListRequests

ID = "0" * 26


def read(query: str) -> ListRequests:
    return filters.question(create_asgi_req(query_string=query), "flow", 10)


def test_a_query_says_which_requests() -> None:
    query = urlencode(
        {
            "state": "failed",
            "job": "count",
            "since": "2h",
            "until": "2026-02-01T12:00:00Z",
            "error": "Kaputt é",
            "after": f"{ID}.0123abcd",
        }
    )
    assert read(query) == ListRequests(
        workflow="flow",
        state="failed",
        job="count",
        since="2h",
        until="2026-02-01T12:00:00Z",
        error="Kaputt é",
        after=f"{ID}.0123abcd",
        limit=10,
    )
    assert read("") == ListRequests(workflow="flow", limit=10)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ('"1"', "1"),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("True", "True"),
        ("NaN", "NaN"),
        ("", ""),
        ('""', ""),
        ("a b&c=d/é", "a b&c=d/é"),
        ("[1", "[1"),
        ("-", "-"),
        ("01", "01"),
    ],
)
def test_the_value_of_an_argument_is_json_or_else_text(text: str, value: Any) -> None:
    found = read(urlencode({"arg.a.b é": text})).search
    assert found == {"a.b é": value}
    assert type(found["a.b é"]) is type(value)


@pytest.mark.parametrize(
    ("parameter", "text"),
    [
        ("state", "odd"),
        ("job", "A b"),
        ("job", ""),
        ("since", "yesterday"),
        ("until", "2"),
        ("error", ""),
        ("error", "x" * 5000),
        ("after", "0"),
        ("after", f"{ID}.X"),
        ("after", f"{ID}\n"),
        ("arg.", "1"),
        ("arg." + "n" * 200, "1"),
        ("arg.n", "x" * 5000),
        ("arg.n", "[1]"),
        ("arg.n", '{"$bytes": ""}'),
        ("arg.n", "1e999"),
        ("arg.n", "9" * 30),
        ("arg.n", '"\\ud800"'),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(parameter: str, text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        read(urlencode({parameter: text}))
    assert str(refused.value).startswith(f"query parameter {parameter[:80]}: ")


def test_a_name_that_ends_with_a_dot_is_the_beginning_of_many() -> None:
    headers.check_query(create_asgi_req(query_string="arg.a=1&arg.b.c=2"), "arg.")
    for query in ("arg=1", "argx.a=1", "arg.a=1&arg.a=2", "x.arg.a=1"):
        with pytest.raises(InvalidInput):
            headers.check_query(create_asgi_req(query_string=query), "arg.")
