"""Which requests a list shows."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from jobx.errors import InvalidInput
from jobx.kv.requests import request_filter
from jobx.kv.requests.request_filter import argument_digest, make_filter
from jobx.model import Failure, Request

REQUEST = Request(
    workflow_name="flow",
    request_id="r1",
    job_name="j",
    invocation_id="m0",
    state="failed",
    accepted_at=1000.0,
    failure=Failure(kind="author", type="KeyError", message=""),
    search=(argument_digest("n", 1), argument_digest("name", "é")),
)


def made(**given: Any) -> request_filter.Filter:
    return make_filter("flow", now_at=2000.0, **given)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"state": "failed", "job": "j", "error": "KeyError"},
        {"since": "1000s", "until": "999s"},
        {"job": "j", "search": {"n": 1.0, "name": "é"}},
    ],
)
def test_a_filter_shows_what_fits_all_of_it(given: dict[str, Any]) -> None:
    assert made(**given).fits(REQUEST)


@pytest.mark.parametrize(
    "given",
    [
        {"state": "running"},
        {"state": "failed", "job": "k"},
        {"error": "keyerror"},
        {"since": "999s"},
        {"until": "1000s"},
        {"job": "j", "search": {"n": 1, "name": "e"}},
        *({"job": "j", "search": {"n": value}} for value in ("1", True, 1.5, None, "")),
    ],
)
def test_a_filter_hides_what_differs_in_anything(given: dict[str, Any]) -> None:
    assert not made(**given).fits(REQUEST)


def test_a_request_without_failure_and_arguments_is_found_by_neither() -> None:
    plain = replace(REQUEST, failure=None, search=())
    assert not made(error="KeyError").fits(plain)
    assert not made(job="j", search={"n": 1}).fits(plain)


def test_equal_numbers_are_one_value_and_all_else_differs() -> None:
    values = [1, "1", True, "True", 1.5, None, "None", "", 1 << 70, 10**5000, "\ud800", "é" * 9000]
    digests = {argument_digest("n", value) for value in values}
    assert len(digests) == len(values)
    assert argument_digest("n", 2.0) == argument_digest("n", 2)
    assert argument_digest("n", -0.0) == argument_digest("n", 0)
    assert argument_digest("n", float(1 << 70)) == argument_digest("n", 1 << 70)
    assert argument_digest("a", "bc") != argument_digest("ab", "c")
    assert {len(one) for one in digests} == {32}


def test_a_cursor_is_of_one_filter() -> None:
    filters = [
        made(),
        made(state="failed"),
        made(state="succeeded"),
        made(job="failed"),
        made(error="failed"),
        made(since="1h"),
        made(until="1h"),
        made(job="j", search={"n": 1}),
        made(job="j", search={"n": "1"}),
        make_filter("other", now_at=0.0, state="failed"),
    ]
    assert len({one.tag for one in filters}) == len(filters)
    for one in filters:
        cursor = request_filter.cursor("r1", one.tag)
        assert request_filter.after(cursor, one.tag) == "r1"
        for other in filters:
            if other is not one:
                with pytest.raises(InvalidInput, match=r"^after: is a cursor of a list with an"):
                    request_filter.after(cursor, other.tag)


def test_a_cursor_does_not_depend_on_the_order_of_arguments_and_the_time() -> None:
    one = make_filter("flow", now_at=1.0, job="j", since="2h", search={"a": 1, "b": 2})
    other = make_filter("flow", now_at=9.0, job="j", since="2h", search={"b": 2, "a": 1})
    assert one.tag == other.tag


def test_arguments_need_their_job() -> None:
    with pytest.raises(InvalidInput, match=r"^search: needs the job that names it"):
        made(search={"n": 1})
