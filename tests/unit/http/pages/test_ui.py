from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urljoin, urlsplit

import pytest
from falcon.testing import TestClient

from jobx.errors import DeadlineExceeded, NodeUnreachable, NotFound
from jobx.http.openapi.operations import operations
from jobx.http.pages.addresses import PAGES
from jobx.kv.entities.entities import Entities
from jobx.model import Failure
from tests.support import authoring
from tests.support.fake_node import FakeNode
from tests.support.html import Html
from tests.unit.http.pages.conftest import Visit, submitted

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>\"' style=\"color:red\""
FIXED = ["/ui/", "/ui/node", "/ui/actors", "/ui/requests/texts", "/ui/workflow/texts"]
FIXED += ["/ui/handler/texts/count", "/ui/job/texts/count"]


@pytest.fixture
def places(failed: str, running: str) -> list[str]:
    """Every page, and those of a request that failed and of one that runs."""
    of_requests = [f"/ui/request/texts/{one}" for one in (failed, running)]
    views = ("tree", "timeline", "invocations", "invocation/m0")
    parts = [f"{place}/{view}" for place in of_requests for view in views]
    return [*FIXED, *of_requests, *parts]


def test_pages_are_not_in_the_description_of_the_interface() -> None:
    assert not [one.path for one in operations() if one.path.startswith("/ui")]
    assert all(one.path.startswith("/ui") for one in PAGES)


def test_page_lets_nothing_in_and_runs_nothing_of_its_text(client: TestClient) -> None:
    headers = client.simulate_get("/ui/").headers
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    )
    assert (headers["X-Content-Type-Options"], headers["Cache-Control"]) == ("nosniff", "no-store")


def test_every_page_is_whole_and_needs_no_style_or_script_of_its_own(
    visit: Visit, places: list[str]
) -> None:
    for place in places:
        page = visit(place)
        assert (page.unclosed, page.styled) == ([], []), place
        assert len(page.ids) == len(set(page.ids)), place
        assert "main" in page.ids, place


@pytest.mark.parametrize("prefix", ["", "/jobx", "/a/b"])
def test_every_link_leads_somewhere_below_any_prefix(
    prefix: str, client: TestClient, places: list[str]
) -> None:
    seen = set()
    for place in places:
        page = Html(client.simulate_get(place).text, prefix + place)
        seen |= {link.partition("#")[0] for link in page.links}
    for link in sorted(seen):
        assert link.startswith(f"{prefix}/"), link
        parts = urlsplit(link.removeprefix(prefix))
        answer = client.simulate_get(parts.path, query_string=parts.query)
        assert answer.status_code in (200, 409), link


def test_root_of_the_pages_is_a_folder_below_any_prefix(client: TestClient) -> None:
    answer = client.simulate_get("/ui")
    assert (answer.status_code, answer.headers["Location"]) == (308, "ui/")


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/ui/nowhere", 404, "there is no page"),
        ("/ui/a/b/c/d/e/f", 404, "there is no page"),
        ("/ui/requests/texts?state=odd", 400, "query parameter state"),
        ("/ui/requests/texts?colour=red", 400, "query parameter colour"),
        ("/ui/requests/texts?limit=0", 400, "query parameter limit"),
        ("/ui/requests/texts?after=../x", 400, "query parameter after"),
        ("/ui/?after=/", 400, "query parameter after"),
        ("/ui/node?x=1", 400, "query parameter x"),
        ("/ui/actors?state=odd", 400, "query parameter state"),
        ("/ui/actors?name=" + "x" * 129, 400, "query parameter name"),
        ("/ui/actor?address=nope", 400, "nope"),
        ("/ui/workflow/UPPER", 400, "workflow"),
        ("/ui/workflow/nope", 404, "there is no workflow named nope"),
        ("/ui/handler/texts/nope", 404, "there is no handler"),
        ("/ui/job/texts/nope", 404, "there is no job"),
        ("/ui/request/texts/nope", 404, "there is no request"),
        ("/ui/request/texts/..%2f", 404, ""),
        ("/ui/static/nope.js", 404, "nope.js"),
        ("/ui/static/..", 404, ""),
    ],
)
def test_what_is_wrong_is_said_on_a_page(visit: Visit, path: str, status: int, says: str) -> None:
    page = visit(path, status)
    assert says in page.text
    assert "/ui/static/ui.css" in page.links or "%2f" in path


@pytest.mark.parametrize(
    "name", ["%5C%5Cevil.example", "https:evil.example", "%0d%0aX-Evil:1", "%E2%82%AC", ".."]
)
def test_name_in_an_address_leads_nowhere_else(client: TestClient, name: str) -> None:
    place = f"http://here/ui/handler/texts/{name}"
    answer = client.simulate_get(f"/ui/handler/texts/{name}", query_string="version=&x=1")
    assert answer.status_code == 303
    led = urljoin(place, answer.headers["Location"].replace("\\", "/"))
    assert led.startswith("http://here/ui/handler/"), led


def test_wrong_method_is_refused(client: TestClient) -> None:
    assert client.simulate_delete("/ui/node").status_code == 405


def test_page_of_a_node_that_is_away_says_so_and_when_to_ask_again(
    visit: Visit, client: TestClient, node: FakeNode
) -> None:
    node.error = NodeUnreachable("no node answers: <b>gone</b>")
    assert "no node answers: <b>gone</b>" in visit("/ui/node", 503).text
    answer = client.simulate_get("/ui/node")
    assert answer.headers["Retry-After"] == "1"
    assert 'id="problem" data-live' in answer.text
    node.error = DeadlineExceeded("the node", 30)
    assert 'id="problem" data-live' in client.simulate_get("/ui/node").text
    node.error = NotFound("node", "it")
    assert "data-live" not in client.simulate_get("/ui/node").text


def test_file_is_not_sent_again_to_a_browser_that_has_it(client: TestClient) -> None:
    first = client.simulate_get("/ui/static/ui.css")
    again = client.simulate_get(
        "/ui/static/ui.css", headers={"If-None-Match": first.headers["ETag"]}
    )
    assert first.headers["Content-Type"] == "text/css; charset=utf-8"
    assert (again.status_code, again.content) == (304, b"")


def test_compressed_file_has_a_tag_that_claims_no_equal_bytes(client: TestClient) -> None:
    answer = client.simulate_get("/ui/static/ui.css", headers={"Accept-Encoding": "gzip"})
    assert (answer.headers["Content-Encoding"], answer.headers["ETag"][:3]) == ("gzip", 'W/"')


def sources(client: TestClient) -> Iterator[str]:
    for name in ("ui.js", "form.js", "rows.js", "timeline.js"):
        answer = client.simulate_get(f"/ui/static/{name}")
        assert answer.headers["Content-Type"].startswith("text/javascript")
        yield answer.text


def test_scripts_make_no_markup_of_text(client: TestClient) -> None:
    for source in sources(client):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval", source)


def test_hostile_text_is_text_wherever_it_is_shown(
    visit: Visit, client: TestClient, node: FakeNode
) -> None:
    entities = Entities(node.store)
    source = f'"""{HOSTILE}"""\ndef handler(arguments):\n    yield Return()\n'
    made = authoring.handler("hostile", "mapper", source, workflow_name="texts")
    entities.create(made)
    node.desk.failure = Failure(
        kind="author",
        type=HOSTILE,
        message=HOSTILE,
        traceback=HOSTILE,
        input=HOSTILE,
        invocation_id="m0",
    )
    node.desk.session = {HOSTILE: HOSTILE}
    lost, done = submitted(client, "fail"), submitted(client, "count", text=HOSTILE)
    node.trouble = HOSTILE
    places = ["/ui/", "/ui/handler/texts/hostile", "/ui/requests/texts", "/ui/node"]
    places += [f"/ui/request/texts/{lost}", f"/ui/request/texts/{lost}/invocation/m0"]
    places += [f"/ui/request/texts/{done}/invocation/m0"]
    for place in places:
        page = visit(place)
        assert "<script>alert('x')</script><img src=x onerror=alert(1)>" in page.text, place
        assert (page.tags["img"], page.styled) == (0, []), place
        assert all("/static/" in link or "alert" not in link for link in page.links), place
    assert visit("/ui/").tags["script"] == 1
