"""A workflow with one step and one job, as tests of entities store it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from jobx.errors import JobxError
from jobx.model import Handler, Job, Step, Workflow

FLOW = Workflow(workflow_name="flow", description="A flow")
STEP = Step(
    workflow_name="flow",
    step_name="first",
    description="A step",
    map_handler_name="split",
    combine_handler_name="add",
    reduce_handler_name="total",
)
JOB = Job(workflow_name="flow", job_name="count", description="A job", initial_step_name="first")


def handler(name: str, handler_type: Any, **fields: Any) -> Handler:
    known = {"workflow_name": "flow", "description": "", "source_code": "yield 1"}
    return Handler(handler_name=name, handler_type=handler_type, **{**known, **fields})


HANDLERS = [handler("add", "combiner"), handler("split", "mapper"), handler("total", "reducer")]


def changed(entity: Any, **fields: Any) -> Any:
    return msgspec.structs.replace(entity, **fields)


def refused(call: Callable[[], object]) -> JobxError:
    with pytest.raises(JobxError) as caught:
        call()
    return caught.value
