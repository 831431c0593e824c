"""Run a soak: ``python -m tests.chaos.soak``.

Its options are ``--minutes``, ``--seed``, ``--rate``, ``--clients``, ``--pause``, ``--faults``,
``--jobs``, ``--retention``, ``--aged``, ``--orphans`` and ``--folder``; ``--help`` says what they
are.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.soak import plan, report
from tests.chaos.soak.history import check
from tests.chaos.soak.load import WRITERS
from tests.chaos.soak.running import ORPHANS_S, Soak
from tests.support.authoring import WORKFLOW


def main(words: list[str]) -> int:
    """Run a soak, say its figures, and return 1 when anything was not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=28.0, help="asks a second")
    parser.add_argument("--clients", type=int, default=24)
    parser.add_argument("--pause", type=float, default=3.0, help="mean seconds between faults")
    parser.add_argument("--faults", default=",".join(plan.FAULTS), help="names, with commas")
    parser.add_argument("--jobs", default="", help="names, with commas; all unless given")
    parser.add_argument("--retention", type=float, default=240.0, help="requests.retention_s")
    parser.add_argument("--aged", type=int, default=0, help="requests that ended before")
    parser.add_argument(
        "--orphans", type=float, help="seconds to wait for the end of blobs without a request"
    )
    parser.add_argument("--folder", type=Path, help="where it works; else a new temporary one")
    options = parser.parse_args(words)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="jobx-soak-"))
    say(f"soak of {options.minutes:g} minutes with seed {options.seed} in {folder}")
    soak = Soak(
        folder,
        seed=options.seed,
        rate=options.rate,
        clients=options.clients,
        retention_s=options.retention,
        faults={name: plan.FAULTS[name] for name in options.faults.split(",") if name},
        pause_s=options.pause,
        aged=options.aged,
        orphans_s=_orphans_s(options),
        jobs=tuple(name for name in options.jobs.split(",") if name),
    )
    began = time.monotonic()
    took_s = soak.run(options.minutes * 60)
    violations = check(soak.history, WORKFLOW, WRITERS)
    for line in report.lines(soak.history, took_s, violations):
        say(line)
    say(f"{'all in all':<20} {time.monotonic() - began:.0f} s")
    if violations:
        say(f"kept for a look: {folder} (data, serve.log, exchanges.jsonl)")
    elif options.folder is None:
        soak.remove()
    return 1 if violations else 0


def _orphans_s(options: argparse.Namespace) -> float:
    if options.orphans is not None:
        return float(options.orphans)
    return ORPHANS_S if options.minutes >= 20 else 0.0


def say(line: str) -> None:
    """Say a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
