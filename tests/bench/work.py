"""The work that every peer is given, as plain functions, and the right answers."""

from __future__ import annotations

import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

CHUNK_BYTES = 1 << 20
WORD = re.compile(r"[A-Za-z']+")


class WrongResultError(Exception):
    """A peer gave a result that is not the right one."""


def check(subject: str, result: object, right: object) -> None:
    """Raise WrongResultError unless ``result`` is ``right``."""
    if result != right:
        raise WrongResultError(f"{subject}: {str(result)[:200]} instead of {str(right)[:200]}")


# Ten pairs from one small integer, grouped by key; a reducer adds the values of each key.


def map_number(number: int) -> list[tuple[int, list[int]]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for key in range(10):
        groups[key].append(number + key)
    return list(groups.items())


def sum_groups(mapped: Iterable[list[tuple[int, list[int]]]]) -> dict[int, int]:
    sums: dict[int, int] = defaultdict(int)
    for groups in mapped:
        for key, values in groups:
            sums[key] += sum(values)
    return dict(sums)


def sums_of(*numbers: int) -> dict[int, int]:
    """Return what mapping and reducing all of ``numbers`` must give."""
    return {key: sum(numbers) + len(numbers) * key for key in range(10)}


# The words of a text, counted.


def chunks(path: str) -> list[tuple[int, int]]:
    """Return the offsets of chunks of whole lines, of CHUNK_BYTES and a little."""
    size, start, found = os.path.getsize(path), 0, []
    with open(path, "rb") as text:
        while start < size:
            text.seek(start + CHUNK_BYTES)
            text.readline()
            stop = min(text.tell(), size)
            found.append((start, stop))
            start = stop
    return found


def words(path: str, start: int, stop: int) -> Iterator[str]:
    with open(path, "rb") as text:
        text.seek(start)
        chunk = text.read(stop - start).decode()
    return map(str.lower, WORD.findall(chunk))


def count_chunk(path: str, start: int, stop: int) -> dict[str, int]:
    return dict(Counter(words(path, start, stop)))


def yield_words(path: str, start: int, stop: int) -> Iterator[tuple[str, int]]:
    for word in words(path, start, stop):
        yield word, 1


def count_yields(path: str, start: int, stop: int) -> dict[str, int]:
    """Do as ``count_chunk``, with one pair a word, grouped and reduced as a framework must."""
    groups: dict[str, list[int]] = defaultdict(list)
    for word, one in yield_words(path, start, stop):
        groups[word].append(one)
    return {word: sum(ones) for word, ones in groups.items()}


def add_counts(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for part in counts:
        total.update(part)
    return dict(total)


# One value of megabytes.


def large_text(size: int) -> str:
    """Return a text that cannot be compressed by more than half."""
    return random.Random(size).randbytes(size // 2).hex()


# Keys that are all distinct, spread over all children, so that every merge is a real one.


def distinct_keys(child: int, children: int, keys: int) -> Iterator[tuple[str, int]]:
    for number in range(child, children * keys, children):
        yield f"{number:08d}", number


def sum_keys(child: int, children: int, keys: int) -> dict[str, int]:
    groups: dict[str, list[int]] = defaultdict(list)
    for key, number in distinct_keys(child, children, keys):
        groups[key].append(number)
    return {key: sum(numbers) for key, numbers in groups.items()}


def check_keys(pairs: Iterable[tuple[str, int]], count: int) -> None:
    """Raise WrongResultError unless ``pairs`` are all keys in order, each with its number."""
    seen = 0
    for expected, (key, number) in enumerate(pairs):
        if number != expected or key != f"{expected:08d}":
            raise WrongResultError(f"pair {expected} of the distinct keys is {key!r}: {number!r}")
        seen += 1
    check("number of distinct keys", seen, count)
