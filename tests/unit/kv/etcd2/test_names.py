"""Any key has a path, and no two keys need one name for a file and a folder."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.kv.etcd2.names import Names, escaped, unescaped

PARTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
KEYS = st.lists(st.sampled_from(["", "a", "_a", ".", "..", "entities", "job", "="]) | PARTS).map(
    "/".join
)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("entities/job/w/j", "/r/entities/job/w/j"),
        ("entities/workflow/w", "/r/entities/workflow/w"),
        ("entities/request/w/01arz", "/r/entities/request/w/01arz"),
        ("open/local/w/01arz", "/r/open/local/w/01arz="),
        ("queues/w/q", "/r/queues/w/q="),
        ("queues/w/q/0000000000", "/r/queues/w/q/0000000000="),
        ("entities/job/w/j/more", "/r/entities/job/w/j=/more="),
        ("_a/.b/c_.d", "/r/=5Fa/=2Eb/c_.d="),
        ("a b?c#d%e=", "/r/a=20b=3Fc=23d=25e=3D="),
        ("é", "/r/=C3=A9="),
        ("", "/r/=_="),
        ("a//", "/r/a/=_/=_="),
    ],
)
def test_a_key_has_a_path(key: str, path: str) -> None:
    assert Names("r/").path(key) == path
    assert Names("r/").key(path) == key


@given(key=KEYS, root=st.sampled_from(["", "r/", "a/_b/"]))
def test_every_key_comes_back_from_its_path(key: str, root: str) -> None:
    names = Names(root)
    path = names.path(key)
    assert names.key(path) == key
    assert names.key(path, is_file=False) is None
    assert re.fullmatch(r"(/[A-Za-z0-9~=-][A-Za-z0-9~=._-]*)+", path)


@given(first=KEYS, second=KEYS)
def test_no_file_has_the_name_of_a_folder(first: str, second: str) -> None:
    names = Names("r/")
    assert names.path(first) != names.folder(f"{second}/")


@given(name=PARTS)
def test_a_part_comes_back_as_it_was(name: str) -> None:
    assert unescaped(escaped(name)) == name


@pytest.mark.parametrize("text", ["", "=", "=4", "=61", "=ff", "=FF", "a b", "_a", ".", "é", "=G0"])
def test_what_nobody_escaped_is_no_name(text: str) -> None:
    assert unescaped(text) is None


@pytest.mark.parametrize(
    ("prefix", "folder"),
    [("", "/r"), ("a", "/r"), ("a/", "/r/a"), ("entities/job/w/j/", "/r/entities/job/w/j=")],
)
def test_the_keys_with_a_prefix_are_in_one_folder(prefix: str, folder: str) -> None:
    assert Names("r/").folder(prefix) == folder


def test_without_a_root_the_folder_is_that_of_all() -> None:
    assert (Names("").base, Names("").folder("a"), Names("").path("a")) == ("/", "/", "/a=")


def test_the_depth_of_a_path_does_not_count_the_root() -> None:
    assert Names("r/s/").depth("/r/s/a/b") == Names("").depth("/a/b") == 2
