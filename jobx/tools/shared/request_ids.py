"""Ids of requests as people type them: whole, their beginning, ``latest``, or ``-`` for stdin."""

from __future__ import annotations

import sys
from itertools import islice
from typing import Final

from jobx.errors import InvalidInput, NotFound, quote
from jobx.kv import keys
from jobx.kv.requests import request_pages
from jobx.kv.store import Store
from jobx.model import check_name

LATEST: Final = "latest"
STDIN: Final = "-"
_ID_CHARS: Final = 26
#: Most ids that are read from stdin, and that are shown where a beginning fits several.
_MOST: Final = 100_000
_SHOWN: Final = 5
#: What is longer counts as several lines.
_LONGEST_LINE: Final = 4096


def typed(words: tuple[str, ...]) -> list[str]:
    """Return the words that name requests; ``-`` is one id a line of stdin.

    Raises:
        InvalidInput: Stdin has none, or too many.
    """
    found: list[str] = []
    for word in words:
        found += _lines() if word == STDIN else [word]
    return found


def is_whole(word: str) -> bool:
    """Return whether a word can be nothing but a whole id."""
    return len(word) >= _ID_CHARS


def find(store: Store, workflow: str, word: str) -> str:
    """Return the id that a word names: the newest request's for ``latest``.

    Raises:
        NotFound: There is no such request.
        InvalidInput: Several ids begin with the word, or it is empty, as a variable may be.
    """
    check_name("workflow", workflow)
    if not word:
        reason = f"is empty; give an id, the beginning of one, or {LATEST}"
        raise InvalidInput("request id", quote(word), reason)
    if word == LATEST:
        newest, _ = request_pages.page(store, workflow, limit=1)
        if not newest:
            raise NotFound("request", f"{workflow}/{LATEST}")
        return newest[0].request_id
    prefix = keys.entity("request", workflow, word)
    found = [entry.key.rpartition("/")[2] for entry in store.range(prefix, limit=_SHOWN + 1)]
    if word in found:
        return word
    if len(found) > 1:
        more = ", …" if len(found) > _SHOWN else ""
        reason = f"several requests begin so: {', '.join(found[:_SHOWN])}{more}"
        raise InvalidInput("request id", quote(word), reason)
    if not found:
        raise NotFound("request", f"{workflow}/{word}")
    return found[0]


def _lines() -> list[str]:
    lines = iter(lambda: sys.stdin.readline(_LONGEST_LINE), "")
    found = list(islice((line.split()[0] for line in lines if line.strip()), _MOST + 1))
    if not 0 < len(found) <= _MOST:
        reason = f"must have a request id on each line, at most {_MOST} of them"
        raise InvalidInput("stdin", f"{len(found)} lines", reason)
    return found
