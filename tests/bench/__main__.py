"""``python -m tests.bench``: JobX beside its peers and its floors, at the same works, here.

Nothing here fails because it is slow; a wrong result does.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from tests.bench import cluster, environment, history, languages, table, text, works
from tests.bench.figures import Figure, median
from tests.bench.running import Runner
from tests.support import compiled


class _Names(click.ParamType):
    """Some of a list of names, comma separated."""

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        self.name = name
        self._known = known

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        names = str(value).split(",") if value != "all" else list(self._known)
        if unknown := set(names) - set(self._known):
            self.fail(f"{', '.join(sorted(unknown))}: choose from {', '.join(self._known)}")
        return [name for name in self._known if name in names]


#: Columns of a table that goes to a file.
_WIDTH = 140
_PEERS = _Names("peers", works.EVERYBODY)
_WORKS = _Names("works", tuple(works.WORKS))
_PATH = click.Path(path_type=Path)


@click.command()
@click.option("--peers", type=_PEERS, default="all", help="Who, comma separated.")
@click.option("--works", "wanted", type=_WORKS, default="all", help="What, comma separated.")
@click.option(
    "--languages/--no-languages", "languages_too", default=True, help="JobX's languages as well."
)
@click.option("--history/--no-history", "history_too", default=True, help="A node with a past.")
@click.option(
    "--nodes/--no-nodes", "nodes_too", default=True, help="Three nodes, on etcd and nsqd."
)
@click.option(
    "--compiled/--interpreted", "is_compiled", default=True, help="JobX with compiled executors."
)
@click.option("--quick", is_flag=True, help="Small sizes: to see that it works.")
@click.option("--json", "json_path", type=_PATH, default="build/bench.json", show_default=True)
@click.option("--peers-env", type=_PATH, default="build/bench-env", show_default=True)
@click.option("--compiled-folder", type=_PATH, default=compiled.FOLDER, show_default=True)
@click.option("--folder", type=_PATH, default="build/bench", show_default=True)
def main(
    *,
    peers: list[str],
    wanted: list[str],
    languages_too: bool,
    history_too: bool,
    nodes_too: bool,
    is_compiled: bool,
    quick: bool,
    json_path: Path,
    peers_env: Path,
    compiled_folder: Path,
    folder: Path,
) -> None:
    """Measure, print a table and write the figures, a JSON object a line."""
    # So that nothing that was started outlives this process.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    console = Console()
    if not console.is_terminal:
        console.width = _WIDTH
    folder = folder.absolute()
    with console.status("") as status:
        say = _sayer(console, status.update)
        pythons, skipped = environment.pythons(peers, peers_env.absolute(), say)
        source = compiled.ROOT
        if is_compiled and "jobx" in peers:
            source = _compiled(compiled_folder, say)
        say("writing the text")
        text.open_text(folder, (works.QUICK if quick else works.FULL).text_mb)
        found = list(Runner(pythons, source, folder, quick).run(wanted, say))
        with_languages = "jobx" in peers and languages_too
        by_language = list(languages.measure(200 if quick else 2000)) if with_languages else []
        with_history = "jobx" in peers and history_too
        past = list(history.measure(folder, list(history.ROWS), quick)) if with_history else []
        with_nodes = "jobx" in peers and nodes_too
        lacking = cluster.missing() if with_nodes else []
        if lacking:
            skipped[cluster.THREE] = f"there is no {' and no '.join(lacking)}"
        is_whole = with_nodes and not lacking
        nodes = list(cluster.measure(folder, list(cluster.ROWS), quick)) if is_whole else []
    figures = median(item for item in found if isinstance(item, Figure))
    failures = [item for item in found if isinstance(item, str)]
    json_path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{figure.to_json()}\n" for figure in (*figures, *by_language, *past, *nodes)]
    json_path.write_text("".join(lines))
    for shown in (works.PEERS, (*works.FLOORS, *works.ENGINES)):
        if any(figure.peer in shown for figure in figures):
            console.print(table.draw(figures, shown))
    if by_language:
        console.print(languages.draw(by_language))
    if past:
        console.print(history.draw(past))
    if nodes:
        console.print(cluster.draw(nodes))
    notes = [f"{peer} was skipped: {reason}" for peer, reason in skipped.items()]
    for note in [*notes, *failures, f"figures are in {json_path}"]:
        console.print(note, markup=False, highlight=False)
    sys.exit(1 if failures else 0)


def _compiled(folder: Path, say: Callable[[str], None]) -> Path:
    """Return where JobX is compiled, or its source when that cannot be done."""
    say("compiling JobX")
    try:
        return compiled.build(folder)
    except compiled.CompilerMissingError as error:
        say(f"JobX runs interpreted: {error}")
        return compiled.ROOT


def _sayer(console: Console, update: Callable[[str], None]) -> Callable[[str], None]:
    """Return what shows progress: in place on a terminal, else a line each."""
    if console.is_terminal:
        return lambda line: update(line.replace("[", "\\["))
    return lambda line: console.print(line, markup=False, highlight=False)


if __name__ == "__main__":
    main()
