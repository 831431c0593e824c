from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import model
from jobx.errors import InvalidInput


@given(st.from_regex(model.NAME_PATTERN, fullmatch=True).filter(lambda name: ".." not in name))
def test_what_follows_the_pattern_is_a_name(name: str) -> None:
    assert model.check_name("job", name) == name


@pytest.mark.parametrize("name", ["a", "7", "word_count", "a.b-c", "a" * 63, "0.1"])
def test_names_are_taken_as_they_are(name: str) -> None:
    assert model.check_name("job", name) == name


@pytest.mark.parametrize(
    "name",
    ["", "A", "_a", ".a", "-a", "a/b", "a b", "a..b", "a\n", "ä", "a" * 64, "a\0", None, 7, b"a"],
)
def test_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises(InvalidInput, match=r"^job: a name is 1 to 63"):
        model.check_name("job", name)


def test_entities_are_frozen() -> None:
    workflow = model.Workflow(workflow_name="flow", description="")
    with pytest.raises(AttributeError):
        workflow.workflow_name = "other"  # type: ignore[misc]  # that is the test
