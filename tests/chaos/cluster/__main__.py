"""Run the soak of a cluster: ``python -m tests.chaos.cluster``; ``--help`` says how."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.chaos.cluster import plan
from tests.chaos.cluster.running import ClusterSoak
from tests.chaos.soak import command
from tests.support import nsq


def main(words: list[str]) -> int:
    """Run a soak, say its figures, and return 1 when anything was not as it must be."""
    parser = command.parser(
        *("python -m tests.chaos.cluster", __doc__), minutes=10.0, rate=8.0, clients=16, pause_s=8.0
    )
    parser.add_argument("--members", type=int, default=3, help="servers of etcd")
    parser.add_argument("--nsq", default=nsq.best())
    options = parser.parse_args(words)
    folder = options.folder or Path(tempfile.mkdtemp(prefix="jobx-cluster-"))
    folder.mkdir(parents=True, exist_ok=True)
    what = f"seed {options.seed}, {options.members} etcd, {options.nsq}"
    command.say(f"soak of a cluster for {options.minutes:g} minutes with {what} in {folder}")
    soak = ClusterSoak(
        folder,
        **command.arguments(options, plan.FAULTS),
        kind=options.nsq,
        members=options.members,
    )
    return command.run(soak, options)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
