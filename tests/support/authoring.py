"""Workflows of tests, written to a store as the command line would."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jobx import config_loading, model
from jobx.config import Settings
from jobx.kv.entities.entities import Entities
from jobx.kv.opening import open_store
from jobx.kv.store import Store

WORKFLOW = "w"
SUM = "def handler(key, values):\n    yield key, sum(values)\n"
#: Maps ``n`` numbers to the step ``each``.
FAN = """
def handler(arguments):
    yield Map("each")
    for number in range(arguments["n"]):
        yield number, number
"""
COUNT = "def handler(key, value):\n    yield Return()\n    yield 'n', 1\n"
ANSWER = "def handler(arguments):\n    yield Return()\n    yield 'answer', 42\n"
#: Sleeps so many milliseconds.
SLEEP = """
import time
def handler(arguments):
    yield Return()
    time.sleep(arguments["ms"] / 1000)
    yield "slept", 1
"""
#: Returns once the file ``gate`` is there.
GATED = """
import os, time
def handler(arguments):
    yield Return()
    while not os.path.exists(arguments["gate"]):
        time.sleep(0.01)
    yield "n", 1
"""
SLOW = SLEEP.replace("arguments", "key, value", 1).replace('arguments["ms"]', "MS")


def define(
    data_dir: Path,
    handlers: Mapping[str, str],
    steps: Mapping[str, tuple[str, ...]],
    workflow: str = WORKFLOW,
    /,
    **options: Mapping[str, Any],
) -> None:
    """Create a workflow with a job for each of its steps.

    Args:
        data_dir: Where the store is.
        handlers: Source by name; ``sum`` is there already.
        steps: Mapper and reducer, or mapper, combiner and reducer, by the step's name.
        workflow: Its name.
        options: Further fields of handlers, by name.
    """
    with closing(open_store(settings_of(data_dir))) as store:
        write(store, handlers, steps, workflow, **options)


def store_variables() -> dict[str, str]:
    """Return the variables that say which store nodes of a test have."""
    return {name: text for name, text in os.environ.items() if name.startswith("JOBX_STORE_")}


def settings_of(data_dir: Path, flags: Mapping[str, Any] = MappingProxyType({})) -> Settings:
    """Return the settings of a test's node: its store is the one of ``every_store``.

    Args:
        data_dir: The data folder.
        flags: Further settings, by dotted name.
    """
    return config_loading.load(None, store_variables(), {"node.data_dir": str(data_dir), **flags})


def write(
    store: Store,
    handlers: Mapping[str, str],
    steps: Mapping[str, tuple[str, ...]],
    workflow: str = WORKFLOW,
    /,
    **options: Mapping[str, Any],
) -> None:
    """See ``define``."""
    entities = Entities(store)
    entities.create(model.Workflow(workflow_name=workflow, description=""))
    kinds = {name: kind for names in steps.values() for name, kind in _kinds(names)}
    for name, source in {"sum": SUM, **handlers}.items():
        fields = {"workflow_name": workflow, **options.get(name, {})}
        entities.create(handler(name, kinds.get(name, "reducer"), source, **fields))
    for step, names in steps.items():
        entities.create(
            model.Step(
                workflow_name=workflow,
                step_name=step,
                description="",
                map_handler_name=names[0],
                combine_handler_name=names[1] if len(names) > 2 else None,
                reduce_handler_name=names[-1],
            )
        )
    for step in steps:  # last: a running node may take requests as soon as it knows a job
        entities.create(
            model.Job(workflow_name=workflow, job_name=step, description="", initial_step_name=step)
        )


def handler(name: str, kind: Any, source: str, **fields: Any) -> model.Handler:
    """Return a handler, of the workflow ``w`` unless the fields say another."""
    return model.Handler(
        **{
            "workflow_name": WORKFLOW,
            "handler_name": name,
            "description": "",
            "handler_type": kind,
            "source_code": source,
            **fields,
        }
    )


def _kinds(names: tuple[str, ...]) -> list[tuple[str, str]]:
    kinds = ["mapper", "reducer"] if len(names) == 2 else ["mapper", "combiner", "reducer"]
    return list(zip(names, kinds, strict=True))
