from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from falcon.testing import Result, TestClient
from msgspec.structs import replace

from jobx import views
from jobx.http.pages import forms
from tests.support.fake_node import FakeNode
from tests.unit.http.pages.conftest import Visit, submitted

TOKEN = "t" * 22


def act(client: TestClient, request_id: str, **fields: str) -> Result:
    return client.simulate_post(
        f"/ui/request/texts/{request_id}",
        body=urlencode({"token": TOKEN, **fields}),
        headers={"Content-Type": forms.MEDIA_FORM, "Cookie": f"{forms.COOKIE}={TOKEN}"},
    )


def test_request_shows_its_error_and_where_it_was(visit: Visit, failed: str) -> None:
    page = visit(f"/ui/request/texts/{failed}")
    assert "ValueError: no such word" in page.text


def test_ended_request_offers_nothing_that_cannot_be_done(visit: Visit, failed: str) -> None:
    assert visit(f"/ui/request/texts/{failed}").tags["form"] == 0


def test_running_request_is_cancelled_with_the_reason(
    client: TestClient, node: FakeNode, visit: Visit, running: str
) -> None:
    assert visit(f"/ui/request/texts/{running}").tags["form"] == 1
    answer = act(client, running, do="cancel", reason="too slow")
    assert (answer.status_code, answer.headers["Location"]) == (303, running)
    assert node.last("request.cancel").reason == "too slow"
    assert "too slow" in visit(f"/ui/request/texts/{running}").text


def test_steps_of_a_running_request_say_how_many_mappers_are_at_work(
    node: FakeNode, visit: Visit, running: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = [
        views.OpenGroup(
            cause=cause,
            kind=kind,
            step_name="s",
            count=count,
            invocation_id="m1",
            says="-",
        )
        for cause, kind, count in (
            ("running", "map", 3),
            ("running", "reduce", 5),
            ("queued", "map", 9),
        )
    ]
    call = node.call

    async def explained(question: Any, timeout_s: float = 1.0) -> Any:
        answer = await call(question, timeout_s)
        return replace(answer, groups=groups) if isinstance(answer, views.ExplainView) else answer

    monkeypatch.setattr(node, "call", explained)
    assert "Executors are at 3 mappers now." in visit(f"/ui/request/texts/{running}").text


@pytest.mark.parametrize("action", ["", "delete", "<b>"])
def test_unknown_action_is_refused_by_name(client: TestClient, running: str, action: str) -> None:
    answer = act(client, running, do=action)
    assert answer.status_code == 400
    assert "must be one of cancel, deliver" in answer.text


def test_delivery_that_cannot_be_is_said_on_the_page(client: TestClient, running: str) -> None:
    answer = act(client, running, do="deliver")
    assert answer.status_code == 409
    assert 'role="alert"' in answer.text


def test_invocation_shows_its_output_and_session(
    client: TestClient, node: FakeNode, visit: Visit
) -> None:
    node.desk.session = {"seen": 3}
    request_id = submitted(client, "count", text="a")
    page = visit(f"/ui/request/texts/{request_id}/invocation/m0")
    assert "é, printed" in page.text
    assert '"seen": 3' in page.text
    assert f"/request/texts/{request_id}/dump?below=m0&format=text" in page.links
    assert f"jobx request dump texts {request_id} --below m0" in page.text


@pytest.mark.parametrize("invocation_id", ["x", "m", "m99", "m-1"])
def test_unknown_invocation_is_not_found(visit: Visit, failed: str, invocation_id: str) -> None:
    visit(f"/ui/request/texts/{failed}/invocation/{invocation_id}", 404)


@pytest.mark.parametrize("part", ["", "/tree", "/timeline", "/invocations"])
def test_page_of_a_part_of_a_log_says_how_far_it_was_read(
    node: FakeNode, visit: Visit, failed: str, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    reading, call = views.Reading(events=310_000, of=1_000_000), node.call

    async def partly(question: Any, *given: Any) -> Any:
        view = await call(question, *given)
        return replace(view, reading=reading) if hasattr(view, "reading") else view

    monkeypatch.setattr(node, "call", partly)
    page = visit(f"/ui/request/texts/{failed}{part}")
    assert "Events 310,000 of 1,000,000 are read." in page.text
    assert page.tags["meta"] == 4  # the last one asks again where no script does
