"""What the commands of both soaks share: their options, and how they run and report one."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from tests.chaos.soak import report
from tests.chaos.soak.base import BaseSoak
from tests.chaos.soak.history import check
from tests.chaos.soak.load import WRITERS
from tests.support.authoring import WORKFLOW


def parser(
    prog: str, about: str | None, *, minutes: float, rate: float, clients: int, pause_s: float
) -> argparse.ArgumentParser:
    """Return a parser of the options that both have, with these defaults."""
    found = argparse.ArgumentParser(prog=prog, description=about)
    found.add_argument("--minutes", type=float, default=minutes)
    found.add_argument("--seed", type=int, default=1)
    found.add_argument("--rate", type=float, default=rate, help="asks a second")
    found.add_argument("--clients", type=int, default=clients)
    found.add_argument("--pause", type=float, default=pause_s, help="mean seconds between faults")
    found.add_argument("--faults", type=_names, help="names, with commas; all unless given")
    found.add_argument("--jobs", type=_names, default=(), help="the same")
    found.add_argument("--folder", type=Path, help="where it works; else a new temporary one")
    return found


def arguments(options: argparse.Namespace, faults: dict[str, float]) -> dict[str, Any]:
    """Return the arguments of a soak that both have."""
    names = faults if options.faults is None else options.faults
    return {
        "seed": options.seed,
        "rate": options.rate,
        "clients": options.clients,
        "faults": {name: faults[name] for name in names},
        "pause_s": options.pause,
        "jobs": options.jobs,
    }


def run(soak: BaseSoak, options: argparse.Namespace) -> int:
    """Run a soak, say its figures, and return 1 when anything was not as it must be."""
    began = time.monotonic()
    took_s = soak.run(options.minutes * 60)
    violations = check(soak.history, WORKFLOW, WRITERS)
    for line in report.lines(soak.history, took_s, violations):
        say(line)
    say(f"{'all in all':<20} {time.monotonic() - began:.0f} s")
    if violations:
        say(f"kept for a look: {soak.folder} (logs, data, exchanges.jsonl)")
    elif options.folder is None:
        soak.remove()
    return 1 if violations else 0


def say(line: str) -> None:
    """Say a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)
