from __future__ import annotations

import pytest

from jobx import errors, meanings


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.RequestFailed("r", "ValueError", "no"), 1),
        (errors.RequestCancelled("r", "enough"), 1),
        (errors.NotFound("job", "w/j"), 3),
        (errors.AlreadyExists("job", "w/j"), 4),
        (errors.InUse("data folder", "d", "process 7"), 4),
        (errors.NotEnded("r"), 4),
        (errors.Conflict("k"), 4),
        (errors.InvalidInput("name", "''", "empty"), 5),
        (errors.ConfigError("http.bind", "x", "no"), 5),
        (errors.KeyReused("key", "x", "other body"), 5),
        (errors.NodeUnreachable("nobody"), 6),
        (errors.StoreUnavailable("locked"), 6),
        (errors.DeadlineExceeded("it", 1.0), 6),
        (errors.OutcomeUnknown("k", "cut"), 8),
        (errors.NodeLost("gone"), 8),
        (errors.StoreFull("d", "full"), 7),
        (errors.StoreRefused("d", "read-only"), 7),
        (errors.BlobDamaged("b", "missing"), 7),
        (errors.FrameError("junk"), 70),
        (errors.InternalError("bug"), 70),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_code_follows_the_class_of_the_error(error: errors.JobxError, code: int) -> None:
    assert meanings.meaning_of(type(error)).exit_code == code
