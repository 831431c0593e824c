"""A text to count the words of: made once, the same every time."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from tests.bench.work import check

_VOCABULARY = 20_000
_WORDS_A_LINE = 12
_LINES_A_WRITE = 1_000


@dataclass(frozen=True, slots=True)
class Text:
    """A file of words, and the digest of their counts."""

    path: Path
    digest: str

    def check(self, counts: dict[str, int]) -> None:
        """Raise WrongResultError unless these are the counts of the words."""
        check("digest of the word counts", digest(counts), self.digest)


def digest(counts: dict[str, int]) -> str:
    """Return a digest of word counts in any order."""
    return hashlib.sha256(json.dumps(sorted(counts.items())).encode()).hexdigest()


def open_text(folder: Path, size_mb: int) -> Text:
    """Return the text of a size in ``folder``; it is written when it is not there."""
    path = folder / f"text-{size_mb}.txt"
    beside = path.with_suffix(".sha256")
    if not beside.exists():
        folder.mkdir(parents=True, exist_ok=True)
        beside.write_text(digest(_write(path, size_mb << 20)))
    return Text(path, beside.read_text())


def _write(path: Path, size_bytes: int) -> Counter[str]:
    """Write a text of about a size and return the counts of its words."""
    source = random.Random(size_bytes)
    vocabulary = _words(source)
    # As in natural languages, the n-th word is n times as rare as the first.
    weights = list(accumulate(1 / rank for rank in range(1, len(vocabulary) + 1)))
    counts: Counter[str] = Counter()
    with path.open("w", encoding="ascii") as text:
        while text.tell() < size_bytes:
            chosen = source.choices(
                vocabulary, cum_weights=weights, k=_WORDS_A_LINE * _LINES_A_WRITE
            )
            counts.update(chosen)
            for start in range(0, len(chosen), _WORDS_A_LINE):
                line = " ".join(chosen[start : start + _WORDS_A_LINE])
                text.write(f"{line.capitalize()}.\n")
    return counts


def _words(source: random.Random) -> list[str]:
    found: dict[str, None] = {}  # a set would give another order in each process
    while len(found) < _VOCABULARY:
        letters = source.choices("etaoinshrdlucmfwypvbgkjqxz", k=source.randint(2, 10))
        found["".join(letters)] = None
    return list(found)
