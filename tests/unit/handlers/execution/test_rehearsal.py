from __future__ import annotations

import linecache
import os
import signal
import sys
from pathlib import Path

from jobx.handlers.execution.rehearsal import rehearse
from jobx.segments import Returned


def test_rehearsal_runs_a_mapper_and_a_reducer_and_leaves_nothing(tmp_path: Path) -> None:
    modules, sources = set(sys.modules), set(linecache.cache)

    (segment,) = rehearse(str(tmp_path))

    assert isinstance(segment, Returned)
    assert segment.reduced
    assert not [name for name in set(sys.modules) - modules if name.startswith("handler(")]
    assert set(linecache.cache) - sources == set()
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert os.listdir(tmp_path) == []
