"""What the machine lacks while a guest is set up is no failure of its author: the request waits."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.chaos.soak.defining import available, define
from tests.chaos.soak.jobs import JOBS
from tests.support.fault.rules import Fault, Faults
from tests.support.served import served
from tests.support.waiting import eventually

_WANTED = ("letters_executable", "letters_javascript", "words_shell")
_GIVEN = {"text": "ant bee ant"}


@pytest.mark.parametrize(
    "lack", (errno.ENOSPC, errno.EMFILE, errno.EIO, errno.ENOMEM), ids=errno.errorcode.get
)
def test_a_guest_is_set_up_when_the_machine_has_what_it_takes(
    faults: Faults, tmp_path: Path, lack: int
) -> None:
    jobs = tuple(name for name in _WANTED if name in available())
    define(tmp_path / "data", jobs)
    with served(tmp_path / "data", **faults.environ) as serving:
        path = f"{tmp_path}/data/tmp/executor-*/handler-*"
        faults.set(Fault(calls=("open", "write", "mkdir"), path=path, error=lack))
        posted = [serving.post(job, _GIVEN, Prefer="respond-async").request_id for job in jobs]
        eventually(lambda: faults.hits() > len(jobs))
        assert {serving.get(one).body["state"] for one in posted} == {"running"}
        faults.clear()
        found = [serving.get(one, "/result", Prefer="wait=60").pairs for one in posted]
        assert found == [JOBS[job].expect(_GIVEN) for job in jobs]
