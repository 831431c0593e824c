from __future__ import annotations

import re
import typing
from pathlib import Path

import pytest

from jobx import config_loading, mr_variables
from jobx.config import Settings
from jobx.errors import ConfigError
from jobx.mr_variables import VARIABLES
from jobx.tools.mr import SCRIPTS

MIGRATION = (Path(__file__).parents[2] / "docs" / "migration.md").read_text()
KINDS = typing.get_type_hints(Settings)
SETTINGS = [name for name, variable in VARIABLES.items() if variable.fate == "setting"]
UNUSED = [name for name, variable in VARIABLES.items() if variable.fate == "unused"]
REFUSED = [name for name, variable in VARIABLES.items() if variable.fate == "refused"]


@pytest.mark.parametrize("name", SETTINGS)
def test_old_variable_gives_a_setting_that_exists(name: str) -> None:
    section, _, field = VARIABLES[name].says.partition(".")
    assert field in KINDS[section].__struct_fields__


@pytest.mark.parametrize(
    ("environ", "setting", "value"),
    [
        ({"MR_WORKFLOW_NAMES": "a, b"}, "node.workflows", ("a", "b")),
        ({"MR_SYSTEM_CAPABILITIES": "general,gpu"}, "node.capabilities", ("general", "gpu")),
        ({"MR_LOG_FILEPATH": "/l"}, "node.log_path", "/l"),
        ({"MR_WORKFLOW_SCOPE_FACTORY_FQ_CLASS": "a.b.C"}, "scope.factories", {"*": "a.b:C"}),
        ({"MR_DO_CLEANUP_REQUESTS": "0"}, "requests.retention_s", 31_536_000.0),
        ({"MR_CLEANUP_MANDATORY_QUIET_PERIOD_S": "5"}, "requests.retention_s", 5.0),
        ({"MR_REMOTE_ADDR_HEADER": "HTTP_X_REAL_IP"}, "http.forwarded_header", "X-Real-Ip"),
        ({"MR_REMOTE_ADDR_HEADER": "REMOTE_ADDR"}, "http.forwarded_header", ""),
        ({"MR_RESULT_WRITER_FQ_CLASS": "mr.result_writers.file.FileW"}, "results.writer", "file"),
        ({"MR_RESULT_WRITER_FQ_CLASS": "mr.result_writers.file.FileW"}, "results.format", "mr"),
        (
            {"MR_RESULT_WRITER_FQ_CLASS": "mr.result_writers.file.FileW"},
            "results.file_path",
            "/tmp/mr_results",
        ),
        (
            {
                "MR_RESULT_WRITER_FQ_CLASS": "mr.result_writers.file.FileW",
                "MR_RESULT_FILE_WRITER_OUTPUT_PATH": "/r",
            },
            "results.file_path",
            "/r",
        ),
        ({"MR_RESULT_WRITER_FQ_CLASS": "mr.result_writers.http.HttpW"}, "results.format", "mr"),
        ({"MR_RESULT_WRITER_FQ_CLASS": "mr.result_writers.http.HttpW"}, "results.file_path", ""),
        (
            {"MR_RESULT_WRITER_FQ_CLASS": "mr.result_writers.inline.InlineW"},
            "results.format",
            "jobx",
        ),
        (
            {"MR_RESULT_EMAIL_WRITER_SUBJECT_TEMPLATE": "$5: %(job_name)s of %(workflow_name)s %%"},
            "results.email_subject",
            "$$5: ${job} of ${workflow} %",
        ),
        (
            {"MR_RESULT_EMAIL_WRITER_TEXT_BODY_TEMPLATE": "%(request_id)s\n"},
            "results.email_body",
            "${request_id}\n",
        ),
        (
            {"MR_LOG_EMAIL_HOOK": "1", "MR_LOG_EMAIL_TO": "a@b", "MR_LOG_EMAIL_SUBJECT": "x"},
            "notify.email_subject",
            "x",
        ),
        ({"MR_LOG_EMAIL_SUBJECT": "$5"}, "notify.email_subject", "$$5"),
        ({"MR_HANDLER_EMAIL_LOG_LEVEL": "WARN"}, "notify.email_level", "warning"),
        ({"MR_HANDLER_HTTP_LOG_LEVEL": "Fatal"}, "notify.http_level", "critical"),
        ({"MR_LOG_HTTP_HOOK": "1"}, "notify.http_format", "mr"),
        ({"MR_LOG_EMAIL_HOOK": "1", "MR_LOG_EMAIL_TO": "a@b"}, "notify.email_level", "info"),
        ({"MR_LOG_EMAIL_HOOK": "1", "MR_LOG_EMAIL_TO": "a@b"}, "mail.sender", "mapreduce@local"),
        ({"MR_LOG_EMAIL_HOOK": "1", "MR_LOG_EMAIL_TO": "a@b"}, "mail.encryption", "none"),
        ({"MR_EMAIL_SMTP_FROM_EMAIL": "a@b"}, "mail.encryption", "none"),
        (
            {"MR_EMAIL_SMTP_FROM_EMAIL": "a@b", "MR_EMAIL_SMTP_HOSTNAME": "mail.example.com"},
            "mail.encryption",
            "starttls",
        ),
        (
            {
                "MR_LOG_EMAIL_HOOK": "1",
                "MR_LOG_EMAIL_TO": "a@b",
                "MR_LOG_EMAIL_FROM": "c@d",
                "MR_HANDLER_EMAIL_LOG_LEVEL": "error",
            },
            "mail.sender",
            "c@d",
        ),
        ({"MR_MULTITHREADED": "0"}, "node.executors", 1),
        ({"MR_MULTITHREADED": "1"}, "node.executors", 0),
        ({"MR_CLEANUP_MANDATORY_QUIET_PERIOD_S": "0"}, "requests.retention_s", 0.001),
        (
            {"MR_FS_FACTORY_FQ_CLASS": "mr.fs.backend.tahoe.TahoeFilesystemFactory"},
            "files.url",
            "tahoe:",
        ),
        ({"MR_RESULT_FILE_WRITER_WRITE_AS_DIRECTORY": "1"}, "results.file_per_key", True),
        ({"MR_LOG_EMAIL_HOOK": "1", "MR_LOG_EMAIL_TO": "a@b"}, "notify.email_to", ("a@b",)),
        ({"MR_LOG_EMAIL_TO": "a@b"}, "notify.email_to", ()),
        ({"MR_ETCD_HOST": "h"}, "store.url", "etcd://h:2379"),
        ({"MR_NSQD_HOSTS": "h", "JOBX_NODE_ID": "a"}, "bridge.nsqd", "h:4150"),
        ({"MR_NSQD_HOSTS": "h:5", "JOBX_NODE_ID": "a"}, "bridge.nsqd", "h:5"),
        ({"MR_NSQD_HOSTS": "h"}, "bridge.nsqd", ""),
        ({"MR_CONSUME": "0"}, "node.front_end", True),
        ({"MR_CONSUME": "1"}, "node.front_end", False),
        (
            {"MR_ETCD_HOST": "h", "MR_ETCD_PORT": "1", "MR_ETCD_IS_SSL": "1"},
            "store.url",
            "etcds://h:1",
        ),
        ({"MR_ETCD_PORT": "1"}, "store.url", ""),
        ({"MR_LOG_HTTP_HOOK": "1"}, "notify.http_url", "http://localhost:3333/"),
        ({"MR_LOG_HTTP_HOOK": "0", "MR_LOG_HTTP_PORT": "80"}, "notify.http_url", ""),
        (
            {"MR_LOG_HTTP_HOOK": "1", "MR_LOG_HTTP_HOSTNAME": "h", "MR_LOG_HTTP_PATH": "/a/b"},
            "notify.http_url",
            "http://h:3333/a/b",
        ),
    ],
    ids=lambda value: str(value),
)
def test_old_variable_is_taken_as_a_setting(
    environ: dict[str, str], setting: str, value: object
) -> None:
    section, _, name = setting.partition(".")
    assert getattr(getattr(config_loading.load(None, environ), section), name) == value


def test_kept_requests_are_not_cleaned_up_after_the_quiet_period() -> None:
    environ = {"MR_DO_CLEANUP_REQUESTS": "0", "MR_CLEANUP_MANDATORY_QUIET_PERIOD_S": "5"}
    assert config_loading.load(None, environ).requests.retention_s == 31_536_000.0


def test_new_variable_goes_before_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "jobx.toml"
    path.write_text('[node]\nlog_path = "file"\ncapabilities = ["file"]\n')
    environ = {"MR_SYSTEM_CAPABILITIES": "old", "MR_LOG_FILEPATH": "old"}
    found = config_loading.load(path, {**environ, "JOBX_NODE_LOG_PATH": "new"}).node
    assert (found.log_path, found.capabilities) == ("new", ("old",))


@pytest.mark.parametrize("name", [*REFUSED, "DUI_EMAIL_ALERTS_SINK_TO_FILE"])
def test_variable_whose_effect_is_gone_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"setting {name}: is gone; instead: "):
        config_loading.load(None, {name: "something"})


@pytest.mark.parametrize("name", REFUSED)
def test_variable_that_asks_for_what_happens_anyway_is_accepted(name: str) -> None:
    for text in ("", *VARIABLES[name].harmless):
        assert config_loading.load(None, {name: text}) == Settings()


def test_variables_that_say_two_things_of_one_setting_are_refused() -> None:
    environ = {
        "MR_EMAIL_SMTP_HOSTNAME": "a",
        "MR_LOG_EMAIL_HOSTNAME": "b",
        "MR_LOG_EMAIL_HOOK": "1",
    }
    with pytest.raises(ConfigError, match=r"MR_EMAIL_SMTP_HOSTNAME .* both are mail\.host"):
        config_loading.load(None, environ)


def test_class_that_is_not_of_mr_is_refused_for_files() -> None:
    with pytest.raises(ConfigError, match=r"MR_FS_FACTORY_FQ_CLASS.*set files\.url"):
        config_loading.load(None, {"MR_FS_FACTORY_FQ_CLASS": "ours.Files"})


@pytest.mark.parametrize("template", ["%(pairs)s", "%(job_name)d", "100%", "%s"])
def test_template_that_mr_could_not_fill_is_refused(template: str) -> None:
    name = "MR_RESULT_EMAIL_WRITER_SUBJECT_TEMPLATE"
    with pytest.raises(ConfigError, match=rf"setting {name}: may hold %\(request_id\)s"):
        config_loading.load(None, {name: template})


def test_what_comes_with_an_old_variable_goes_behind_a_new_one() -> None:
    environ = {"MR_LOG_HTTP_HOOK": "1", "JOBX_NOTIFY_HTTP_FORMAT": "jobx"}
    assert config_loading.load(None, environ).notify.http_format == "jobx"


def test_class_that_is_not_of_mr_is_refused_as_a_writer() -> None:
    with pytest.raises(ConfigError, match=r"MR_RESULT_WRITER_FQ_CLASS.*results\.writers"):
        config_loading.load(None, {"MR_RESULT_WRITER_FQ_CLASS": "ours.FileWriter"})


@pytest.mark.parametrize("name", UNUSED)
def test_variable_that_does_nothing_is_accepted_and_told_of(name: str) -> None:
    assert config_loading.load(None, {name: "x"}) == Settings()
    assert mr_variables.notes({name: "x"}) == [f"{name} is not used: {VARIABLES[name].says}"]


def test_a_node_without_a_name_is_told_that_it_uses_no_nsqd() -> None:
    assert mr_variables.notes({"MR_NSQD_HOSTS": "h"}) == [
        "MR_NSQD_HOSTS is not used: a node works alone without JOBX_NODE_ID, its name in a cluster"
    ]
    assert mr_variables.notes({"MR_NSQD_HOSTS": "h", "JOBX_NODE_ID": "a"}) == []


def test_several_nsqds_of_one_node_are_refused() -> None:
    environ = {"MR_NSQD_HOSTS": "h1,h2", "JOBX_NODE_ID": "a"}
    with pytest.raises(ConfigError, match=r"setting MR_NSQD_HOSTS: .* set bridge\.nsqd"):
        config_loading.load(None, environ)


PARTS = [name for name, variable in VARIABLES.items() if variable.fate == "part"]


@pytest.mark.parametrize("name", PARTS)
def test_variable_that_goes_with_another_one_is_told_of_when_that_is_not_set(name: str) -> None:
    whole = VARIABLES[name].says.partition(":")[0]
    assert whole in VARIABLES
    assert mr_variables.notes({name: "1"}) == [
        f"{name} is not used: it goes with {whole}, which is not set"
    ]
    assert mr_variables.notes({name: "1", whole: "1"}) == []


@pytest.mark.parametrize("environ", [{"DEBUG": "1"}, {"MR_OURS": "1"}, {"PATH": "/bin"}])
def test_names_of_others_are_left_alone(environ: dict[str, str]) -> None:
    assert config_loading.load(None, environ) == Settings()
    assert mr_variables.notes(environ) == []


def _rows(heading: str) -> dict[str, str]:
    section = MIGRATION.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `([\w.]+)` \| (.*) \|$", section, re.MULTILINE))


def test_page_lists_every_variable_with_its_fate() -> None:
    assert _rows("Environment variables") == {
        name: _described(variable) for name, variable in VARIABLES.items()
    }


def test_page_lists_every_script() -> None:
    assert list(_rows("Scripts")) == list(SCRIPTS)


def _described(variable: mr_variables.Variable) -> str:
    harmless = f" (but {' or '.join(f'`{text}`' for text in variable.harmless)})"
    also = "".join(f", also `{setting}`" for setting, _ in variable.also)
    words = {
        "setting": f"setting `{variable.says}`{also}",
        "part": f"goes with {variable.says}",
        "refused": f"refused{harmless if variable.harmless else ''}: {variable.says}",
        "unused": f"does nothing: {variable.says}",
        "ignored": f"not read: {variable.says}",
    }
    return words[variable.fate]
