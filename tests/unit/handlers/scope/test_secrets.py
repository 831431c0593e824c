from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobx.errors import ConfigError
from jobx.handlers.failures import describe, shorten
from jobx.handlers.scope.invocation import Invocation
from jobx.handlers.scope.secrets import SHORTEST, Redactor, read_secrets
from tests.support.frames import REQUEST

HUSH = "s3cret-\u00e9-and-more"
LONG = "0123456789abcdef" * 10
KEY = "-----BEGIN KEY-----\nMIIEvQIBADAN\nBgkqhkiG9w0B\n-----END KEY-----"


def _invocation(output_bytes: int) -> Invocation:
    redactor = Redactor([HUSH])
    return Invocation(REQUEST, "s", 1, 1, output_bytes=output_bytes, redactor=redactor)


def test_a_secret_is_read_from_a_variable_or_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from file\n")
    sources = {"a": "env:A", "b": f"file:{tmp_path / 'token'}"}
    assert read_secrets(sources, {"A": "from env"}) == {"a": "from env", "b": "from file"}


def test_a_secret_that_is_missing_is_refused_by_name_and_source(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff secret")
    for source in ("env:NONE", "file:/no/such", f"file:{tmp_path / 'binary'}"):
        with pytest.raises(ConfigError, match=r"^setting scope\.secrets, token: ") as raised:
            read_secrets({"token": source}, {})
        assert raised.value.args[1] == source


def test_secrets_that_are_too_large_are_refused() -> None:
    with pytest.raises(ConfigError, match="at most"):
        read_secrets({"token": "env:T"}, {"T": "x" * 70_000})


@pytest.mark.parametrize("secret", [HUSH, LONG, KEY, 'quo\'te\\d "x"\n'])
@pytest.mark.parametrize(
    "show",
    [str, repr, shorten, lambda secret: repr(secret.encode()), lambda s: shorten(s.encode())],
    ids=["as it is", "repr", "shortened", "bytes", "shortened bytes"],
)
def test_a_secret_is_hidden_however_it_is_shown(secret: str, show: object) -> None:
    assert callable(show)
    hidden = Redactor([secret]).text(f"it is {show(secret)}!")
    pieces = [secret[at : at + SHORTEST] for at in range(len(secret) - SHORTEST)]
    assert [piece for piece in pieces if piece in hidden] == []
    assert hidden.startswith("it is ")


def test_a_line_of_a_secret_is_hidden_as_well() -> None:
    assert Redactor([KEY]).text("MIIEvQIBADAN?") == "***?"


def test_a_secret_that_begins_another_does_not_show_the_rest_of_it() -> None:
    assert Redactor(["secret", "secret-long"]).text("secret-long secret") == "*** ***"


def test_what_is_too_short_is_not_hidden() -> None:
    assert Redactor(["short", ""]).text("in short") == "in short"


@given(st.text(), st.lists(st.text(max_size=20)))
@example("000000", ["\x85000000\r"])
@example("000000", ["...000000..."])
@example("000000", ["\n000000\n"])
def test_text_without_a_secret_stays_as_it_is(text: str, secrets: list[str]) -> None:
    """No line and no other part of a secret is in the text: each begins with a NUL."""
    whole = ["\x00" + secret.replace("\n", "\n\x00") + "\x00" for secret in secrets]
    plain = text.replace("\x00", "")
    assert Redactor(whole).text(plain) == plain


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_of_a_secret_is_what_a_line_feed_ends(end: str) -> None:
    redactor = Redactor([f"first-line{end}second\x85line{end}"])
    assert redactor.text("first-line, second") == "***, second"
    assert redactor.text("second\x85line") == "***"


def test_a_failure_hides_a_secret_in_its_message_even_where_it_is_cut() -> None:
    redact = Redactor([HUSH]).text
    message = describe(ValueError("x" * 4090 + HUSH), redact)["message"]
    assert message == "x" * 4090 + "***"


def test_output_hides_a_secret_that_was_written_in_pieces() -> None:
    invocation = _invocation(1000)
    for letter in f"<{HUSH}>".encode():
        invocation.write(bytes([letter]))
    assert invocation.notes() == {"output": "<***>"}


@pytest.mark.parametrize("room", range(15, 20))
def test_output_that_is_cut_in_a_secret_does_not_show_its_head(room: int) -> None:
    invocation = _invocation(room)
    invocation.write(b"12345 " + HUSH.encode())
    assert invocation.notes()["output"].startswith("12345 ***\n[")


def test_a_notification_hides_secrets() -> None:
    invocation = _invocation(0)
    invocation.tell("NOTIFY", "info", "%s", f"the key is {HUSH}", f"trace {HUSH}")
    assert invocation.notifications == [["NOTIFY", "info", "", "%s", "the key is ***", "trace ***"]]
