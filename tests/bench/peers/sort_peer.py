"""coreutils' ``sort`` between two ``awk``: what many distinct keys need in little memory."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench import measure, work
from tests.bench.peers.base import Peer
from tests.bench.works import PROCESSES

#: With this much, its largest process is as large as JobX's.
_BUFFER = "100M"
_PAIRS = """BEGIN {
    for (child = 0; child < children; child++)
        for (number = child; number < children * keys; number += children)
            printf "%08d\\t%d\\n", number, number
}"""
# Without the empty text, digits are compared as numbers.
_ADD_UP = """
$1 "" != key { if (NR > 1) printf "%s\\t%d\\n", key, sum; key = $1; sum = 0 }
{ sum += $2 }
END { printf "%s\\t%d\\n", key, sum }
"""


class SortPeer(Peer):
    @property
    def root_pid(self) -> int:
        return os.getpid()

    def reduce_keys(self, children: int, keys: int) -> Callable[[], None]:
        sums = self.folder / "sums"
        sort = f"sort --buffer-size={_BUFFER} --parallel={PROCESSES} --temporary-directory=."
        pairs = f"awk -v children={children} -v keys={keys} '{_PAIRS}'"
        subprocess.run(
            ["bash", "-o", "pipefail", "-c", f"{pairs} | {sort} | awk '{_ADD_UP}' > {sums.name}"],
            cwd=self.folder,
            env=os.environ | {"LC_ALL": "C"},
            check=True,
        )
        return lambda: work.check_keys(_read(sums), children * keys)


def _read(path: Path) -> Iterator[tuple[str, int]]:
    with path.open() as lines:
        for line in lines:
            key, number = line.split("\t")
            yield key, int(number)


if __name__ == "__main__":
    measure.main("sort", SortPeer)
