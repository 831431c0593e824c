"""``jobx handler test`` and ``jobx handler new``: work on a handler before it is stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import click
import msgspec

from jobx import amounts, meanings, model, values
from jobx.errors import InvalidInput
from jobx.handlers.authoring.templates import starting_file
from jobx.handlers.trial.examples import EXAMPLE_LIMIT_S, check_all, groups_in, pairs_in
from jobx.handlers.trial.single_run import Trial, TrialResult, load
from jobx.tools.shared import render
from jobx.tools.shared.command import Call, command
from jobx.tools.shared.parsing import parse_arguments, parse_json


def add_trial_commands(group: click.Group) -> None:
    """Add ``test`` and ``new`` to the group of handlers."""
    command(group, "test", example='handler test count_words.py -a text="to be or not to be"')(
        _test
    )
    command(group, "new", example="handler new --type reducer > add_up.py")(_new)


@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-a",
    "--argument",
    "arguments",
    multiple=True,
    metavar="NAME=VALUE",
    help="For a mapper: an argument of the request; VALUE is JSON, or else text.",
)
@click.option("--pair", metavar="JSON", help="For a mapper: the mapped pair, [key, value].")
@click.option(
    "--results", metavar="JSON", help="For a combiner or reducer: a list of [key, [value, …]]."
)
@click.option(
    "--session", multiple=True, metavar="KEY=VALUE", help="For a reducer: what the mapper left."
)
@click.option("--workflow", help="The workflow whose scope and shared files it gets.")
@click.option(
    "--pdb", is_flag=True, help="Debug it here: at breakpoint(), and where it fails. Python only."
)
def _test(
    call: Call,
    *,
    file: Path,
    workflow: str | None,
    arguments: tuple[str, ...],
    pair: str | None,
    results: str | None,
    session: tuple[str, ...],
    pdb: bool,
) -> int:
    """Run one handler file in a separate process.

    It needs no node and no store. It shows the yielded pairs, the session and the output. Without
    input it runs the examples of the handler.
    """
    handler = load(file)
    if workflow is not None:
        name = model.check_name("workflow", workflow)
        handler = msgspec.structs.replace(handler, workflow_name=name)
    _check_fit(handler, mapper=bool(arguments or pair), other=bool(results or session))
    if pdb:
        _check_debugged(call, handler)
    runs_examples = bool(handler.examples) and not (arguments or pair or results)
    limit_s = EXAMPLE_LIMIT_S if runs_examples else None
    with Trial(call.settings, os.environ, limit_s, file=file, is_debugged=pdb) as trial:
        if runs_examples:
            check_all(trial, handler)
            _say_examples(call, len(handler.examples))
            return meanings.OK
        if handler.handler_type == "mapper":
            result = _mapped(trial, handler, arguments, pair)
        else:
            grouped = groups_in("--results", parse_json("--results", results or "[]"))
            result = trial.reduce(handler, grouped, parse_arguments("--session", session))
    _say(call, result)
    return meanings.OK if result.failure is None else meanings.FAILED


@click.option(
    "--type",
    "handler_type",
    type=click.Choice(get_args(model.HandlerType)),
    default="mapper",
    show_default=True,
    help="What it is.",
)
@click.option(
    "--language", default="python", show_default=True, help="The language of the handler."
)
def _new(call: Call, *, handler_type: model.HandlerType, language: str) -> None:
    """Write a template of a handler to stdout."""
    del call
    render.say(starting_file(language, handler_type).rstrip("\n"))


def _mapped(
    trial: Trial, handler: model.Handler, arguments: tuple[str, ...], pair: str | None
) -> TrialResult:
    if pair is None:
        return trial.map(handler, arguments=parse_arguments("-a", arguments))
    (mapped,) = pairs_in("--pair", [parse_json("--pair", pair)])
    return trial.map(handler, pair=mapped)


def _check_fit(handler: model.Handler, *, mapper: bool, other: bool) -> None:
    """Refuse input for another type of handler."""
    if handler.handler_type == "mapper" and other:
        raise InvalidInput("option", "--results or --session", "a mapper takes -a or --pair")
    if handler.handler_type != "mapper" and mapper:
        raise InvalidInput("option", "-a or --pair", f"a {handler.handler_type} takes --results")


def _check_debugged(call: Call, handler: model.Handler) -> None:
    """Refuse to debug what Python's debugger cannot, or where its words would be mistaken."""
    if handler.source_type != "python":
        raise InvalidInput("option", "--pdb", f"debugs Python; this is {handler.source_type}")
    if call.as_json:
        raise InvalidInput("option", "--pdb", "talks on the standard output: leave out --json")


def _say_examples(call: Call, count: int) -> None:
    if call.as_json:
        render.say_json({"examples": count})
    else:
        render.say(f"{amounts.count(count, 'example')} {'holds' if count == 1 else 'hold'}")


def _say(call: Call, result: TrialResult) -> None:
    if call.as_json:
        render.say_json(
            {
                "pairs": values.to_jsonable(result.yielded),
                "step": result.step,
                "output": result.output,
                "session": values.to_jsonable(result.session),
                "failure": msgspec.to_builtins(result.failure),
            }
        )
        return
    if result.step is not None:
        render.say(f"maps to {result.step}:")
    for pair in result.yielded:
        render.say(render.to_json(values.to_jsonable(pair), indent=None))
    if result.session:
        render.say(f"session: {render.to_json(values.to_jsonable(result.session), indent=None)}")
    if result.output:
        render.say(f"output:\n{result.output.rstrip()}")
    if result.failure is not None:
        render.say(f"{result.failure.traceback}failed: {render.failure(result.failure)}")
