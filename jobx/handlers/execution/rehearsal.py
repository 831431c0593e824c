"""A first run of handlers in an executor, before anybody waits for it.

What runs first in a process takes several times as long as later: a forked process gets its own
copy of each page of memory that it writes to, and caches fill. So an executor runs handlers of
its own before it says that it is ready.
"""

from __future__ import annotations

import sys
from typing import Final

from jobx.handlers.execution import work_kinds
from jobx.handlers.execution.shared_page import PAGE_BYTES, SharedPage
from jobx.handlers.execution.state import ExecutorState, OutputLimits
from jobx.handlers.execution.time_limit import TimeLimit
from jobx.handlers.scope.names import Scope
from jobx.handlers.tracebacks import hide_source, module_name
from jobx.segments import Segment
from jobx.work import LoadHandler, MapWork, RequestInfo, WorkFrame

_BYTES: Final = 1 << 16
#: One in each of the two forms.
_HANDLERS: Final = {
    "mapper": "yield MrConfigureToReturn()\nyield from arguments\n",
    "reducer": "import re\n\n\ndef handler(key, values):\n    yield key, sum(values)\n",
}
#: The one item of a root mapper, packed: [["key", 1]].
_ITEM: Final = b"\x91\x92\xa3key\x01"
_WORK: Final = MapWork(
    request=RequestInfo("rehearsal", "rehearsal", "rehearsal"),
    step="rehearsal",
    time_limit_s=60.0,
    inline_bytes=_BYTES,
    first=0,
    count=1,
    root=True,
    mapper="mapper",
    reducer="reducer",
    pairs=_ITEM,
    chunk_pairs=1,
    batch_s=60.0,
)


def rehearse(folder: str) -> list[Segment]:
    """Run a mapper and a reducer, and leave nothing of them; return the segments."""
    limits = OutputLimits(_BYTES, _BYTES, folder)
    state = ExecutorState(Scope(), TimeLimit(), SharedPage(bytearray(PAGE_BYTES)), limits)
    for kind, source_code in _HANDLERS.items():
        state.load(LoadHandler(kind, _name(kind), "rehearsal", kind, "python", source_code))
    try:
        return work_kinds.run(state, WorkFrame(1, folder, "rehearsal", _WORK))
    finally:
        state.time_limit.close()
        for kind in _HANDLERS:
            module = sys.modules.pop(module_name(_name(kind)), None)
            if module is not None:
                hide_source(str(module.__file__))


def _name(kind: str) -> str:
    return f"rehearsed {kind}"
