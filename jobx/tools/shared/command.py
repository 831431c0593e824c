"""Shared by all commands: options, settings, access to the store and to a running node."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar, overload

import click

from jobx import config_loading, model, mr_variables
from jobx.config import Settings
from jobx.errors import InvalidInput, JobxError, NodeUnreachable, NotFound, quote
from jobx.handlers.blobs.opening import shared_blobs
from jobx.kv.data_folder import check_usable
from jobx.kv.entities.entities import Entities
from jobx.kv.opening import is_here, open_store
from jobx.kv.store import Store
from jobx.questions import RefreshLibrary
from jobx.tools.shared import completion, render, request_ids, setting_sources
from jobx.tools.shared.gateway_client import GatewayClient

#: What a command has told, in the context of click.
_TOLD: Final = f"{__name__}.told"
_NO_FLAGS: Final[Mapping[str, str]] = MappingProxyType({})

Body = Callable[..., int | None]
C = TypeVar("C", bound=click.Command)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a command.

    Attributes:
        settings: What holds.
        as_json: Whether it answers with JSON.
        config_file: The file that was named for its settings.
        flags: Settings that options gave, by dotted name; None for those that were not given.
    """

    settings: Settings
    as_json: bool
    config_file: Path | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)

    def sources(self) -> dict[str, str]:
        """Return where settings come from; those that are not in it are defaults."""
        path = config_loading.file_of(self.config_file, os.environ)
        return setting_sources.sources(path, os.environ, self.flags)

    def find_store(self) -> None:
        """Check that there is a store, where that can be told without asking it.

        Raises:
            NotFound: It does not exist.
            StoreRefused: This user may not enter its folder.
        """
        _tell_of_another_store()
        path, folder = self.settings.store_path, self.settings.data_dir
        if not is_here(self.settings):
            return
        if not os.access(folder, os.X_OK):
            check_usable(folder)
        if not os.path.exists(path):
            hint = "name its folder with --data, or create one with jobx workflow create"
            raise NotFound("store", f"{path}; {hint}")

    @contextmanager
    def store(self, *, create: bool = False) -> Iterator[Store]:
        """Open the store for the length of a ``with``; a node may run on it meanwhile.

        At the end that node knows every change of entities, even if the block failed.

        Raises:
            NotFound: It does not exist, and ``create`` is false.
            StoreRefused: It cannot be opened.
            StoreUnavailable: It does not answer.
        """
        if create:
            _tell_of_another_store()
        else:
            self.find_store()
        shared = shared_blobs(self.settings.blobs)
        with closing(open_store(self.settings, shared)) as store:
            entities = Entities(store)
            before = entities.states()
            try:
                yield store
            finally:
                if entities.states() != before:
                    self._tell_node()

    @contextmanager
    def entities(self, *, create: bool = False) -> Iterator[Entities]:
        """Open the store's entities for the length of a ``with``; raises as ``store``."""
        with self.store(create=create) as store:
            yield Entities(store)

    @contextmanager
    def examples(self) -> Iterator[Callable[[model.Handler], None]]:
        """Yield a function that runs a handler's examples; it raises InvalidInput if one fails."""
        from jobx.handlers.trial.examples import checking  # noqa: PLC0415 - few commands run any

        with checking(self.settings, os.environ) as check:
            yield check

    def gateway(self) -> GatewayClient:
        """Connect to the node that runs on the data folder; raises NodeUnreachable."""
        return GatewayClient(self.settings.gateway_path)

    def _tell_node(self) -> None:
        """Make a running node read the changes, so that its next answer includes them."""
        try:
            with self.gateway() as gateway:
                gateway.call(RefreshLibrary())
        except NodeUnreachable:
            pass  # a node reads everything when it starts
        except JobxError as error:
            render.complain(f"stored, but the node may not know of it yet: {error}")


def _tell_of_another_store() -> None:
    """Say, once a command, which variables seem to name a store and do not."""
    context = click.get_current_context(silent=True)
    meta = {} if context is None else context.meta
    if not meta.get(_TOLD):
        meta[_TOLD] = True
        for note in mr_variables.store_notes(os.environ):
            render.complain(note)


@overload
def command(
    group: click.Group | None,
    name: str,
    *,
    example: str,
    flags: Mapping[str, str] = ...,
    cls: type[C],
    **attributes: Any,
) -> Callable[[Body], C]: ...


@overload
def command(
    group: click.Group | None,
    name: str,
    *,
    example: str,
    flags: Mapping[str, str] = ...,
    **attributes: Any,
) -> Callable[[Body], click.Command]: ...


def command(
    group: click.Group | None,
    name: str,
    *,
    example: str,
    flags: Mapping[str, str] = _NO_FLAGS,
    **attributes: Any,
) -> Callable[[Body], Any]:
    """Make a function a command; it takes a ``Call`` and its own parameters.

    Args:
        group: The group that it joins, or None.
        name: Its name.
        example: An example for its help, without the leading ``jobx``.
        flags: Parameters that are settings, by dotted name; the function does not get them.
        attributes: Further attributes of the click command.
    """
    register = group.command if group else click.command

    def decorate(body: Body) -> Any:
        call = _with_options(_settled(body, flags))
        made = register(name, epilog=f"\b\nExample:\n  jobx {example}", **attributes)(call)
        completion.add_to(made, name if group is None else str(group.name))
        return made

    return decorate


def takes(*names: str) -> Callable[[Body], Body]:
    """Give a command arguments of these names, all of them needed."""

    def decorate(body: Body) -> Body:
        for name in reversed(names):
            body = click.argument(name)(body)
        return body

    return decorate


def _settled(body: Body, flags: Mapping[str, str]) -> Body:
    @functools.wraps(body)
    def call(
        data: str | None, config_file: Path | None, as_json: bool, debug: bool, **words: Any
    ) -> int | None:
        del debug  # the entry point reads it, because errors may come before this
        given = {dotted: words.pop(word) for word, dotted in flags.items()}
        _check_text(words)
        given["node.data_dir"] = data
        settings = config_loading.load(config_file, os.environ, given)
        shared = Call(settings, as_json, config_file, given)
        return body(shared, **_with_whole_ids(shared, words))

    return call


def _check_text(words: Mapping[str, Any]) -> None:
    """Check that the words of a command are text; those of paths may have other bytes.

    Raises:
        InvalidInput: One is not.
    """
    for param in click.get_current_context().command.params:
        if isinstance(param.type, click.types.StringParamType):
            given = words.get(param.name or "")
            for word in given if isinstance(given, tuple) else (given or "",):
                try:
                    word.encode()
                except UnicodeEncodeError as error:
                    where = param.human_readable_name
                    raise InvalidInput(where, quote(word), "must be text in UTF-8") from error


def _with_whole_ids(call: Call, words: dict[str, Any]) -> dict[str, Any]:
    """Return the words of a command with the whole ids of the requests that they name."""
    several = words.get("request_ids")
    if several is None and "request_id" not in words:
        return words
    typed = request_ids.typed(several if several is not None else (words["request_id"],))
    if not all(map(request_ids.is_whole, typed)):
        with call.store() as store:
            typed = [request_ids.find(store, words["workflow"], one) for one in typed]
    if several is not None:
        return {**words, "request_ids": tuple(typed)}
    if len(typed) > 1:
        raise InvalidInput("stdin", f"{len(typed)} request ids", "this command takes one")
    return {**words, "request_id": typed[0]}


def _with_options(call: Body) -> Body:
    shared = (
        click.option("--data", metavar="DIR", help="Data folder (setting node.data_dir)."),
        click.option(
            "--config",
            "config_file",
            metavar="FILE",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Settings, a TOML file (or JOBX_CONFIG).",
        ),
        click.option("--json", "as_json", is_flag=True, help="Answer with JSON."),
        click.option("--debug", is_flag=True, help="Show where an error came from."),
    )
    for option in reversed(shared):
        call = option(call)
    return call
