"""Which chains of a commit have to wait for others, because both write a key."""

from __future__ import annotations

from collections.abc import Sequence

from jobx.kv.store import Chain, DeletePrefix


def waits(chains: Sequence[Chain]) -> list[set[int]]:
    """Return the numbers of earlier chains that each chain has to wait for."""
    found: list[set[int]] = []
    writers: dict[str, int] = {}
    clears: list[tuple[str, int]] = []
    for number, chain in enumerate(chains):
        before: set[int] = set()
        writes = [write for unit in chain for write in unit]
        prefixes = [write.prefix for write in writes if isinstance(write, DeletePrefix)]
        names = {write.key for write in writes if not isinstance(write, DeletePrefix)}
        before.update(writers[key] for key in names if key in writers)
        before.update(one for key in names for prefix, one in clears if key.startswith(prefix))
        for mine in prefixes:
            before.update(one for key, one in writers.items() if key.startswith(mine))
            before.update(one for prefix, one in clears if _overlap(prefix, mine))
        writers.update(dict.fromkeys(names, number))
        clears += [(prefix, number) for prefix in prefixes]
        found.append(before)
    return found


def _overlap(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
