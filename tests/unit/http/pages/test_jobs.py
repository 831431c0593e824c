from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from falcon.testing import Result, TestClient

from jobx import values
from jobx.http.pages import forms
from jobx.kv.entities.entities import Entities
from jobx.model import Step
from tests.support import authoring
from tests.support.fake_node import FakeNode
from tests.support.html import Html
from tests.unit.http.pages.conftest import Visit

TOKEN = "t" * 22
SPEC = (("s", "str"), ("i", "int"), ("f", "float"), ("t", "bool"), ("b", "bytes"), ("l", "list"))
PLACE = "/ui/job/typed/first"


@pytest.fixture(autouse=True)
def workflow(node: FakeNode) -> None:
    """A job whose mapper takes arguments of each type."""
    source = "def handler(arguments):\n    yield Return()\n"
    authoring.write(
        node.store, {"m": source}, {"first": ("m", "sum")}, "typed", m={"argument_spec": SPEC}
    )


def fill(client: TestClient, place: str = PLACE, **fields: str) -> Result:
    named = {name.replace("__", "."): value for name, value in fields.items()}
    return client.simulate_post(
        place,
        body=urlencode({"do": "run", "token": TOKEN, **named}),
        headers={"Content-Type": forms.MEDIA_FORM, "Cookie": f"{forms.COOKIE}={TOKEN}"},
    )


def asked(node: FakeNode) -> dict[str, Any]:
    return dict(values.unpack(node.last("submit").arguments))


def test_form_has_a_field_for_each_argument(visit: Visit) -> None:
    page = visit(PLACE)
    assert {f"argument.{name}" for name, _ in SPEC} <= page.values.keys()


def test_form_runs_the_job_with_arguments_of_their_types(
    client: TestClient, node: FakeNode
) -> None:
    answer = fill(
        client,
        argument__s="two\r\nlines ",
        argument__i=" 7 ",
        argument__f="1e-1",
        argument__t="false",
        argument__b="AP8=",
        argument__l='[1, {"$bytes": "eA=="}]',
    )
    assert asked(node) == {
        "s": "two\nlines ",
        "i": 7,
        "f": 0.1,
        "t": False,
        "b": b"\x00\xff",
        "l": [1, b"x"],
    }
    place = answer.headers["Location"]
    assert (answer.status_code, place[:21]) == (303, "../../request/typed/" + place[20])
    assert client.simulate_get(f"/ui/{place[6:]}").status_code == 200


def test_empty_field_is_not_given(client: TestClient, node: FakeNode) -> None:
    fill(client, argument__s="", argument__i="1", more='{"s": "x"}')
    assert asked(node) == {"i": 1, "s": "x"}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"argument__i": "1.5"}, "argument i: must be a whole number"),
        ({"argument__i": "9" * 5000}, "argument i"),
        ({"argument__f": "x"}, "argument f: must be a number"),
        ({"argument__b": "?"}, "argument b: must be base64"),
        ({"argument__l": "[1"}, "argument l: is not JSON"),
        ({"argument__l": "[" * 50 + "]" * 50}, "argument l: nests deeper than 16"),
        ({"more": "[]"}, "further arguments: must be a map"),
        ({"more": '{"s": 1}', "argument__s": "x"}, "further arguments: are given twice"),
        ({"more": '{"unknown": 1}'}, "unknown"),
    ],
)
def test_wrong_field_is_said_by_name_and_kept(
    client: TestClient, fields: dict[str, str], says: str
) -> None:
    answer = fill(client, **fields)
    page = Html(answer.text, PLACE)
    assert answer.status_code in (400, 422)
    assert says in page.text
    shown = page.text + str(page.values)
    assert all(text in shown for text in fields.values())


def test_form_shows_the_commands_for_what_is_filled_in(client: TestClient, node: FakeNode) -> None:
    page = Html(fill(client, argument__s="it's", do="show").text, PLACE)
    assert node.count("submit") == 0
    assert "jobx run typed/first" in page.text
    assert """-d '{"arguments": {"s": "it'"'"'s"}}\'""" in page.text


def test_form_of_a_job_without_its_step_is_shown(visit: Visit, node: FakeNode) -> None:
    Entities(node.store).delete(Step, "typed", "first", force=True)
    assert "further" not in visit(PLACE).text.lower()
