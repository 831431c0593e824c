from __future__ import annotations

import io

import pytest

from jobx.errors import InvalidInput, NotFound
from jobx.kv.memory import MemoryStore
from jobx.kv.requests import request_entity
from jobx.model import Request
from jobx.tools.shared import request_ids

IDS = [f"01{middle}{'x' * 22}" for middle in ("aa", "ab", "cd")]


@pytest.fixture
def store() -> MemoryStore:
    made = MemoryStore()
    for number in IDS:
        request = Request(
            request_id=number,
            workflow_name="w",
            job_name="j",
            state="running",
            is_blocking=True,
            accepted_at=0.0,
            invocation_id="m0",
        )
        made.commit(request_entity.accept_writes(request, "a"))
    return made


@pytest.mark.parametrize(("word", "number"), [("latest", 2), ("01c", 2), ("01aa", 0), (IDS[1], 1)])
def test_a_word_names_a_request(store: MemoryStore, word: str, number: int) -> None:
    assert request_ids.find(store, "w", word) == IDS[number]


def test_a_beginning_of_several_ids_names_them(store: MemoryStore) -> None:
    with pytest.raises(InvalidInput, match=f"several requests begin so: {IDS[0]}, {IDS[1]}"):
        request_ids.find(store, "w", "01a")


def test_an_empty_word_is_no_beginning(store: MemoryStore) -> None:
    with pytest.raises(InvalidInput, match="is empty"):
        request_ids.find(store, "w", "")


@pytest.mark.parametrize(("workflow", "word"), [("w", "zz"), ("v", "latest")])
def test_a_word_may_name_nothing(store: MemoryStore, workflow: str, word: str) -> None:
    with pytest.raises(NotFound):
        request_ids.find(store, workflow, word)


def test_a_dash_means_the_lines_of_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("a  failed\n\nb\n"))

    assert request_ids.typed(("x", "-")) == ["x", "a", "b"]


class Endless:
    """Has one line again and again, or one that does not end."""

    def __init__(self, text: str) -> None:
        self._text = text

    def readline(self, size: int = -1) -> str:
        """Return the line, at most ``size`` characters of it."""
        assert size > 0, "it never ends"
        return self._text[:size]


@pytest.mark.parametrize("text", ["a\n", "a" * 10_000])
def test_stdin_is_read_only_as_far_as_ids_are_allowed(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Endless(text))

    with pytest.raises(InvalidInput, match="at most 100000"):
        request_ids.typed(("-",))


def test_a_dash_without_lines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))

    with pytest.raises(InvalidInput, match="stdin"):
        request_ids.typed(("-",))
