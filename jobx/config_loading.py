"""Loads settings from a TOML file, old variables, ``JOBX_*`` variables and flags.

Each overrides those before it, and all override the defaults. A setting ``name`` of section
``[part]`` is the variable ``JOBX_PART_NAME``. Every wrong setting is refused by its name.
"""

from __future__ import annotations

import difflib
import json
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from jobx import mr_variables, refusals, setting_types
from jobx.config import ENV_PREFIX, OTHER_VARIABLES, Settings
from jobx.config_sections import Section, is_secret
from jobx.errors import ConfigError, quote

#: Most of a file of settings.
MAX_CHARACTERS: Final = 256 << 10
MAX_DOTS: Final = 4096


def load(
    path: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> Settings:
    """Return the settings.

    Args:
        path: A TOML file, or None for the file of ``JOBX_CONFIG``, if any.
        environ: The environment, for ``JOBX_*`` variables and those of mr (``mr_variables``).
        flags: Settings by dotted name (``node.data_dir``); None values are ignored.

    Raises:
        ConfigError: The file cannot be read, or a setting is unknown or wrong.
        SettingsRefused: Several are.
    """
    path = file_of(path, environ)
    tree: dict[str, dict[str, Any]] = read_file(path) if path else {}
    wrong: list[ConfigError] = []
    for section, name, _, text in variables(environ):
        with refusals.collect(wrong):
            tree.setdefault(section, {})[name] = _parse(section, name, text)
    for dotted, value in (flags or {}).items():
        if value is not None:
            section, _, name = dotted.partition(".")
            tree.setdefault(section, {})[name] = value
    settings = _convert(tree, wrong)
    with refusals.collect(wrong):
        _check_data_dir(settings)
    _refuse_unknown(environ, settings, wrong)
    refusals.refuse(wrong)
    return settings


def file_of(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the file of settings: the given one, that of ``JOBX_CONFIG``, or None."""
    if path is None and environ.get("JOBX_CONFIG"):
        return Path(environ["JOBX_CONFIG"])
    return path


def _check_data_dir(settings: Settings) -> None:
    """Check the name of the data folder; it begins with the current folder, unless it is whole."""
    if not settings.node.data_dir:
        reason = "must not be empty; the current folder is '.'"
        raise ConfigError("node.data_dir", "''", reason)
    path = str(settings.data_dir)
    if not _is_text(path):
        raise ConfigError("node.data_dir", quote(path), "must be a path in UTF-8")


def _refuse_unknown(
    environ: Mapping[str, str], settings: Settings, wrong: list[ConfigError]
) -> None:
    """Refuse unknown ``JOBX_*`` variables: most are misspelled settings."""
    named = {source.removeprefix("env:") for source in settings.scope.secrets.values()}
    others = OTHER_VARIABLES | named | set(settings.executors.environment)
    known = {
        f"{ENV_PREFIX}{section}_{name}".upper()
        for section in settings.__struct_fields__
        for name in getattr(settings, section).__struct_fields__
    }
    of_sections = {
        variable for _, _, variable, _ in variables(environ)
    }  # they were refused as such
    wrong += [
        ConfigError(variable, "a variable", _unknown(variable, known))
        for variable in sorted(environ)
        if variable.startswith(ENV_PREFIX)
        and variable not in known | others
        and variable not in of_sections
    ]


def _unknown(name: str, known: Iterable[str]) -> str:
    """Return the error for an unknown name, with the most similar name."""
    names = sorted([*known, f"{ENV_PREFIX}CONFIG"])
    tail = name.removeprefix(ENV_PREFIX)
    near = [one for one in names if one.endswith(f"_{tail}")]
    near += difflib.get_close_matches(name, names, 1)
    return f"no such setting; is it {near[0]}?" if near else "no such setting"


def read_file(path: Path) -> dict[str, dict[str, Any]]:
    """Return what a file of settings says, by section and name.

    Raises:
        ConfigError: It cannot be read, or has no such form.
    """
    try:
        with path.open(encoding="utf-8") as file:
            tree = _tree(file.read(MAX_CHARACTERS + 1))
    except (OSError, ValueError, RecursionError) as error:  # both of text and of TOML
        raise ConfigError("file", str(path), str(error)) from error
    for section, fields in tree.items():
        if not isinstance(fields, dict):
            raise ConfigError(section, quote(fields), "must be a section of settings")
    return tree


def _tree(text: str) -> dict[str, Any]:
    """Return what TOML says; limits keep it quick, as a key's time grows by the square of its dots.

    Raises:
        ValueError, RecursionError: It is none, or too large.
    """
    if len(text) > MAX_CHARACTERS or text.count(".") > MAX_DOTS:
        most = f"{MAX_CHARACTERS} characters and {MAX_DOTS} dots"
        raise ValueError(f"it may have at most {most}")
    return tomllib.loads(text)


def variables(environ: Mapping[str, str]) -> list[tuple[str, str, str, str]]:
    """Return section, name, variable and text of each setting in an environment, in their order."""
    sections = {part.upper(): part for part in Settings.__struct_fields__}
    found = []
    for setting, text in mr_variables.settings(environ):
        section, _, name = setting.partition(".")
        found.append((section, name, "a variable of mr", text))
    for variable, text in sorted(environ.items()):
        head, _, name = variable.removeprefix(ENV_PREFIX).partition("_")
        if variable.startswith(ENV_PREFIX) and head in sections and name:
            found.append((sections[head], name.lower(), variable, text))
    return found


def _parse(section: str, name: str, text: str) -> object:
    kinds = typing.get_type_hints(typing.get_type_hints(Settings)[section])
    kind = typing.get_origin(kinds.get(name))
    if kind is tuple:
        return [item.strip() for item in text.split(",") if item.strip()]
    return _parse_table(section, name, text) if kind is dict else text


def _parse_table(section: str, name: str, text: str) -> object:
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{section}.{name}", _shown(name, text), "must be JSON") from error


def _convert(tree: Mapping[str, dict[str, Any]], wrong: list[ConfigError]) -> Settings:
    parts: dict[str, Any] = {}
    kinds = typing.get_type_hints(Settings)
    for section, fields in tree.items():
        if section in kinds:
            parts[section] = _convert_section(section, kinds[section], fields, wrong)
        else:
            known = ", ".join(Settings.__struct_fields__)
            wrong.append(ConfigError(section, "a section", f"unknown; the sections are {known}"))
    return Settings(**parts)


def _convert_section(
    section: str, kind: type[Section], fields: Mapping[str, Any], wrong: list[ConfigError]
) -> Section:
    hints = typing.get_type_hints(kind, include_extras=True)
    checked = {}
    for name, value in fields.items():
        setting = f"{section}.{name}"
        if name not in hints:
            known = ", ".join(kind.__struct_fields__)
            near = difflib.get_close_matches(name, hints, 1)
            meant = f"is it {near[0]}? " if near else ""
            reason = f"unknown; {meant}[{section}] knows {known}"
            wrong.append(ConfigError(setting, quote(value), reason))
            continue
        if setting != "node.data_dir" and not _is_text(value):
            wrong.append(ConfigError(setting, _shown(name, value), "must be text in UTF-8"))
            continue
        try:
            checked[name] = msgspec.convert(value, hints[name], strict=not isinstance(value, str))
        except (msgspec.ValidationError, OverflowError):
            reason = f"must be {setting_types.described(hints[name])}"
            wrong.append(ConfigError(setting, _shown(name, value), reason))
    return kind(**checked)


def _is_text(value: object) -> bool:
    """Return whether text, or a list of it, is what other processes and files can be told."""
    if isinstance(value, list):
        return all(map(_is_text, value))
    if not isinstance(value, str):
        return True
    try:
        return b"\0" not in value.encode()
    except UnicodeEncodeError:
        return False


def _shown(name: str, value: object) -> str:
    return "a secret" if is_secret(name) else quote(value)
