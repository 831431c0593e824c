from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

TEXT = "Wörter, 漢字, 😀"
PREPARED = f"from jobx.tools.shared import streams; streams.prepare(); TEXT = {TEXT!r}; "


def _run(code: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    words = [sys.executable, "-c", PREPARED + code]
    environ = os.environ | variables
    return subprocess.run(words, env=environ, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_stays_json_in_every_encoding(encoding: str) -> None:
    ran = _run(
        "import json; print(json.dumps(TEXT, ensure_ascii=False))", PYTHONIOENCODING=encoding
    )

    assert json.loads(ran.stdout.decode(encoding)) == TEXT


def test_a_closed_stdout_refuses_and_no_file_gets_its_number() -> None:
    code = "import os, sys; fd = os.open('/', 0); sys.stderr.write(str(fd)); "
    code += "print(TEXT); sys.stdout.flush()"
    words = ["sh", "-c", '"$0" -c "$1" >&-', sys.executable, PREPARED + code]

    ran = subprocess.run(words, capture_output=True, check=False, timeout=60)

    assert int(ran.stderr[:1]) > 2
    assert b"Bad file descriptor" in ran.stderr


def test_a_process_that_is_started_opens_no_file_in_place_of_a_closed_stream() -> None:
    code = "import subprocess; sys.exit(subprocess.call([sys.executable, '-c', CHILD]))"
    child = "CHILD = 'import os, sys; sys.exit(os.open(\"/\", 0))'; import sys; "
    words = ["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, PREPARED + child + code]

    ran = subprocess.run(words, check=False, timeout=60)

    assert ran.returncode > 2
