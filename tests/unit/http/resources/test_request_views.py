from __future__ import annotations

import pytest
from falcon.testing import TestClient

from jobx.actors.inspection.folding import pages
from jobx.views import InvocationPage, Reading
from tests.unit.http.resources.test_requests import submit

VIEWS = ("summary", "tree", "invocations", "timeline")


@pytest.mark.parametrize("view", VIEWS)
def test_view_is_tagged_with_its_last_event(client: TestClient, view: str) -> None:
    path = f"/request/texts/{submit(client, 'count', text='a b')}/{view}"
    answer = client.simulate_get(path)
    again = client.simulate_get(path, headers={"If-None-Match": answer.headers["ETag"]})
    assert (answer.status_code, answer.headers["ETag"]) == (200, f'W/"{answer.json["as_of"]}"')
    assert (again.status_code, again.text) == (304, "")


def test_tag_of_another_event_is_not_taken_for_its_own(client: TestClient) -> None:
    path = f"/request/texts/{submit(client, 'count', text='a b')}/summary"
    as_of = client.simulate_get(path).json["as_of"]
    answer = client.simulate_get(path, headers={"If-None-Match": f'W/"1{as_of}"'})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("view", "query", "named"),
    [
        ("summary", "limit=1", "limit"),
        ("tree", "of=x", "of"),
        ("tree", "after=m1", "after"),
        ("tree", "limit=0", "limit"),
        ("invocations", "state=lost", "state"),
        ("invocations", "step=A b", "step"),
        ("invocations", "step=nosuch", "step"),
        ("invocations", "kind=mapper", "kind"),
        ("invocations", "colour=red", "colour"),
        ("invocations", "from=3.0", "from"),
        ("invocations", "from=m-1", "from"),
        ("timeline", "width=0", "width"),
        ("timeline", "width=-1", "width"),
        ("timeline", "from=nan", "from"),
        ("timeline", "to=yesterday", "to"),
        ("timeline", "to=1", "to"),
    ],
)
def test_what_is_wrong_in_a_query_is_named(
    client: TestClient, view: str, query: str, named: str
) -> None:
    request_id = submit(client, "count", text="a b")
    answer = client.simulate_get(f"/request/texts/{request_id}/{view}", query_string=query)
    assert (answer.status_code, answer.json["code"]) == (400, "invalid-input")
    assert answer.json["detail"].startswith((f"query parameter {named}:", f"{named}:"))


def test_absent_mapper_has_no_tree(client: TestClient) -> None:
    path = f"/request/texts/{submit(client, 'count', text='a')}/tree"
    assert client.simulate_get(path, params={"of": "m7"}).status_code == 404


def test_view_of_a_part_of_a_log_has_a_tag_of_its_own(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/request/texts/{submit(client, 'count', text='a b')}/invocations"
    whole = client.simulate_get(path)
    tag, as_of = whole.headers["ETag"], whole.json["as_of"]
    part = InvocationPage(as_of=as_of, reading=Reading(events=as_of + 1, of=5000))
    monkeypatch.setattr(pages, "invocations", lambda *_: part)
    answer = client.simulate_get(path, headers={"If-None-Match": tag})
    assert (answer.status_code, answer.headers["ETag"]) == (200, f'W/"{as_of}-5000"')
