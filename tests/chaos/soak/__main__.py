"""Run a soak: ``python -m tests.chaos.soak``; ``--help`` says what its options are."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.chaos.soak import command, plan
from tests.chaos.soak.running import ORPHANS_S, Soak


def main(words: list[str]) -> int:
    """Run a soak, say its figures, and return 1 when anything was not as it must be."""
    parser = command.parser(
        *("python -m tests.chaos.soak", __doc__), minutes=60.0, rate=28.0, clients=24, pause_s=3.0
    )
    parser.add_argument("--retention", type=float, default=240.0, help="requests.retention_s")
    parser.add_argument("--aged", type=int, default=0, help="requests that ended before")
    parser.add_argument(
        "--orphans", type=float, help="seconds to wait for the end of blobs without a request"
    )
    options = parser.parse_args(words)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="jobx-soak-"))
    command.say(f"soak of {options.minutes:g} minutes with seed {options.seed} in {folder}")
    soak = Soak(
        folder,
        **command.arguments(options, plan.FAULTS),
        retention_s=options.retention,
        aged=options.aged,
        orphans_s=_orphans_s(options),
    )
    return command.run(soak, options)


def _orphans_s(options: argparse.Namespace) -> float:
    if options.orphans is not None:
        return float(options.orphans)
    return ORPHANS_S if options.minutes >= 20 else 0.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
