"""What the machine lacks while a guest is set up is no failure of its author: the request waits."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.soak.defining import available, define
from tests.chaos.soak.jobs import JOBS
from tests.support.compiled import CompilerMissingError
from tests.support.fault.rules import Fault, Faults
from tests.support.served import Served, kill, served
from tests.support.services import absent
from tests.support.waiting import eventually

_WANTED = ("letters_executable", "letters_javascript", "words_shell")
JOBS_HERE = tuple(name for name in _WANTED if name in available())
_GIVEN = {"text": "ant bee ant"}


@pytest.fixture(scope="module")
def set_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Faults, Path]]:
    """A server with jobs of guests, its faults, and where these are met."""
    folder = tmp_path_factory.mktemp("lacks")
    try:
        faults = Faults(folder / "fault")
    except CompilerMissingError as error:
        absent("cc", str(error))
    define(folder / "data", JOBS_HERE)
    with served(folder / "data", **faults.environ) as serving:
        yield serving, faults, folder / "data" / "tmp"


@pytest.mark.parametrize(
    "lack", (errno.ENOSPC, errno.EMFILE, errno.EIO, errno.ENOMEM), ids=errno.errorcode.get
)
def test_a_guest_is_set_up_when_the_machine_has_what_it_takes(
    set_up: tuple[Served, Faults, Path], lack: int
) -> None:
    serving, faults, folder = set_up
    for pid in serving.executors():  # what they have set up goes with them
        kill(pid)
    path = f"{folder}/executor-*/handler-*"
    faults.set(Fault(calls=("open", "write", "mkdir"), path=path, error=lack))
    posted = [serving.post(job, _GIVEN, Prefer="respond-async").request_id for job in JOBS_HERE]
    eventually(lambda: faults.hits() > len(JOBS_HERE))
    assert {serving.get(one).body["state"] for one in posted} == {"running"}
    faults.clear()
    found = [serving.get(one, "/result", Prefer="wait=60").pairs for one in posted]
    assert found == [JOBS[job].expect(_GIVEN) for job in JOBS_HERE]
