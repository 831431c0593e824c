"""Six handlers, four jobs and a scope factory that were written for mr, set up by its scripts."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from jobx import meanings
from jobx.handlers.authoring import mr_check
from tests.support.http_sink import http_sink
from tests.support.old_scripts import Shell, ask, install, shell
from tests.support.processes import identity
from tests.support.waiting import eventually

HEADER = '''"""
{description}

**
argument_spec:
    -
        name: {name}
        type: list

handler_type: {kind}
required_capability: none
"""

'''
MAPPERS = {
    "halve": """
        number = dict(arguments)['number']
        ctx.session_set('whole', number)
        LOG.warn("halve %d", number)

        yield MrConfigureToMap('chunks')

        half = number // 2
        yield (0, half)
        yield (1, number - half)
        """,
    "chunk": """
        import logging
        _logger = logging.getLogger(__name__)

        if FS.exists('notes') is False:
            FS.mkdir('notes')

        pair = arguments[0]
        value = pair[1]
        path = 'notes' + SEP + str(value)
        with FS.open(path, 'w') as f:
            f.write("x" * value)

        yield MrConfigureToReturn()
        yield ('bytes', FS.get_stat(path)['size'])
        yield ('code', RUN(['sh', '-c', 'exit 3'], success_code=3))
        for i in xrange(value % 3):
            yield ('one', 1)
        """,
    "scatter": """
        counts = {}
        for word in dict(arguments)['text'].split():
            counts.setdefault(word, 0)
            counts[word] += RATE
        yield MrConfigureToReturn()
        for word, count in counts.iteritems():
            yield (word, count)
        """,
}
REDUCERS = {
    "forward": """
        for k, v in results:
            yield (k, v)
        """,
    "product": """
        print("product of %s" % (results,))
        assert ctx.session_get('whole') == dict(S_LIST())['whole']
        tally = {}
        for k, value_list in results:
            for value in value_list:
                try:
                    tally[k] *= value
                except KeyError:
                    tally[k] = value
        return tally.iteritems()
        """,
    "total": """
        tally = {}
        for k, value_list in results:
            tally[k] = sum(value_list)
        if tally.has_key('fail'):
            NOTIFY.error("cannot %s", 'fail')
            RUN(['false'])
        return tally.items()
        """,
}
FACTORY = """
import mr.handlers.scope


class WorkflowScopeFactory(mr.handlers.scope.WorkflowScopeFactory):
    def get_handler_scope_factory(self, workflow):
        return _HandlerScopeFactory(workflow)


class _HandlerScopeFactory(mr.handlers.scope.HandlerScopeFactory):
    def __init__(self, workflow):
        self.__workflow = workflow

    def get_scope(self, handler_definition):
        if self.__workflow.workflow_name == 'dev' and handler_definition.name == 'map_scatter':
            return {'RATE': 2}
        return {}
"""
SCRIPTS = """
mr_kv_workflow_create dev "Handlers of mr."
mr_kv_handler_store dev handlers --force_update
mr_kv_step_create dev halves "Halves a number." map_halve '' reduce_forward
mr_kv_step_create dev products "Halves a number." map_halve '' reduce_forward
mr_kv_step_set_handler dev products --reduce-handler-name reduce_product
mr_kv_step_create dev chunks "Makes chunks." map_chunk '' reduce_total
mr_kv_step_create dev words "Counts words." map_scatter '' reduce_total
mr_kv_job_create dev halve "Halves." halves
mr_kv_job_create dev multiply "Multiplies." products
mr_kv_job_create dev chunk "Makes chunks." chunks
mr_kv_job_create dev count "Counts words." words
"""
VARIABLES = """
export DEBUG=1 MR_HANDLER_DEBUG=1 MR_WORKFLOW_NAMES=dev MR_NSQD_HOSTS=127.0.0.1
export PYTHONPATH=scope MR_WORKFLOW_SCOPE_FACTORY_FQ_CLASS=site_scope.WorkflowScopeFactory
export MR_LOG_FILEPATH=mr.log JOBX_FILES_URL=file://$PWD/files
"""
#: The arguments of each job, and the pairs of its result.
JOBS = {
    "halve": ({"number": 11}, [["bytes", [5, 6]], ["code", [3, 3]], ["one", [2]]]),
    "multiply": ({"number": 11}, [["bytes", 30], ["code", 9], ["one", 2]]),
    "chunk": ({"number": 4}, [["bytes", 4], ["code", 3], ["one", 1]]),
    "count": ({"text": "to be or not to be"}, [["be", 4], ["not", 2], ["or", 2], ["to", 4]]),
}


def _write(folder: Path, kind: str, sources: dict[str, str]) -> None:
    (folder / kind).mkdir(parents=True)
    name, handler_type = ("arguments", "mapper") if kind == "map" else ("results", "reducer")
    for stem, source in sources.items():
        header = HEADER.format(description=stem, name=name, kind=handler_type)
        (folder / kind / f"{stem}.py").write_text(header + textwrap.dedent(source).lstrip())


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the scripts, where handlers, steps and jobs are stored."""
    folder = tmp_path_factory.mktemp("mr")
    install(folder)
    home = folder / "home"
    _write(home / "handlers", "map", MAPPERS)
    _write(home / "handlers", "reduce", REDUCERS)
    for name in ("scope", "files"):
        (home / name).mkdir()
    (home / "scope" / "site_scope.py").write_text(FACTORY)
    done = shell(folder)(SCRIPTS)
    assert (done.returncode, done.stderr) == (meanings.OK, "")
    return folder


@pytest.fixture
def notes(prepared: Path, tmp_path: Path) -> Shell:
    """A shell in a copy of the prepared folder."""
    shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)
    return shell(tmp_path)


@contextmanager
def serving(notes: Shell, folder: Path, variables: str = "") -> Iterator[Path]:
    """Start the server as in production; gives its socket."""
    started = notes(f"{VARIABLES}{variables}\nmr_start_gunicorn_prod 2>told")
    assert started.returncode == meanings.OK, started.stdout + (folder / "home/told").read_text()
    server = identity(int(re.findall(r"process (\d+) serves", started.stdout)[0]))
    assert server is not None
    try:
        yield folder / "mr.sock"
    finally:
        os.kill(server.pid, signal.SIGTERM)
        assert eventually(lambda: not server.goes_on, timeout_s=60)


def test_jobs_of_mr_have_their_results(notes: Shell, tmp_path: Path) -> None:
    with http_sink() as sink:
        port = sink.url.rpartition(":")[2].partition("/")[0]
        hook = f"export MR_LOG_HTTP_HOOK=1 MR_LOG_HTTP_HOSTNAME=127.0.0.1 MR_LOG_HTTP_PORT={port}"
        with serving(notes, tmp_path, hook) as path:
            for job, (arguments, pairs) in JOBS.items():
                body = {"arguments": arguments}
                status, _, answer = ask(path, "POST", f"/job/dev/{job}", body)
                assert (job, status, json.loads(answer)) == (job, 200, {"result": {"pairs": pairs}})
            body = {"arguments": {"text": "fail"}}
            status, request_id, _ = ask(path, "POST", "/job/dev/count", body)
            assert status == 500
            assert eventually(lambda: any(b"cannot+fail" in post.body for post in sink.posts))
    posts = [parse_qs(post.body.decode()) for post in sink.posts]
    told = {(post["levelname"][0], post["name"][0]) for post in posts}
    assert ("ERROR", "MR_HANDLER.HTTP") in told
    kept = json.loads(notes(f"mr_kv_request_get dev {request_id}").stdout)
    assert kept["primary_key"] == {"request_id": request_id}
    assert kept["data"] == {
        "workflow_name": "dev",
        "job_name": "count",
        "invocation_id": "m0",
        "failed_invocation_id": "r0",
        "is_done": True,
        "is_blocking": True,
        "context": kept["data"]["context"],
    }
    trace = notes(f"mr_get_invocation_graph dev {request_id}").stdout
    assert "RunError: false ended with code 1" in trace


def test_results_of_mr_are_in_files(notes: Shell, tmp_path: Path) -> None:
    writer = "export MR_RESULT_WRITER_FQ_CLASS=mr.result_writers.file.FileResultWriter\n"
    writer += "export MR_RESULT_FILE_WRITER_OUTPUT_PATH=$PWD/results"
    with serving(notes, tmp_path, writer) as path:
        body = {"arguments": JOBS["count"][0]}
        status, request_id, answer = ask(path, "POST", "/job/dev/count?blocking=0", body)
        assert (status, request_id is None) == (202, False), answer
        written = tmp_path / "home" / "results" / str(request_id)
        assert eventually(written.exists, timeout_s=60)
    assert written.read_bytes() == b"be 4\r\nnot 2\r\nor 2\r\nto 4\r\n"


def test_nothing_of_it_must_change(prepared: Path) -> None:
    assert mr_check.check(prepared / "home" / "handlers") == []
    assert mr_check.check(prepared / "home" / "scope") == []
