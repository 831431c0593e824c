"""YAML restricted to JSON, for headers and workflow files: read with its lines, and written.

Scalars are those of the core schema, so words such as ``on`` and ``no`` are text. There are no
tags, no aliases and no repeated keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import yaml

from jobx import values

#: Keys and indexes that lead to a value.
Place: TypeAlias = tuple[str | int, ...]

#: Characters that YAML, or an editor, may take for an end of line, or for nothing.
_UNSEEN: Final = re.compile(r"[^\n -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd]")


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ValueError("aliases are not accepted")
        return super().compose_node(parent, index)

    def fetch_tag(self) -> None:
        raise ValueError(f"tags, which begin with '!', are not accepted (line {self.line + 1})")

    def fetch_flow_collection_start(self, token: type[yaml.Token]) -> None:
        # YAML compares each token with each open level.
        if self.flow_level >= values.MAX_DEPTH:
            raise ValueError(f"lists and maps nest deeper than {values.MAX_DEPTH}")
        super().fetch_flow_collection_start(token)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [(self.construct_object(key, deep=True), key) for key, _ in node.value]
        _refuse_repeats(keys)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


_Loader.yaml_implicit_resolvers = {}
_Dumper.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|)$", ["~", "n", ""]),
    ("bool", r"^(?:true|false)$", ["t", "f"]),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    (
        "float",
        r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?$",
        list("-+.0123456789"),
    ),
):
    for _kind in (_Loader, _Dumper):
        _kind.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def read(text: str) -> Any:
    """Return the value of a YAML text.

    Raises:
        ValueError: It is not YAML, or has more than JSON has; the message names the line.
    """
    return _read(text)[0]


def read_with_lines(text: str) -> tuple[Any, Mapping[Place, int]]:
    """Return the value of a YAML text, and by its place the line of each part, from 1.

    Raises:
        ValueError: See ``read``.
    """
    value, node = _read(text)
    return value, {} if node is None else dict(_lines(node))


def write(value: Any) -> str:
    """Return a JSON value as YAML that ``read`` reads as the same value, in the same order."""
    return yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=96, line_break="\n"
    )


def _read(text: str) -> tuple[Any, yaml.Node | None]:
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            return (None if node is None else loader.construct_document(node)), node
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        raise ValueError(f"{error.problem}{line}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("lists and maps nest too deep") from error


def _lines(root: yaml.Node) -> Iterator[tuple[Place, int]]:
    todo: list[tuple[Place, yaml.Node, int]] = [((), root, root.start_mark.line + 1)]
    while todo:
        place, node, line = todo.pop()
        yield place, line
        if isinstance(node, yaml.MappingNode):
            todo += [((*place, key.value), at, key.start_mark.line + 1) for key, at in node.value]
        elif isinstance(node, yaml.SequenceNode):
            todo += [((*place, n), at, at.start_mark.line + 1) for n, at in enumerate(node.value)]


def _refuse_repeats(keys: Iterable[tuple[Any, yaml.Node]]) -> None:
    seen: set[str] = set()
    for key, node in keys:
        if repr(key) in seen:
            raise ValueError(f"the key {key!r} is repeated (line {node.start_mark.line + 1})")
        seen.add(repr(key))


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _UNSEEN.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)
