"""What a job says of its requests: how long they may take, and how long they are kept."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from jobx.config import Settings
from jobx.config_sections import NodeSettings
from jobx.kv.opening import open_store
from jobx.kv.requests import request_entity
from jobx.testing import LocalWorkflow

TEXT = """\
workflow: flow
steps:
  wait: {mapper: wait, reducer: total}
jobs:
  short: {step: wait, time_limit_s: 0.5, retention_s: 60}
  long: {step: wait}
"""
WAIT = """\
'''
Wait.
**
handler_type: mapper
argument_spec: {seconds: float}
'''
import time

yield Return()
time.sleep(arguments["seconds"])
"""
TOTAL = """\
'''
Add up.
**
handler_type: reducer
'''


def handler(key, values):
    yield key, sum(values)
"""


def test_requests_have_the_limits_of_their_job(tmp_path: Path) -> None:
    folder, data = tmp_path / "flow", tmp_path / "data"
    (folder / "handlers").mkdir(parents=True)
    (folder / "workflow.yaml").write_text(TEXT)
    (folder / "handlers" / "wait.py").write_text(WAIT)
    (folder / "handlers" / "total.py").write_text(TOTAL)
    with LocalWorkflow.of(folder, data) as workflow:
        short = workflow.run("short", {"seconds": 3000})
        long = workflow.run("long", {"seconds": 0})
    assert short.failure is not None
    assert (short.failure.kind, long.state) == ("timeout", "succeeded")
    with closing(open_store(Settings(node=NodeSettings(data_dir=str(data))))) as store:
        kept = [request_entity.get(store, "flow", one.request_id) for one in (short, long)]
    assert [one.retention_s for one in kept] == [60.0, None]
