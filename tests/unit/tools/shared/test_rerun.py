from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from jobx import entity_json
from jobx.actors.inspection.dumps.dump import Dump
from jobx.actors.inspection.dumps.lines import DumpLine
from jobx.errors import InvalidInput, NotFound
from jobx.handlers.trial.single_run import Trial, TrialResult
from jobx.kv import keys
from jobx.kv.store import Put
from jobx.model import Failure, Handler
from jobx.questions import GetDump
from jobx.tools.shared import rerun
from tests.unit.actors.inspection.dumps.samples import WHOLE, Sample

VERSIONS = ("split_map-1", "leaf_map-1", "pack-1", "total-1")


class Runs:
    """Stands for a trial; notes what it is given, and gives results in turn."""

    def __init__(self, *results: TrialResult) -> None:
        self.given: list[tuple[str, Any]] = []
        self._results = iter(results)

    def map(self, handler: Handler, **given: Any) -> TrialResult:
        self.given.append((handler.handler_name, given))
        return next(self._results)

    def reduce(self, handler: Handler, groups: Any, session: Any) -> TrialResult:
        self.given.append((handler.handler_name, (groups, session)))
        return next(self._results)


def sample(folder: Path) -> Sample:
    made = Sample(folder, *WHOLE)
    for version in VERSIONS:
        handler = Handler(
            workflow_name="w", handler_name=version[:-2], description="", source_code="",
            source_type="python", handler_type="mapper",
        )  # fmt: skip
        made.store.commit([Put(keys.code("w", version), entity_json.encode(handler))])
    return made


def run(made: Sample, vertex: int, trial: Runs) -> list[DumpLine]:
    asked = GetDump(workflow="w", request_id="r1", below=f"m{vertex}")
    dump = Dump(made.store, made.blobs, asked)
    return list(rerun.rerun(made.store, dump, vertex, cast("Trial", trial)))


def test_mapper_combiner_and_reducer_run_on_what_is_logged(tmp_path: Path) -> None:
    trial = Runs(
        TrialResult([("a", 1), ("b", 2), ("a", 3)], session={"s": 1}, output="hi"),
        TrialResult([("a", 4)]),
        TrialResult([("a", 5)]),
    )
    lines = run(sample(tmp_path), 1, trial)
    assert trial.given == [
        ("leaf_map", {"pair": ("a", 1)}),
        ("pack", ([("a", [1, 3]), ("b", [2])], {"s": 1})),
        ("total", ([("a", [4])], {"s": 1})),
    ]
    assert [(line.invocation_id, line.state, line.rerun) for line in lines] == [
        (name, "succeeded", True) for name in ("m1", "c1", "r1")
    ]
    assert [line.data for line in lines] == [
        [["a", [1, 3]], ["b", [2]]],
        [["a", [4]]],
        [["a", [5]]],
    ]
    assert (lines[0].output, lines[0].session, lines[0].node_id) == ("hi", {"s": 1}, None)


def test_first_mapper_gets_its_arguments_and_its_children_do_not_run(tmp_path: Path) -> None:
    trial = Runs(TrialResult([(0, "a")], step="leaf"))
    (line,) = run(sample(tmp_path), 0, trial)
    assert trial.given == [("split_map", {"arguments": {"text": "ab"}})]
    assert (line.children, line.data) == (1, [[0, ["a"]]])
    assert line.absent == {"reducer": "it gets what the children leave; run those again"}


def test_what_fails_again_ends_it(tmp_path: Path) -> None:
    failure = Failure(kind="author", type="ValueError", message="no")
    trial = Runs(TrialResult([("a", 1)]), TrialResult(failure=failure))
    lines = run(sample(tmp_path), 1, trial)
    assert [(line.invocation_id, line.state) for line in lines] == [
        ("m1", "succeeded"),
        ("c1", "failed"),
    ]
    assert lines[1].failure == failure


def test_what_is_not_there_cannot_run(tmp_path: Path) -> None:
    made = sample(tmp_path)
    with pytest.raises(NotFound, match="invocation"):
        run(made, 77, Runs())
    with pytest.raises(NotFound, match="handler version"):
        run(Sample(tmp_path, *WHOLE), 1, Runs())


@pytest.mark.parametrize(("name", "vertex"), [("m17", 17), ("c0", 0), ("r5", 5)])
def test_invocation_names_its_mapper(name: str, vertex: int) -> None:
    assert rerun.vertex_of(name) == vertex


@pytest.mark.parametrize("name", ["", "17", "m", "x1", "m-1", "m1\n"])
def test_what_is_no_invocation_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput):
        rerun.vertex_of(name)
