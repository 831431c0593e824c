"""Runs peers at works, each in a process of its own, in turns."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench import works
from tests.bench.figures import Figure
from tests.support import compiled

_ROOT = Path(__file__).parents[2]
_PROCESS_S = 600.0


class PeerFailedError(Exception):
    """A peer ended without figures."""


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs peers at works.

    Attributes:
        pythons: Interpreters by peer.
        source: Where JobX is: the repository, or a folder where it is compiled.
        folder: Where texts, logs and what peers write are.
        quick: Whether everything is small.
    """

    pythons: Mapping[str, Path]
    source: Path
    folder: Path
    quick: bool

    def run(self, wanted: list[str], say: Callable[[str], None]) -> Iterator[Figure | str]:
        """Yield figures, and what went wrong with whom.

        All peers do a work before any does the next, so that what else the machine does
        concerns all alike.
        """
        sizes = works.QUICK if self.quick else works.FULL
        for work in wanted:
            rounds = sizes.rounds if work in works.IN_ROUNDS else 1
            for turn in range(1, rounds + 1):
                for peer in [peer for peer in works.WORKS[work] if peer in self.pythons]:
                    say(f"{work}: {peer}" + (f", round {turn} of {rounds}" if rounds > 1 else ""))
                    try:
                        yield from self._measure(peer, work)
                    except PeerFailedError as error:
                        yield f"{peer} failed at {work}: {error}"

    def _measure(self, peer: str, work: str) -> list[Figure]:
        own = Path(tempfile.mkdtemp(prefix=f"{peer}-", dir=self.folder))
        out = own / "figures"
        words = [str(self.pythons[peer]), "-m", works.module(peer, work), work]
        words += ["--folder", str(own), "--texts", str(self.folder), "--out", str(out)]
        log = self.folder / f"{peer}-{work}.log"
        try:
            self._call(words + ["--quick"] * self.quick, log)
            return [Figure.from_json(line) for line in out.read_text().splitlines()]
        finally:
            shutil.rmtree(own, ignore_errors=True)

    def _call(self, words: list[str], log: Path) -> None:
        """Run a program in a session of its own, of which nothing is left.

        Raises:
            PeerFailedError: It fails, or takes too long.
        """
        environ = os.environ | compiled.environ(self.source)
        with log.open("w") as output:
            process = subprocess.Popen(
                words, stdout=output, stderr=output, cwd=_ROOT, env=environ, start_new_session=True
            )
            try:
                code = process.wait(timeout=_PROCESS_S)
            except subprocess.TimeoutExpired:
                raise PeerFailedError(f"it took over {_PROCESS_S:g} s, see {log}") from None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if code:
            lines = log.read_text().strip().splitlines() or [f"exit code {code}"]
            raise PeerFailedError(f"{lines[-1]} (all of it in {log})")
