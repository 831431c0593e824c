"""Collects the settings that are wrong, so that all of them are named together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from jobx.errors import ConfigError, SettingsRefused


@contextmanager
def collect(wrong: list[ConfigError]) -> Iterator[None]:
    """Keep the ConfigError of a ``with`` in a list, instead of raising it."""
    try:
        yield
    except ConfigError as error:
        wrong.append(error)


def refuse(wrong: Sequence[ConfigError]) -> None:
    """Raise what was collected, if anything.

    Raises:
        ConfigError: One setting is wrong.
        SettingsRefused: Several are.
    """
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        raise SettingsRefused("\n".join(map(str, wrong)))
