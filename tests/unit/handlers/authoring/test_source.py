from __future__ import annotations

from pathlib import Path, PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx import model
from jobx.errors import InvalidInput, JobxError, TooLarge
from jobx.handlers.authoring import header, source


def python(metadata: str, description: str = "Count words.", mark: str = "**") -> str:
    return f'"""\n{description}\n\n{mark}\n{metadata}\n"""\n\nyield MrConfigureToReturn()\n'


def parse(metadata: str, **header: str) -> model.Handler:
    return source.parse("demo", "count", "python", python(metadata, **header))


def refusal(metadata: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        parse(metadata)
    return str(caught.value)


def test_parse_gives_the_handler_with_its_whole_source() -> None:
    text = python("handler_type: mapper\nargument_spec:\n- [root, str]")

    assert source.parse("demo", "count", "python", text) == model.Handler(
        workflow_name="demo",
        handler_name="count",
        description="Count words.",
        handler_type="mapper",
        source_code=text,
        argument_spec=(("root", "str"),),
    )


@pytest.mark.parametrize(
    ("source_type", "text"),
    [
        ("python", '#!/usr/bin/env python\n# coding: utf-8\n"""One.\n\n**\na: 1\n"""\n'),
        ("python", '"""One.\n**\na: 1\n# \\w"""'),
        ("python", "'One.\\n**\\na: 1'"),
        ("python", '"""One.\n **JSON \n{"a": 1}"""'),
        ("python", '"""\n    One.\n    **json\n    {"a": 1}\n"""\nthis is not python'),
        ("javascript", "// One.\n// **\n// a: 1\nrest"),
        ("javascript", "#!/usr/bin/env node\n\n/* One.\n   **\n   a: 1\n*/"),
        ("javascript", "/**\n * One.\n *\n * **\n * a: 1\n */\n"),
        ("javascript", "/*\nOne.\n**\na: 1\n*/"),
        ("wasm", ";; One.\n;; **\n;; a: 1\n(module)"),
        ("shell", '#!/bin/sh\n# One.\n#\n# **yaml\n# {a: 1}\n# \ntrue # "'),
    ],
)
def test_header_is_read_from_the_leading_remark_of_each_language(
    source_type: str, text: str
) -> None:
    assert header.read("here", source_type, text) == ("One.", {"a": 1})


@pytest.mark.parametrize(
    "text", ["", "x = 1", 'b"""a\n**\na: 1"""', '"""a\n**\na: 1', "\0", 'f"""a\n**\na: 1"""']
)
def test_header_that_is_absent_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="handler x, header"):
        header.read("handler x", "python", text)


def test_header_without_the_line_of_stars_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"needs a line '\*\*'"):
        header.read("handler x", "python", '"""Count.\n\nhandler_type: mapper\n"""')


def test_header_that_is_too_large_is_refused() -> None:
    with pytest.raises(TooLarge, match="header"):
        parse("handler_type: mapper", description="x" * header.MAX_HEADER_BYTES)


@pytest.mark.parametrize(
    ("mark", "metadata", "reason"),
    [
        ("**toml", "a = 1", "announced by"),
        ("**", "a: [1", "cannot be read as yaml"),
        ("**", "- a", "must be a map"),
        ("**", "1: a", "text keys"),
        ("**", "a: 1\na: 2", "repeated"),
        ("**", "a: &x [1]\nb: *x", "aliases"),
        ("**", "a: !!python/object/apply:os.getcwd []", "tags"),
        ("**", "a: " + "[" * 5000, "nest deeper"),
        ("**json", '{"a": 1,}', "cannot be read as json"),
        ("**json", '{"a": 1, "a": 2}', "twice"),
    ],
)
def test_metadata_that_cannot_be_read_is_refused(mark: str, metadata: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason) as caught:
        parse(metadata, mark=mark)
    assert "handler count, metadata" in str(caught.value)


@pytest.mark.parametrize(
    ("written", "read"),
    [("on", "on"), ("no", "no"), ("010", "010"), ("2020-01-01", "2020-01-01"), ("1:30", "1:30"),
     ("true", True), ("~", None), ("-7", -7), ("0.5", 0.5), ("1e3", 1000.0), (".inf", ".inf")],
)  # fmt: skip
def test_yaml_words_are_text_unless_json_has_them(written: str, read: object) -> None:
    assert header.read("here", "python", python(f"a: {written}"))[1] == {"a": read}


@pytest.mark.parametrize(
    "spec",
    [
        "[[root, str], [limit, int]]",
        "\n- {name: root, type: str}\n- [limit, int]",
        "{root: str, limit: int}",
    ],
)
def test_argument_spec_is_read_in_each_of_its_forms(spec: str) -> None:
    handler = parse(f"handler_type: mapper\nargument_spec: {spec}")
    assert handler.argument_spec == (("root", "str"), ("limit", "int"))


@pytest.mark.parametrize("line", ["", "required_capability:", "required_capability: none"])
def test_required_capability_is_general_where_none_is_said(line: str) -> None:
    assert parse(f"handler_type: mapper\n{line}").required_capability == "general"


def test_retry_time_limit_and_examples_are_read() -> None:
    handler = parse(
        "handler_type: reducer\n"
        "retry: {attempts: 3, backoff_s: 1, on: [OSError]}\n"
        "timeout: 5\n"
        "examples:\n- arguments: [[a, [1, 2]]]\n  expected: [[a, 3]]"
    )

    assert handler.retry == model.Retry(attempts=3, backoff_s=1.0, on=("OSError",))
    assert handler.time_limit_s == 5.0
    assert handler.examples == (model.Example(arguments=[["a", [1, 2]]], expected=[["a", 3]]),)


@pytest.mark.parametrize(
    ("metadata", "parts"),
    [
        ("description: x", ["handler count", "'description'", "handler_type, argument_spec"]),
        ("argument_spec: []", ["handler count, handler_type", "mapper, combiner or reducer"]),
        ("handler_type: maper", ["handler count, handler_type", "'maper'", "mapper, combiner"]),
        ("argument_spec: [[root, text]]", ["argument_spec", "str, int, float", "$[0][1]"]),
        ("argument_spec: [root]", ["argument_spec", "list of [name, type]"]),
        ("argument_spec: [['', str]]", ["argument_spec", "list of [name, type]"]),
        ("argument_spec: [[a, str], [a, int]]", ["argument_spec", "'a'", "named twice"]),
        ("required_capability: GPU", ["required_capability", "must be a name"]),
        ("retry: {attempts: 0}", ["retry", "attempts, backoff_s", ">= 1"]),
        ("retry: 3", ["retry", "must be a map"]),
        ("retry: {tries: 3}", ["retry", "`tries`"]),
        ("time_limit_s: soon", ["time_limit_s", "number of seconds"]),
        ("timeout: 0", ["handler count, timeout", "number of seconds"]),
        ("timeout: 1e999", ["handler count, timeout", "number of seconds"]),
        ("timeout: 1\ntime_limit_s: 1", ["repeats time_limit_s"]),
        ("examples: {a: 1}", ["examples", "list of maps"]),
    ],
)
def test_metadata_key_that_is_wrong_is_named_with_what_is_accepted(
    metadata: str, parts: list[str]
) -> None:
    sentence = refusal(metadata)
    assert [part for part in parts if part not in sentence] == []


def test_source_that_is_too_large_is_refused() -> None:
    text = python("handler_type: mapper") + "#" * source.MAX_SOURCE_BYTES
    with pytest.raises(TooLarge, match="handler count, source"):
        source.parse("demo", "count", "python", text)


def test_source_with_a_lone_surrogate_is_refused() -> None:
    with pytest.raises(InvalidInput, match="must be UTF-8"):
        source.parse("demo", "count", "python", python("handler_type: mapper", "\ud800"))


@given(st.text(max_size=200), st.sampled_from(["python", "javascript", "shell"]))
def test_parse_raises_nothing_but_its_own_errors(text: str, source_type: str) -> None:
    for candidate in (text, f'"""{text}\n**\n{text}"""', f"# x\n# **\n# {text}"):
        try:
            source.parse("demo", "count", source_type, candidate)
        except JobxError as error:
            assert "handler count" in str(error)


@pytest.mark.parametrize(
    ("path", "name"),
    [("count.py", "count"), ("text/count.py", "text_count"), ("a/b/c.v2.py", "a_b_c.v2")],
)
def test_name_of_a_file_is_its_path_without_ending(path: str, name: str) -> None:
    assert source.name_of(PurePath(path)) == name


@pytest.mark.parametrize("path", ["Count.py", "count words.py", "_count.py", "x" * 64 + ".py"])
def test_name_of_a_file_that_makes_no_name_is_refused(path: str) -> None:
    with pytest.raises(InvalidInput, match="handler file"):
        source.name_of(PurePath(path))


def test_check_accepts_both_forms_of_python() -> None:
    source.check(parse("handler_type: mapper"))
    module = '"""**\nhandler_type: reducer\n"""\ndef handler(key, values):\n    yield key, 1\n'
    source.check(source.parse("demo", "count", "python", module))


def test_check_refuses_a_syntax_error() -> None:
    handler = source.parse("demo", "count", "python", python("handler_type: mapper") + "yield (")
    with pytest.raises(InvalidInput, match=r"handler count: .*, line 9"):
        source.check(handler)


@pytest.mark.parametrize("source_code", ["", " \n"])
def test_a_handler_without_source_is_refused(source_code: str) -> None:
    with pytest.raises(InvalidInput, match="must not be empty"):
        source.check(
            model.Handler(
                workflow_name="w",
                handler_name="h",
                description="",
                handler_type="mapper",
                source_code=source_code,
            )
        )


@pytest.mark.parametrize("text", ["x\r\n", "\ufeffx", "\u2028é\x00"])
def test_source_that_is_written_is_read_as_it_was(tmp_path: Path, text: str) -> None:
    path = tmp_path / "h.sh"
    path.write_bytes(source.write(text))
    assert source.read(path) == text
