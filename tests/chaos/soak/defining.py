"""The workflow of the soak, written to a store."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jobx import model
from jobx.kv.entities.entities import Entities
from jobx.kv.opening import open_store
from tests.chaos.soak.jobs import JOBS, Job
from tests.support.authoring import SUM, WORKFLOW, handler, settings_of


def available() -> tuple[str, ...]:
    """Return the jobs whose languages run here."""
    has = {"javascript": shutil.which("node"), "wasm": find_spec("wasmtime")}
    return tuple(name for name, job in JOBS.items() if has.get(job.language, True))


def define(data_dir: Path, jobs: tuple[str, ...]) -> None:
    """Create the workflow with these jobs in the store of a test's node."""
    with closing(open_store(settings_of(data_dir))) as store:
        entities = Entities(store)
        entities.create(model.Workflow(workflow_name=WORKFLOW, description=""))
        entities.create(handler("sum", "reducer", SUM))
        for name in jobs:
            _define_job(entities.create, name, JOBS[name])


def _define_job(create: Callable[[Any], Any], name: str, job: Job) -> None:
    reducer = f"{name}_reduce"
    language = {"source_type": job.language}
    create(handler(reducer, "reducer", job.reducer, **_reducing(job)))
    create(handler(f"{name}_map", "mapper", job.mapper, **language, **(job.options or {})))
    combiner = None
    if job.combiner is not None:
        combiner = f"{name}_combine"
        create(handler(combiner, "combiner", job.combiner))
    _define_step(create, name, f"{name}_map", combiner, reducer)
    for step, (source, options) in (job.steps or {}).items():
        create(handler(f"{step}_map", "mapper", source, **options))
        _define_step(create, step, f"{step}_map", None, "sum")
    writer = {} if job.writer is None else {"result_writer": job.writer}
    create(
        model.Job(
            workflow_name=WORKFLOW,
            job_name=name,
            description="",
            initial_step_name=name,
            **writer,  # type: ignore[arg-type]  # fields of a job
        )
    )


def _reducing(job: Job) -> dict[str, Any]:
    is_python = job.reducer.startswith(("def handler", "import"))
    return {} if is_python and job.language == "shell" else {"source_type": job.language}


def _define_step(
    create: Callable[[Any], Any], name: str, mapper: str, combiner: str | None, reducer: str
) -> None:
    create(
        model.Step(
            workflow_name=WORKFLOW,
            step_name=name,
            description="",
            map_handler_name=mapper,
            combine_handler_name=combiner,
            reduce_handler_name=reducer,
        )
    )
