"""Run the soak of a cluster: ``python -m tests.chaos.cluster``.

Its options are ``--minutes``, ``--seed``, ``--rate``, ``--clients``, ``--pause``, ``--faults``,
``--jobs``, ``--members``, ``--nsq`` and ``--folder``; ``--help`` says what they are.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.chaos.cluster import plan
from tests.chaos.cluster.running import ClusterSoak
from tests.chaos.soak import report
from tests.chaos.soak.__main__ import say
from tests.chaos.soak.history import check
from tests.chaos.soak.load import WRITERS
from tests.support.authoring import WORKFLOW


def main(words: list[str]) -> int:
    """Run a soak, say its figures, and return 1 when anything was not as it must be."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.cluster", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=8.0, help="asks a second")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--pause", type=float, default=8.0, help="mean seconds between faults")
    parser.add_argument("--faults", default=",".join(plan.FAULTS), help="names, with commas")
    parser.add_argument("--jobs", default="", help="names, with commas; all unless given")
    parser.add_argument("--members", type=int, default=3, help="servers of etcd")
    parser.add_argument("--nsq", default="nsqd" if shutil.which("nsqd") else "broker")
    parser.add_argument("--folder", type=Path, help="where it works; else a new temporary one")
    options = parser.parse_args(words)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="jobx-cluster-"))
    folder.mkdir(parents=True, exist_ok=True)
    what = f"seed {options.seed}, {options.members} etcd, {options.nsq}"
    say(f"soak of a cluster for {options.minutes:g} minutes with {what} in {folder}")
    soak = ClusterSoak(
        folder,
        kind=options.nsq,
        members=options.members,
        seed=options.seed,
        rate=options.rate,
        clients=options.clients,
        faults={name: plan.FAULTS[name] for name in options.faults.split(",") if name},
        pause_s=options.pause,
        jobs=tuple(name for name in options.jobs.split(",") if name),
    )
    began = time.monotonic()
    took_s = soak.run(options.minutes * 60)
    violations = check(soak.history, WORKFLOW, WRITERS)
    for line in report.lines(soak.history, took_s, violations):
        say(line)
    say(f"{'all in all':<20} {time.monotonic() - began:.0f} s")
    if violations:
        say(f"kept for a look: {folder} (*.log, exchanges.jsonl)")
    elif options.folder is None:
        soak.remove()
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
