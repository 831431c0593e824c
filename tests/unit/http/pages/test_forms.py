from __future__ import annotations

from urllib.parse import urlencode

import pytest
from falcon.testing import Result, TestClient

from jobx.http.pages import forms
from tests.support.fake_node import FakeNode
from tests.support.html import Html

PLACE = "/ui/job/texts/count"
FIELDS = {"more": '{"text": "a b"}', "do": "run"}


@pytest.fixture
def token(client: TestClient) -> str:
    answer = client.simulate_get(PLACE)
    shown = Html(answer.text, PLACE).values["token"]
    assert answer.cookies[forms.COOKIE].value == shown
    return shown


def post(client: TestClient, body: str | bytes, cookie: str, **headers: str) -> Result:
    kinds = {"Content-Type": forms.MEDIA_FORM, "Cookie": f"{forms.COOKIE}={cookie}"}
    return client.simulate_post(PLACE, body=body, headers=kinds | headers)


def test_form_with_its_token_is_taken(client: TestClient, token: str) -> None:
    assert post(client, urlencode({**FIELDS, "token": token}), token).status_code == 303


def test_cookie_of_the_token_is_of_no_other_site_and_no_script(client: TestClient) -> None:
    cookie = client.simulate_get(PLACE).cookies[forms.COOKIE]
    assert (cookie.http_only, cookie.same_site, cookie.path) == (True, "Strict", None)


def test_second_form_has_the_token_that_the_browser_has(client: TestClient, token: str) -> None:
    again = client.simulate_get(PLACE, headers={"Cookie": f"{forms.COOKIE}={token}"})
    assert Html(again.text, PLACE).values["token"] == token
    assert forms.COOKIE not in again.cookies


@pytest.mark.parametrize("cookie", ["", "x", "A" * 22])
@pytest.mark.parametrize("field", [None, "", "x", "B" * 22, "é"])
def test_form_of_elsewhere_changes_nothing(
    client: TestClient, node: FakeNode, cookie: str, field: str | None
) -> None:
    fields = FIELDS if field is None else {**FIELDS, "token": field}
    answer = post(client, urlencode(fields), cookie)
    assert (answer.status_code, node.count("submit")) == (403, 0)
    assert "token of the form" in answer.text


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (b"do=run&do=show", 400, "has a field twice"),
        (b"do=%ff", 400, "cannot be read"),
        (b"do=\xff", 400, "cannot be read"),
        (b"&".join(b"a%d=1" % n for n in range(1001)), 400, "cannot be read"),
        (b"do=" + b"x" * 100_000, 413, "may have at most 100000 bytes"),
    ],
)
def test_malformed_form_is_refused(
    client: TestClient, token: str, body: bytes, status: int, says: str
) -> None:
    answer = post(client, body, token)
    assert answer.status_code == status
    assert says in answer.text


def test_other_bodies_are_refused(client: TestClient, token: str) -> None:
    answer = post(client, "{}", token, **{"Content-Type": "application/json"})
    assert answer.status_code == 415
