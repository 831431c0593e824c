from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from jobx.errors import JobxError
from jobx.handlers.failures import describe
from jobx.handlers.languages.guests import Guests


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        *((number, "disk") for number in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)),
        (errno.EIO, "disk"),
        (errno.ENOSPC, "full"),
        *((number, "capability") for number in (errno.ENOENT, errno.EACCES, errno.ENOEXEC)),
    ],
    ids=lambda word: errno.errorcode.get(word, word),
)
def test_only_a_program_that_cannot_run_here_is_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: int, kind: str
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(refusal, os.strerror(refusal))

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(JobxError) as caught:
        Guests(str(tmp_path)).start(["/bin/true"])
    assert describe(caught.value)["kind"] == kind
