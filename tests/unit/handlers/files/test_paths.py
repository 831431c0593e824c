from __future__ import annotations

from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.handlers.files.paths import MAX_NAME_BYTES, PathRefused, normalise


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        (".", ()),
        ("a", ("a",)),
        ("a/b", ("a", "b")),
        ("./a//b/./c/", ("a", "b", "c")),
        (PurePosixPath("a/b"), ("a", "b")),
        ("a b/100%/x:y/..z/z..", ("a b", "100%", "x:y", "..z", "z..")),
        ("n\u00e9/\u540d\u524d", ("n\u00e9", "\u540d\u524d")),
        ("e\u0301", ("e\u0301",)),
        ("a" * MAX_NAME_BYTES, ("a" * MAX_NAME_BYTES,)),
    ],
)
def test_a_path_below_the_folder_is_its_names(path: Any, parts: tuple[str, ...]) -> None:
    assert normalise(path) == parts


@pytest.mark.parametrize("path", [b"a", None, 1, ["a"]])
def test_what_is_no_text_is_refused(path: Any) -> None:
    with pytest.raises(PathRefused, match="a path is text"):
        normalise(path)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "empty"),
        ("../a", r"'\.\.'"),
        ("/a", "absolute"),
        ("a\\b", "backslash"),
        ("a\0b", "control"),
        ("s3://b/k", "scheme"),
        ("./C:/a", "scheme"),
        ("~/a", "home"),
        ("%2e%2e", r"'\.\.'"),
        ("a%2fb", "encoded separator"),
        ("\u00e9" * 128, "255 bytes"),
        ("a/" * 451, "900 bytes"),
    ],
)
def test_a_refusal_says_why_and_names_the_path(path: str, reason: str) -> None:
    with pytest.raises(PermissionError, match=reason) as caught:
        normalise(path)
    assert caught.value.filename == path


@given(st.text(st.characters(exclude_categories=())))
def test_what_passes_are_plain_names(path: str) -> None:
    try:
        parts = normalise(path)
    except PathRefused:
        return
    for part in parts:
        assert part not in ("", ".", "..")
        assert not set(part) & {"/", "\\", "\0"}
    assert normalise("/".join(parts) or ".") == parts


@given(st.lists(st.sampled_from(["..", ".", "a", "", "%2e%2e", "\uff0e.", "..."])))
def test_no_path_leads_up(names: list[str]) -> None:
    path = "/".join(["x", *names])
    if set(names) <= {".", "a", ""}:
        assert normalise(path) == ("x", *(name for name in names if name == "a"))
    else:
        with pytest.raises(PathRefused):
            normalise(path)
