from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.egress import signing
from jobx.actors.egress.writers.base import Options, Result, Writer
from jobx.actors.egress.writers.files import file_name
from jobx.actors.egress.writers.registry import Writers, check_names
from jobx.config import Settings
from jobx.config_sections import MailSettings, OutboundSettings, ResultSettings
from jobx.errors import BlobDamaged, ConfigError, InvalidInput, StoreRefused, TooLarge
from jobx.model import Job
from tests.support.http_sink import http_sink
from tests.support.mail_sink import PASSWORD, USER, mail_sink
from tests.support.results import blob_result, result, site

PAIRS = [(1, [2]), ("a/b", 1), ("a/b", 2), ("c", b"\x00")]
NAMED: Any = {
    "workflow_name": "w",
    "job_name": "j",
    "description": "",
    "initial_step_name": "s",
}
LINES = [[1, [2]], ["a/b", 1], ["a/b", 2], ["c", {"$bytes": "AA=="}]]


def _write(settings: Settings, name: str, given: Result, **options: Any) -> None:
    writers = Writers(site(settings))
    checked = writers.options(name, options)
    writers.writer(name).check(checked)
    writers.writer(name).write(given, checked)


def _results(**fields: Any) -> Settings:
    return Settings(results=ResultSettings(**fields))


def _contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_text() for path in files}


def test_file_writer_writes_a_pair_a_line(tmp_path: Path) -> None:
    _write(_results(file_path=str(tmp_path)), "file", result(PAIRS), folder="a/b")

    path = tmp_path / "a" / "b" / "texts" / "r1.ndjson"
    assert [json.loads(line) for line in path.read_text().splitlines()] == LINES
    assert os.listdir(path.parent) == ["r1.ndjson"]


def test_file_writer_writes_a_file_for_each_key(tmp_path: Path) -> None:
    _write(_results(file_path=str(tmp_path), file_per_key=True), "file", result(PAIRS))

    folder = tmp_path / "texts" / "r1"
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "=1": "[2]\n",
        "a%2Fb": "1\n2\n",
        "c": '{"$bytes":"AA=="}\n',
    }


@pytest.mark.parametrize("per_key", [False, True])
def test_file_writer_changes_nothing_when_it_writes_again(tmp_path: Path, per_key: bool) -> None:
    settings = _results(file_path=str(tmp_path), file_per_key=per_key)
    _write(settings, "file", result(PAIRS))
    before = _contents(tmp_path)
    _write(settings, "file", result(PAIRS))

    assert _contents(tmp_path) == before


@pytest.mark.parametrize("per_key", [False, True])
def test_file_writer_makes_use_of_nothing_that_a_killed_one_left(
    tmp_path: Path, per_key: bool
) -> None:
    settings = _results(file_path=str(tmp_path), file_per_key=per_key)
    left = tmp_path / "texts" / (".r1.partial/x" if per_key else ".r1.ndjson.partial")
    left.parent.mkdir(parents=True)
    left.write_text("half")
    _write(settings, "file", result(PAIRS))

    assert not any("half" in text for text in _contents(tmp_path).values())


def test_file_writer_shows_nothing_of_a_result_that_is_damaged(tmp_path: Path) -> None:
    damaged = blob_result(tmp_path, PAIRS)
    (tmp_path / "b").write_bytes(b"x")

    with pytest.raises(BlobDamaged):
        _write(_results(file_path=str(tmp_path / "out")), "file", damaged)
    assert list((tmp_path / "out" / "texts").iterdir()) == []


def test_file_writer_says_what_the_disk_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(StoreRefused, match="file"):
        _write(_results(file_path=str(tmp_path / "file")), "file", result(PAIRS))


@pytest.mark.parametrize("folder", ["..", "a/../..", "A", "a/.b", "a\x00"])
def test_folder_that_does_not_go_downwards_is_refused(tmp_path: Path, folder: str) -> None:
    with pytest.raises(InvalidInput):
        _write(_results(file_path=str(tmp_path)), "file", result(PAIRS), folder=folder)


KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.text(),
    st.binary(),
    st.floats(allow_nan=False),
    st.just(Decimal("1.5")),
    st.tuples(st.text(), st.integers()),
)


@given(st.lists(KEYS, unique_by=lambda key: (type(key), key)))
def test_file_names_are_distinct_plain_names(keys: list[Any]) -> None:
    names = [file_name(key) for key in keys]

    assert len(set(names)) == len(keys)
    assert all(
        len(n) <= 255 and "/" not in n and "\0" not in n and not n.startswith(".") for n in names
    )


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("..", "%2E."),
        ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
        ("", "=%22%22"),
        ("1", "1"),
        (1, "=1"),
        ("=1", "%3D1"),
        (None, "=null"),
        ("naïve", "na%C3%AFve"),
    ],
)
def test_file_name_escapes(key: Any, name: str) -> None:
    assert file_name(key) == name


def test_http_writer_posts_the_signed_document_with_names(tmp_path: Path) -> None:
    with http_sink() as sink:
        settings = _results(http_url=sink.url, http_key="k")
        _write(settings, "http", blob_result(tmp_path, PAIRS))

    (post,) = sink.posts
    assert json.loads(post.body) == {"result": {"pairs": LINES}}
    assert {name: post.headers[name] for name in post.headers if name[:2] in ("X-", "we")} == {
        "X-REQUEST-ID": "r1",
        "X-WORKFLOW-NAME": "texts",
        "X-JOB-NAME": "count",
        "webhook-id": "texts/r1",
        "webhook-timestamp": "1000",
        "webhook-signature": post.headers["webhook-signature"],
    }
    assert signing.is_valid("k", post.headers, 1000.0, post.body)


def test_http_writer_refuses_a_url_that_is_not_allowed() -> None:
    with pytest.raises(InvalidInput, match=r"outbound\.allow"):
        _write(_results(), "http", result(PAIRS), url="http://169.254.169.254/")


def test_place_of_the_http_writer_shows_no_token() -> None:
    writers = Writers(site(_results(writer="http", http_url="https://h.example.com/t0ken?k=1")))
    job = Job(workflow_name="w", job_name="j", description="", initial_step_name="s")
    destination = writers.choose(job, "r", None)

    assert destination is not None
    assert (destination.place, destination.options) == ("https://h.example.com", {})


def _mail_settings(folder: Path, port: int, **fields: Any) -> Settings:
    return Settings(
        outbound=OutboundSettings(ca_file=str(folder / "ca.pem")),
        mail=MailSettings(
            host="localhost", port=port, sender="jobx@example.com", username=USER, password=PASSWORD
        ),
        results=ResultSettings(email_to=("a@example.com",), **fields),
    )


def test_mail_writer_mails_the_document(tmp_path: Path) -> None:
    with mail_sink(tmp_path) as sink:
        settings = _mail_settings(tmp_path, sink.port, email_subject="$job of $workflow: $pairs")
        _write(settings, "email", result(PAIRS), body="See $request_id, $$5.")

    (mail,) = sink.mails
    body, attachment = mail.iter_parts()
    assert (mail["Subject"], mail["To"]) == ("count of texts: 4", "a@example.com")
    assert (mail["Message-ID"], mail["X-DELIVERY-ID"]) == ("<texts/r1@jobx>", "texts/r1")
    assert body.get_content().splitlines() == ["See r1, $5."]
    assert attachment.get_filename() == "r1.json"
    assert json.loads(attachment.get_content()) == {"result": {"pairs": LINES}}


def test_mail_writer_refuses_what_is_too_large() -> None:
    settings = _mail_settings(Path("/nowhere"), 1, email_max_bytes=10)

    with pytest.raises(TooLarge, match="email_max_bytes"):
        _write(settings, "email", result(PAIRS))


@pytest.mark.parametrize(
    "options",
    [
        {"to": []},
        {"to": ["a@example.com\r\nBcc: b@example.com"]},
        {"to": ["nobody"]},
        {"subject": "$nope"},
        {"body": "$"},
        {"cc": ["x@example.com"]},
    ],
)
def test_mail_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        _write(_mail_settings(Path("/nowhere"), 1), "email", result(PAIRS), **options)


@pytest.mark.parametrize("scheme", ["memory://results", "file://{}/results"])
def test_object_writer_writes_a_pair_a_line(tmp_path: Path, scheme: str) -> None:
    url = scheme.format(tmp_path)
    for _ in range(2):
        _write(_results(object_url=url), "object", result(PAIRS), folder="x")

    with fsspec.open(f"{url}/x/texts/r1.ndjson") as file:
        assert [json.loads(line) for line in file.read().splitlines()] == LINES


def test_object_url_that_fsspec_does_not_know_is_refused() -> None:
    with pytest.raises(ConfigError, match="object_url"):
        Writers(site(_results(writer="object", object_url="nope://x")))


class Kept(Writer[Options]):
    name: ClassVar[str] = "kept"
    written: ClassVar[list[str]] = []

    def write(self, result: Result, options: Options) -> None:
        self.written.append(result.delivery_id)


@pytest.mark.parametrize(
    ("job", "reason"),
    [
        ({"result_writer": "nope"}, "the writers are inline, email, file, http, object"),
        ({"result_writer": "http", "result_options": {"to": 1}}, r"its options are url \(got to"),
    ],
)
def test_job_whose_writer_cannot_be_is_refused_by_the_names_alone(
    job: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidInput, match=reason):
        check_names(Job(**NAMED, **job), ResultSettings())


@pytest.mark.parametrize("writer", [None, "inline", "http"])
def test_job_whose_writer_lacks_settings_passes_by_its_names(writer: str | None) -> None:
    check_names(Job(**NAMED, result_writer=writer), ResultSettings())


def _choose(job: dict[str, Any], asked: str | None = None, **fields: Any) -> str | None:
    writers = Writers(site(_results(file_path="/nowhere", **fields)))
    destination = writers.choose(Job(**NAMED, **job), "r", asked)
    return destination and destination.writer


@pytest.mark.parametrize(
    ("job", "asked", "deployment", "chosen"),
    [
        ({}, None, "inline", None),
        ({}, None, "file", "file"),
        ({"result_writer": "inline"}, None, "file", None),
        ({"result_writer": "file"}, None, "inline", "file"),
        ({"result_writer": "file"}, "file", "inline", "file"),
        ({"writer_choice": True}, "file", "inline", "file"),
        ({"writer_choice": True}, "inline", "file", None),
    ],
)
def test_request_goes_before_job_and_job_before_deployment(
    job: dict[str, Any], asked: str | None, deployment: str, chosen: str | None
) -> None:
    assert _choose(job, asked, writer=deployment) == chosen


def test_request_may_choose_only_where_the_job_lets_it() -> None:
    with pytest.raises(InvalidInput, match="does not let requests choose a writer"):
        _choose({}, "file")


def test_unknown_writer_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidInput, match="the writers are inline, email, file, http, object"):
        _choose({"result_writer": "fax"})


@pytest.mark.parametrize(
    ("fields", "setting"),
    [
        ({"writer": "fax"}, "results.writer"),
        ({"writer": "http"}, "results.writer"),
        ({"writer": "file"}, "results.writer"),
        ({"writers": ("nope:Nope",)}, "results.writers"),
        ({"writers": ("json:loads",)}, "results.writers"),
    ],
)
def test_deployment_that_cannot_work_is_refused_by_its_setting(
    fields: dict[str, Any], setting: str
) -> None:
    with pytest.raises(ConfigError, match=setting):
        Writers(site(_results(**fields)))


def test_writer_of_ones_own_is_found_by_its_path() -> None:
    _write(_results(writers=(f"{Kept.__module__}:Kept",)), "kept", result(PAIRS))

    assert Kept.written == ["texts/r1"]
