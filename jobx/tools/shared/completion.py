"""What a shell may complete: names in the store, for the parameters that take them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from jobx import config_loading, model
from jobx.errors import JobxError
from jobx.kv import opening
from jobx.kv.entities.entities import Entities
from jobx.kv.requests import request_pages
from jobx.kv.store import Store
from jobx.tools.shared.request_ids import LATEST

#: Most names that are offered.
_MOST: Final = 200

#: Returns names; gets the store and the other words of the command.
Names = Callable[[Store, dict[str, Any]], Iterable[str]]


class Named(StringParamType):
    """A text that names something in the store."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return what may stand here; nothing where the store cannot be read."""
        del param
        try:
            found = _offered(ctx.params, self._names)
        except (JobxError, OSError):
            return []
        fitting = (name for name in found if name.startswith(incomplete))
        return [CompletionItem(name) for name in islice(fitting, _MOST)]


def add_to(command: click.Command, noun: str) -> None:
    """Make the parameters of a noun's command complete what they name."""
    for param in command.params:
        word = noun if param.name == "name" and command.name != "create" else param.name
        names = _NAMES.get(f"{noun} {word}") or _NAMES.get(word or "")
        if names is not None and param.type is click.STRING:
            param.type = Named(names)


def _offered(words: dict[str, Any], names: Names) -> list[str]:
    path = words.get("config_file")
    flags = {"node.data_dir": words.get("data")}
    settings = config_loading.load(path and Path(path), os.environ, flags)
    if opening.is_here(settings) and not settings.store_path.exists():
        return []
    store = opening.open_store(settings)
    try:
        return list(names(store, words))
    finally:
        store.close()


def _entities(kind: type[model.Job | model.Step | model.Handler]) -> Names:
    def names(store: Store, words: dict[str, Any]) -> Iterator[str]:
        for entity in Entities(store).list(kind, words.get("workflow"), []):
            yield getattr(entity, f"{kind.__name__.lower()}_name")

    return names


def _workflows(store: Store, _: dict[str, Any]) -> Iterator[str]:
    for one in Entities(store).list(model.Workflow, damaged=[]):
        yield one.workflow_name


def _jobs_everywhere(store: Store, _: dict[str, Any]) -> Iterator[str]:
    for one in Entities(store).list(model.Job, damaged=[]):
        yield f"{one.workflow_name}/{one.job_name}"


def _requests(store: Store, words: dict[str, Any]) -> Iterator[str]:
    found, _ = request_pages.page(store, words.get("workflow") or "", limit=_MOST, damaged=[])
    yield LATEST
    for one in found:
        yield one.request_id


_HANDLERS: Final = _entities(model.Handler)
#: What a parameter of a name may be; ``name`` is that of the command's own noun.
_NAMES: Final[dict[str, Names]] = {
    "workflow": _workflows,
    "run job": _jobs_everywhere,
    "job": _entities(model.Job),
    "step": _entities(model.Step),
    "steps": _entities(model.Step),
    "handler": _HANDLERS,
    "mapper": _HANDLERS,
    "combiner": _HANDLERS,
    "reducer": _HANDLERS,
    "old": _HANDLERS,
    "new": _HANDLERS,
    "request_id": _requests,
    "request_ids": _requests,
}
