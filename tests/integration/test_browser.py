"""What a page can have a real browser do to a JobX on the same machine: nothing."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.chromium import ELSEWHERE, opened, page, program
from tests.support.served import Served, served

#: Ways to have a browser send a body or do something; ``$`` is where, ``body(n)`` a workflow.
FROM_ELSEWHERE = {
    "blob": "fetch($, {method: 'POST', mode: 'no-cors', body: new Blob([body(n)])})",
    "bytes": "fetch($, {method: 'POST', mode: 'no-cors', body: new TextEncoder().encode(body(n))})",
    "text": "fetch($, {method: 'POST', mode: 'no-cors', body: body(n)})",
    "credentials": "fetch($, {method: 'POST', mode: 'no-cors', credentials: 'include',"
    " body: new Blob([body(n)])})",
    "no referrer": "fetch($, {method: 'POST', mode: 'no-cors', referrerPolicy: 'no-referrer',"
    " body: new Blob([body(n)])})",
    "beacon": "Promise.resolve(navigator.sendBeacon($, new Blob([body(n)])))",
    "form": "form($, body(n))",
    "json": "fetch($, {method: 'POST', headers: {'Content-Type': 'application/json'},"
    " body: body(n)}).catch(() => 0)",
    "delete": "fetch($ + '/kept', {method: 'DELETE'}).catch(() => 0)",
    "bodiless": "fetch($, {method: 'POST', mode: 'no-cors'})",
    "multipart form": "form($, body(n), 'multipart/form-data')",
    "encoded form": "form($, body(n), 'application/x-www-form-urlencoded')",
    "request": "request('POST', $, body(n), 'text/plain')",
    "request of json": "request('POST', $, body(n), 'application/json')",
    "request to delete": "request('DELETE', $ + '/kept')",
    "request to read": "request('GET', $)",
    "image": "loaded('img', $)",
    "script": "loaded('script', $)",
    "style": "loaded('link', $)",
    "frame": "framed($)",
    "events": "listened($)",
}
FROM_REBOUND = {
    "json": "fetch($, {method: 'POST', headers: {'Content-Type': 'application/json'},"
    " body: body(n)})",
    "put": "fetch($ + '/w' + n, {method: 'PUT', headers: {'Content-Type': 'application/json'},"
    " body: body(n)})",
    "delete": "fetch($ + '/kept', {method: 'DELETE'})",
    "read": "fetch($).then(answer => answer.text()).then(text => {"
    " if (text.includes('kept')) throw 'it was read' })",
}
PAGE = """<!doctype html><title>page</title><body><p id=end>begun</p><script>
const body = n => JSON.stringify({workflow_name: 'w' + n, description: ''});
// Each of these is done once nothing came of it, and fails when anything was read.
const request = (method, where, text, type) => new Promise((done, fail) => {
  const made = new XMLHttpRequest();
  made.open(method, where);
  made.withCredentials = true;
  if (type) made.setRequestHeader('Content-Type', type);
  made.onloadend = () => made.status || made.responseText ? fail(method + ' was answered') : done();
  made.send(text);
});
const loaded = (tag, where) => new Promise((done, fail) => {
  const made = document.createElement(tag);
  made.onload = () => fail(tag + ' was loaded');
  made.onerror = () => done();
  if (tag === 'link') made.rel = 'stylesheet';
  made[tag === 'link' ? 'href' : 'src'] = where;
  document.body.append(made);
});
const framed = where => new Promise((done, fail) => {
  const frame = document.createElement('iframe');
  frame.onload = () => {
    try { fail('frame was read: ' + frame.contentWindow.document.body.textContent); }
    catch (error) { done(); }
  };
  setTimeout(done, 2000);  // what is downloaded does not load
  frame.src = where;
  document.body.append(frame);
});
const listened = where => new Promise((done, fail) => {
  const made = new EventSource(where, {withCredentials: true});
  made.onopen = () => fail('events were heard');
  made.onerror = () => { made.close(); done(); };
});
const form = (where, text, type = 'text/plain') => new Promise(done => {
  const frame = document.createElement('iframe');
  frame.name = 'frame';
  document.body.append(frame);
  const made = document.createElement('form');
  made.action = where; made.method = 'POST'; made.enctype = type; made.target = 'frame';
  const field = document.createElement('input');
  field.name = text.slice(0, -2); field.value = '"}';  // an = comes between them
  made.append(field);
  document.body.append(made);
  frame.onload = done;
  setTimeout(done, 2000);  // an answer that is no page need not load
  made.submit();
});
const tries = [TRIES];
(async () => {
  let sent = 0;
  for (const [n, attempt] of tries.entries()) { await attempt(n); sent += 1; }
  document.getElementById('end').textContent = 'all sent: ' + sent;
})().catch(error => { document.getElementById('end').textContent = 'stopped: ' + error; });
</script>"""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    program()
    with served(tmp_path_factory.mktemp("browser") / "d") as one:
        kept = one.ask("POST", "/workflow", {"workflow_name": "kept", "description": ""}, 30, {})
        assert kept.status == 201, kept
        yield one


def attacking(tries: dict[str, str], where: str) -> str:
    listed = ",\n".join(
        f"n => {attempt.replace('$', json.dumps(where))}" for attempt in tries.values()
    )
    return PAGE.replace("TRIES", listed)


def stored(one: Served) -> list[str]:
    answer = one.ask("GET", "/workflow", None, 30, {})
    return [entity["workflow_name"] for entity in answer.body["entities"]]


@pytest.mark.parametrize("name", [ELSEWHERE, "127.0.0.1", "localhost"])
@pytest.mark.parametrize("called", ["127.0.0.1", "localhost"])
def test_page_of_elsewhere_stores_nothing(
    name: str, called: str, serving: Served, tmp_path: Path
) -> None:
    text = attacking(FROM_ELSEWHERE, f"http://{called}:{serving.port}/workflow")
    with page(text) as port:
        document = opened(f"http://{name}:{port}/page", tmp_path)

    assert f"all sent: {len(FROM_ELSEWHERE)}" in document
    assert stored(serving) == ["kept"]


def test_page_of_an_ipv6_host_stores_nothing(serving: Served, tmp_path: Path) -> None:
    if not has_ipv6():
        pytest.skip("this machine has no IPv6")
    text = attacking(FROM_ELSEWHERE, f"http://127.0.0.1:{serving.port}/workflow")
    with page(text, address="::1") as port:
        document = opened(f"http://[::1]:{port}/page", tmp_path)

    assert f"all sent: {len(FROM_ELSEWHERE)}" in document
    assert stored(serving) == ["kept"]


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


def test_page_in_a_file_stores_nothing(serving: Served, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(attacking(FROM_ELSEWHERE, f"http://127.0.0.1:{serving.port}/workflow"))
    document = opened(path.as_uri(), tmp_path / "user")

    assert f"all sent: {len(FROM_ELSEWHERE)}" in document
    assert stored(serving) == ["kept"]


def test_page_whose_name_was_rebound_stores_nothing(serving: Served, tmp_path: Path) -> None:
    with page(attacking(FROM_REBOUND, "/workflow"), relayed_to=serving.port) as port:
        document = opened(f"http://{ELSEWHERE}:{port}/page", tmp_path)

    assert f"all sent: {len(FROM_REBOUND)}" in document
    assert stored(serving) == ["kept"]
