"""A node that is asked over its socket, whatever the node is."""

from __future__ import annotations

import os
import socket
import time
from contextlib import closing
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec
import pytest

from jobx import questions, values
from jobx.errors import JobxError
from jobx.frames import FrameSocket, with_head
from jobx.handlers.pairs import root_input
from jobx.kv.requests.request_entity import new_id
from jobx.kv.sqlite.store import SqliteStore
from jobx.questions import (
    Question,
    SubmitJob,
)
from jobx.tools.shared.gateway_client import GatewayClient
from jobx.views import Outcome, View
from tests.support import texts
from tests.support.fake_node import FakeNode, gateway_thread
from tests.support.live_node import live_node

A = TypeVar("A", bound=View)

WAIT_S: Final = 60.0


class Asked:
    """A node, asked over its socket."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def ask(self, question: Question[A]) -> A:
        """Return the answer to a question; raises the node's error."""
        with GatewayClient(self._path) as gateway:
            return gateway.call(question)

    def ask_packed(self, question: Any) -> JobxError:
        """Return the error that answers what is no question."""
        with closing(socket.socket(socket.AF_UNIX)) as sock:
            sock.settimeout(60)
            sock.connect(str(self._path))
            stream = FrameSocket(sock)
            stream.send_bytes(with_head(values.pack([7, question])))
            body = stream.receive_body()
            stream.close()
        assert body is not None
        number, answer = questions.decode_reply(body)
        assert (number, isinstance(answer, JobxError)) == (7, True)
        return answer

    def run(self, job: str, **arguments: Any) -> Outcome:
        """Run a request."""
        return self.ask(submission(job, **arguments))

    def start(self, job: str = "slow") -> dict[str, Any]:
        """Start a request and return what names it."""
        asked = msgspec.structs.replace(submission(job), is_blocking=False)
        return {"workflow": "texts", "request_id": self.ask(asked).request.request_id}


def submission(job: str, **arguments: Any) -> SubmitJob:
    """Return the question to run a job."""
    return SubmitJob(
        workflow="texts",
        request_id=new_id(time.time(), os.urandom(10)),
        job=job,
        arguments=root_input.pack(arguments),
        wait_s=WAIT_S,
    )


@pytest.fixture(scope="module", params=["real", "fake"])
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "fake":
        with gateway_thread(FakeNode(folder), folder / "gateway.sock"):
            yield Asked(folder / "gateway.sock")
        return
    with closing(SqliteStore(folder / "jobx.sqlite")) as store:
        texts.write(store)
    with live_node(folder):
        yield Asked(folder / "gateway.sock")


def named(outcome: Outcome) -> Any:
    """Return what names a request."""
    return {"workflow": "texts", "request_id": outcome.request.request_id}


def packed(**fields: Any) -> msgspec.Raw:
    """Return the fields of an entity as they travel."""
    return msgspec.Raw(values.pack(fields))


def told(error: JobxError) -> str:
    """Return an error as its code and its sentence."""
    return f"{error.code}: {error}"
