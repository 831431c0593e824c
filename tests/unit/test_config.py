from __future__ import annotations

import os
import re
import typing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jobx.config import MAX_SOCKET_PATH_BYTES, Settings
from jobx.config_loading import load
from jobx.config_sections import Section
from jobx.errors import ConfigError, SettingsRefused
from tests.support.tables import check_each

SECTIONS = typing.get_type_hints(Settings)
FIELDS = [
    (section, name, kind, getattr(getattr(Settings(), section), name))
    for section in Settings.__struct_fields__
    for name, kind in typing.get_type_hints(SECTIONS[section]).items()
]


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "jobx.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _other(kind: Any, default: Any) -> tuple[str, Any]:
    """Return another value than the default that a setting may have: as text, and as it is."""
    if typing.get_origin(kind) is typing.Literal:
        chosen = next(one for one in typing.get_args(kind) if one != default)
        return chosen, chosen
    if typing.get_origin(kind) is tuple:
        slash = "/" if default and default[0].startswith("/") else ""
        return f"{slash}a, {slash}b", (f"{slash}a", f"{slash}b")
    if kind == dict[str, str]:
        return '{"a": "env:b"}', {"a": "env:b"}
    if typing.get_origin(kind) is dict:
        return '{"a": 1}', {"a": 1}
    if kind is bool:
        return ("false", False) if default else ("true", True)
    if kind is int:
        return str(default + 1), default + 1
    if kind is float:
        return ("7.5", 7.5) if default != 7.5 else ("8.5", 8.5)
    return "other", "other"


def test_every_setting_can_be_set_by_its_variable() -> None:
    def check(field: tuple[str, str, Any, Any]) -> None:
        section, name, kind, default = field
        text, expected = _other(kind, default)
        settings = load(None, {f"JOBX_{section}_{name}".upper(): text})
        assert getattr(getattr(settings, section), name) == expected
        changed = msgspec.structs.replace(getattr(settings, section), **{name: default})
        assert msgspec.structs.replace(settings, **{section: changed}) == Settings()

    check_each(FIELDS, check)


def test_every_wrong_setting_is_named_together(tmp_path: Path) -> None:
    path = _file(tmp_path, "[node]\nexecutors = 'x'\n[nod]\n[http]\nworkers = 0\nwork = 1\n")

    with pytest.raises(SettingsRefused) as raised:
        load(path, {"JOBX_NODE_LOG_LEVEL": "loud", "JOBX_QX": "1"})

    named = [line.split()[1] for line in str(raised.value).split("\n")]
    assert named == [
        *("node.executors:", "node.log_level:", "nod:", "http.workers:", "http.work:", "JOBX_QX:")
    ]


NUMBERS = [field for field in FIELDS if field[2] in (int, float)]


def test_every_number_has_a_least_and_a_most_and_says_so() -> None:
    def check(field: tuple[str, str]) -> None:
        said = rf"^setting {field[0]}\.{field[1]}: must be .*at most"
        for text in ("-1", "9223372036854775808", "1e300", "inf", "nan", "many"):
            with pytest.raises(ConfigError, match=said):
                load(None, {f"JOBX_{field[0]}_{field[1]}".upper(): text})

    check_each([field[:2] for field in NUMBERS], check)


def test_nothing_said_means_the_defaults() -> None:
    assert load(None, {"PATH": "/bin", "ELSEWHERE_X": "1"}) == Settings()


def test_flags_come_before_variables_and_these_before_the_file(tmp_path: Path) -> None:
    path = _file(tmp_path, "[http]\nbind = 'file'\nworkers = 2\nmax_page = 3\n")
    environ = {"JOBX_HTTP_BIND": "variable", "JOBX_HTTP_WORKERS": "4"}
    http = load(path, environ, {"http.bind": "flag"}).http
    assert (http.bind, http.workers, http.max_page) == ("flag", 4, 3)


def test_a_flag_that_was_not_given_changes_nothing() -> None:
    assert load(None, {}, {"http.bind": None}) == Settings()


def test_a_variable_names_the_file_unless_one_is_given(tmp_path: Path) -> None:
    named = _file(tmp_path, "[node]\ndata_dir = 'named'\n")
    given = tmp_path / "given.toml"
    given.write_text("[node]\ndata_dir = 'given'\n", encoding="utf-8")
    environ = {"JOBX_CONFIG": str(named)}
    assert load(None, environ).node.data_dir == "named"
    assert load(given, environ).node.data_dir == "given"
    assert load(None, {"JOBX_CONFIG": ""}) == Settings()


@pytest.mark.parametrize(
    ("text", "capabilities"),
    [
        ("gpu", ("gpu",)),
        ("gpu,general", ("gpu", "general")),
        (" gpu , , big ", ("gpu", "big")),
        ("", ()),
        (",", ()),
    ],
)
def test_a_list_is_set_by_text_with_commas(text: str, capabilities: tuple[str, ...]) -> None:
    assert load(None, {"JOBX_NODE_CAPABILITIES": text}).node.capabilities == capabilities


@pytest.mark.parametrize(
    ("text", "setting"),
    [
        ("[node]\nexecutors = -1", "node.executors"),
        ("[node]\nexecutors = 'many'", "node.executors"),
        ("[node]\nexecutors = 1.5", "node.executors"),
        ("[node]\nlog_level = 'loud'", "node.log_level"),
        ("[node]\ncapabilities = 'gpu'", "node.capabilities"),
        ("[node]\ncolour = 'red'", "node.colour"),
        ("[http]\nworkers = 0", "http.workers"),
        ("[http]\nmax_wait_s = inf", "http.max_wait_s"),
        ("[http]\nmax_wait_s = nan", "http.max_wait_s"),
        ("[requests]\nlost_attempts = 0", "requests.lost_attempts"),
        ("[executors]\nenvironment = [1]", "executors.environment"),
        ("[scope.factories]\nw = 'no_colon'", "scope.factories"),
        ("[scope.secrets]\ntoken = 'the secret itself'", "scope.secrets"),
        ("[notify]\nhttp_key = 'whsec_!'", "notify.http_key"),
        ("[results]\nhttp_key = 'whsec_AAAA whsec_A'", "results.http_key"),
        ("[kitchen]\nsink = 1", "kitchen"),
        ("node = 5", "node"),
        ("[[node]]\nexecutors = 1", "node"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(tmp_path: Path, text: str, setting: str) -> None:
    with pytest.raises(ConfigError, match=rf"^setting {setting}: ") as raised:
        load(_file(tmp_path, text), {"JOBX_NODE_DATA_DIR": "x"})
    assert raised.value.args[0] == setting


@pytest.mark.parametrize(
    ("variable", "text", "setting"),
    [
        ("JOBX_NODE_EXECUTORS", "many", "node.executors"),
        ("JOBX_NODE_EXECUTORS", "", "node.executors"),
        ("JOBX_NODE_COLOUR", "red", "node.colour"),
        ("JOBX_HTTP_MAX_WAIT_S", "inf", "http.max_wait_s"),
        ("JOBX_HTTP_MAX_WAIT_S", "0", "http.max_wait_s"),
        ("JOBX_STORE_MAX_WRITES", "127", "store.max_writes"),
    ],
)
def test_a_wrong_variable_is_refused_by_the_name_of_its_setting(
    variable: str, text: str, setting: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^setting {setting}: "):
        load(None, {variable: text})


def test_a_wrong_flag_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigError, match=r"^setting http\.workers: "):
        load(None, {}, {"http.workers": 0})


@pytest.mark.parametrize("body", [b"[node", b"\xff", None])
def test_a_file_that_cannot_be_read_is_refused_with_its_path(
    tmp_path: Path, body: bytes | None
) -> None:
    path = tmp_path / "jobx.toml"
    if body is not None:
        path.write_bytes(body)
    with pytest.raises(ConfigError, match=r"jobx\.toml"):
        load(path, {})


def test_paths_are_in_the_data_folder() -> None:
    settings = load(None, {"JOBX_NODE_DATA_DIR": "/srv/jobx"})
    assert settings.store_path == Path("/srv/jobx/jobx.sqlite")
    assert settings.gateway_path == Path("/srv/jobx/gateway.sock")


def test_the_data_folder_is_absolute_and_knows_the_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load(None, {"JOBX_NODE_DATA_DIR": "~/x"}).data_dir == Path("/home/somebody/x")
    assert Settings().data_dir == Path.cwd() / "jobx-data"


@pytest.mark.parametrize("length", [50, 90, 95, 100, 200, 4000])
def test_the_path_of_the_gateway_is_never_too_long_for_a_socket(length: int) -> None:
    folder = "/" + "d" * (length - 1)
    path = load(None, {"JOBX_NODE_DATA_DIR": folder}).gateway_path
    assert len(os.fsencode(path)) <= MAX_SOCKET_PATH_BYTES
    assert path == load(None, {"JOBX_NODE_DATA_DIR": folder}).gateway_path


def test_long_data_folders_have_gateways_of_their_own() -> None:
    folders = [f"/{'d' * 200}/{n}" for n in range(3)]
    paths = {load(None, {"JOBX_NODE_DATA_DIR": folder}).gateway_path for folder in folders}
    assert len(paths) == 3


def test_no_number_of_executors_means_one_for_each_processor() -> None:
    assert Settings().executor_count == os.cpu_count()
    assert load(None, {"JOBX_NODE_EXECUTORS": "3"}).executor_count == 3


def test_every_section_refuses_unknown_fields() -> None:
    for kind in SECTIONS.values():
        assert issubclass(kind, Section)
        assert kind.__struct_config__.forbid_unknown_fields


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("JOBX_DATA_DIR", "JOBX_NODE_DATA_DIR"),
        ("JOBX_NOD_DATA_DIR", "JOBX_NODE_DATA_DIR"),
        ("JOBX_BIND", "JOBX_HTTP_BIND"),
        ("JOBX_NODE_EXECUTOR", "executors"),
        ("JOBX_CONFIGURATION", "JOBX_CONFIG"),
        ("JOBX_NODE", "no such setting"),
    ],
)
def test_a_variable_that_means_nothing_is_refused_with_the_name_that_is_near(
    variable: str, near: str
) -> None:
    with pytest.raises(ConfigError, match=near):
        load(None, {variable: "1"})


def test_a_variable_that_is_near_nothing_is_refused_by_its_name() -> None:
    with pytest.raises(ConfigError, match="JOBX_QQXXZZ"):
        load(None, {"JOBX_QQXXZZ": "1"})


@pytest.mark.parametrize("variable", ["JOBX_CONFIG", "JOBX_REQUIRE_SERVICES", "JOBX_WORKFLOW"])
def test_a_variable_that_is_no_setting_is_left_alone(variable: str) -> None:
    load(None, {variable: ""})


def test_a_variable_that_a_setting_names_may_be_called_anything() -> None:
    secrets = {"JOBX_SCOPE_SECRETS": '{"key": "env:JOBX_MY_KEY"}', "JOBX_MY_KEY": "k"}
    seen = {"JOBX_EXECUTORS_ENVIRONMENT": "PATH,JOBX_STAGE", "JOBX_STAGE": "test"}
    load(None, {**secrets, **seen})


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 5000, "a = " + "9" * 5000, "#" * 300_000, "a" + ".a" * 5000 + " = 1"],
    ids=["deep", "digits", "large", "dots"],
)
def test_a_file_beyond_what_can_be_read_is_refused_by_its_name(text: str, tmp_path: Path) -> None:
    path = tmp_path / "jobx.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(str(path))):
        load(path, {})


@pytest.mark.parametrize(
    ("variable", "text", "setting"),
    [
        ("JOBX_NODE_DATA_DIR", "", "node.data_dir"),
        ("JOBX_NODE_DATA_DIR", "d\udcff", "node.data_dir"),
        ("JOBX_NODE_DATA_DIR", "d\0", "node.data_dir"),
        ("JOBX_MAIL_SENDER", "a\udcff@b", "mail.sender"),
        ("JOBX_SCOPE_PATH", "/a,/b\udcff", "scope.path"),
    ],
)
def test_bytes_that_are_no_text_are_refused_by_the_name_of_their_setting(
    variable: str, text: str, setting: str
) -> None:
    with pytest.raises(ConfigError, match=f"^setting {setting}: "):
        load(None, {variable: text})


def test_a_data_folder_below_a_folder_whose_name_is_no_text_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "\udcff").mkdir()
    monkeypatch.chdir(tmp_path / "\udcff")
    with pytest.raises(ConfigError, match="data_dir: must be a path in UTF-8"):
        load(None, {})
    assert load(None, {}, {"node.data_dir": str(tmp_path)}).data_dir == tmp_path
