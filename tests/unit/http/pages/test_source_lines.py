from __future__ import annotations

from jobx.http.pages import source_lines

SOURCE = "\n".join(f"line {number}" for number in range(1, 21))
TRACEBACK = '  File "<handler a>", line 3, in f\n    line 3\n  File "<handler a>", line 9, in g\n'


def test_innermost_line_of_a_traceback_is_marked_among_its_neighbours() -> None:
    lines = source_lines.around(SOURCE, TRACEBACK + "    line 9\n")
    assert [line.number for line in lines] == list(range(4, 15))
    assert [line.text for line in lines if line.is_marked] == ["line 9"]


def test_source_that_was_changed_since_has_no_such_lines() -> None:
    assert source_lines.around(SOURCE, TRACEBACK + "    other\n") == []
    assert source_lines.around("", TRACEBACK + "    line 9\n") == []
    assert source_lines.around(SOURCE, "no traceback") == []


def test_difference_shows_what_was_added_and_removed() -> None:
    found = source_lines.difference("a\nb\nc", "a\nx\nc")
    assert found == ["@@ -1,3 +1,3 @@", " a", "-b", "+x", " c"]
    assert source_lines.difference("a", "a") == []


def test_long_sources_are_not_compared() -> None:
    assert source_lines.difference("x\n" * (source_lines.MAX_COMPARED + 1), "x") is None
