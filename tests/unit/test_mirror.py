"""The unit tier has the shape of the package: a test file says which module it tests."""

from __future__ import annotations

from fnmatch import fnmatch
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

#: Test files of no single module.
WHOLE: Final = {
    "bench/test_bars",  # of the benchmark, as are the next
    "bench/test_table",
    "bench/test_works",
    "chaos/test_clients",  # of soaks, as are these …
    "chaos/test_exchanges",
    "chaos/test_history",  # … and their checker
    "handlers/test_languages_page",
    "handlers/test_wrong_handlers",
    "kv/etcd2/test_schedules",
    "kv/test_history",
    "test_documents",
    "test_ignores",
    "test_imports",
    "test_linear_readers",
    "test_locks",
    "test_mirror",
    "tools/test_conf",
    "tools/test_monitoring",
}

#: Modules without a test file of their own, by what tests them instead: the lowest tier that sees
#: a fault of them. A ``*`` stands for modules of one folder.
ELSEWHERE: Final[dict[str, tuple[str, ...]]] = {
    "tests/cluster/test_commands.py": (
        "actors/cluster/joining",
        "kv/etcd/survey",
    ),
    "tests/contract/test_collections.py": ("kv/collections/*", "kv/entries", "durable"),
    "tests/contract/test_blobs.py": ("handlers/blobs/opening",),
    "tests/contract/test_executors.py": (
        *("actors/executors/pool", "actors/executors/process", "actors/executors/processes"),
        *("actors/executors/sending", "actors/executors/fork_server_client"),
        *("actors/executors/at_work", "actors/executors/returns"),
    ),
    "tests/contract/test_files.py": ("handlers/files/*",),
    "tests/contract/test_languages.py": ("handlers/languages/*", "languages"),
    "tests/contract/test_changes.py": ("kv/changes", "kv/etcd2/changes"),
    "tests/contract/test_leases.py": (
        *("kv/leases", "kv/timed_lease", "kv/etcd2/leases", "kv/etcd2/watches"),
    ),
    "tests/contract/test_node.py": (
        *("actors/answering", "actors/foreground", "actors/gateway/*_verbs", "actors/parts"),
        *("actors/ports", "http/node/connection", "questions/*"),
        "views/*",
    ),
    "tests/contract/test_request_lists.py": (
        *("kv/requests/request_counts", "kv/requests/request_index", "kv/requests/request_lists"),
    ),
    "tests/contract/test_store.py": (
        *("kv/store", "kv/served_store", "kv/memory", "kv/etcd2/store", "kv/etcd2/loose"),
    ),
    "tests/contract/test_transports.py": ("actors/bridge/nsq/*",),
    "tests/contract/test_values.py": ("json_reading", "listed", "tagged_json"),
    "tests/integration/test_cli.py": (
        "tools/commands/invocation",
        *("tools/commands/job", "tools/commands/node", "tools/commands/step"),
        *("tools/commands/workflow", "tools/shared/command", "tools/shared/output"),
        "tools/commands/request_dump",
        *("tools/commands/request_views", "tools/shared/render_views", "tools/shared/results"),
    ),
    "tests/integration/test_connections.py": ("http/answer_flow",),
    "tests/integration/test_executor.py": (
        *("handlers/execution/*", "handlers/forked", "handlers/launch", "segments"),
    ),
    "tests/integration/test_node_history.py": ("actors/upkeep",),
    "tests/integration/test_old_notes.py": ("tools/serving/background",),
    "tests/integration/test_outside.py": (
        *("actors/egress/opening", "actors/egress/notifications/channels"),
    ),
    "tests/integration/test_readers.py": ("actors/readers/*", "kv/sqlite/read_only"),
    "tests/integration/test_request_lists.py": ("tools/commands/request_lists",),
    "tests/integration/test_scope.py": ("handlers/scope/*", "handlers/markers"),
    "tests/integration/test_shared_files.py": ("tools/commands/fs",),
    "tests/integration/test_trial.py": (
        *("handlers/trial/*", "handlers/capture", "testing", "tools/commands/handler_trial"),
    ),
    "tests/integration/test_two_runs.py": ("tools/running/asked_node",),
    "tests/integration/test_wrong_things.py": (
        *("refusals", "tools/commands/config", "tools/serving/checks", "tools/shared/reporting"),
    ),
    "tests/integration/test_web_alone.py": ("tools/commands/web",),
    "tests/integration/test_web_worker.py": ("http/asgi", "http/gunicorn_conf", "http/server_log"),
    "tests/simulation/test_simulation.py": ("actors/coordination/*",),
    "tests/unit/actors/bridge/test_bridge_links.py": ("actors/bridge/ends",),
    "tests/unit/actors/cluster/test_peers_lost.py": (
        *("actors/cluster/lent_pool", "actors/cluster/silent_peers"),
    ),
    "tests/unit/actors/egress/test_deliverer.py": ("actors/egress/outcomes",),
    "tests/unit/actors/egress/test_http_client.py": ("actors/egress/urls",),
    "tests/unit/actors/egress/test_signing.py": ("webhooks",),
    "tests/unit/actors/egress/writers/test_registry.py": ("actors/egress/writers/*", "writers"),
    "tests/unit/actors/gateway/test_submitting.py": ("actors/gateway/finding",),
    "tests/unit/actors/inspection/dumps/test_dump.py": ("actors/inspection/dumps/*",),
    "tests/unit/actors/inspection/folding/test_fold.py": ("actors/inspection/folding/*",),
    "tests/unit/actors/inspection/test_trace.py": ("actors/inspection/trace_log",),
    "tests/unit/actors/request/test_state_of_trees.py": ("actors/request/*",),
    "tests/unit/actors/runtime/test_engine_mail.py": ("actors/runtime/*",),
    "tests/unit/handlers/authoring/test_source.py": ("handlers/authoring/*",),
    "tests/unit/handlers/blobs/test_shared.py": ("handlers/blobs/place",),
    "tests/unit/handlers/pairs/test_grouping.py": ("handlers/pairs/merged_groups",),
    "tests/unit/handlers/pairs/test_run_reader.py": ("handlers/pairs/run_merger",),
    "tests/unit/http/door/test_door.py": ("http/reading/intake",),
    "tests/unit/http/resources/test_admin.py": (*("http/openapi/*", "http/writing/encoding"),),
    "tests/unit/http/pages/test_ui.py": (
        *("http/pages/addresses", "http/pages/node", "http/pages/requests"),
    ),
    "tests/unit/http/resources/test_live.py": ("http/node/polls", "http/writing/event_stream"),
    "tests/unit/http/resources/test_jobs.py": ("http/resources/site",),
    "tests/unit/http/writing/test_answer_memory.py": ("http/byte_budget",),
    "tests/unit/kv/entities/test_entities.py": ("kv/entities/*", "kv/write_batch"),
    "tests/unit/kv/etcd2/test_schedules.py": (
        *("kv/etcd2/calls", "kv/etcd2/notes", "kv/etcd2/reading"),
    ),
    "tests/unit/kv/requests/test_kept_requests.py": (
        *("kv/requests/older_requests", "kv/requests/removal"),
    ),
    "tests/unit/kv/sqlite/test_store.py": ("kv/sqlite/errors",),
    "tests/unit/test_config.py": ("config_loading", "config_sections"),
    "tests/unit/test_mr_variables.py": ("mr_conversions",),
    "tests/unit/tools/commands/test_apply.py": ("tools/shared/applying",),
    "tests/unit/tools/shared/test_completion.py": ("tools/commands/completion",),
    "tests/unit/tools/commands/test_request.py": (
        *("tools/commands/request_cancel", "tools/commands/request_keeping"),
    ),
    "tests/unit/tools/commands/test_run.py": ("tools/shared/parsing",),
    "tests/unit/tools/shared/test_render.py": ("tools/shared/render_trees",),
    "tests/unit/tools/serving/test_watchdog.py": ("tools/serving/systemd",),
}


def names(folder: str, pattern: str) -> set[str]:
    """Return the files of a folder by their names from there on, without the ending."""
    root = ROOT / folder
    found = (path.relative_to(root).with_suffix("") for path in root.rglob(pattern))
    return {str(name) for name in found if name.name != "__init__"}


MODULES: Final = names("jobx", "*.py")
TESTS: Final = names("tests/unit", "test_*.py")


def matches(module: str, pattern: str) -> bool:
    """Tell whether a pattern stands for a module; its ``*`` stands for no ``/``."""
    folder, _, name = module.rpartition("/")
    pattern_folder, _, pattern_name = pattern.rpartition("/")
    return folder == pattern_folder and fnmatch(name, pattern_name)


def module_of(test: str) -> str | None:
    """Return the module that a test file is about: ``test_<module>``, or with words behind it."""
    folder, _, name = test.rpartition("test_")
    words = name.split("_")
    for count in range(len(words), 0, -1):
        module = folder + "_".join(words[:count])
        if module in MODULES:
            return module
    return None


@pytest.mark.parametrize(
    ("module", "pattern", "does_match"),
    [
        ("http/app", "http/app", True),
        ("http/app", "http/*", True),
        ("http/reading/intake", "http/*", False),
        ("logs", "*", True),
        ("http/app", "*", False),
    ],
)
def test_pattern_stands_for_modules_of_one_folder(
    module: str, pattern: str, *, does_match: bool
) -> None:
    assert matches(module, pattern) == does_match


ALONE: Final = sorted(MODULES - {module_of(test) for test in TESTS})


def test_files_of_the_unit_tier_stand_where_their_modules_do() -> None:
    assert sorted(test for test in TESTS - WHOLE if module_of(test) is None) == []


def test_modules_without_a_unit_test_are_tested_elsewhere() -> None:
    patterns = [pattern for each in ELSEWHERE.values() for pattern in each]
    assert [one for one in ALONE if not any(matches(one, each) for each in patterns)] == []


def test_places_that_test_what_has_no_unit_test_are_there() -> None:
    assert [place for place in ELSEWHERE if not (ROOT / place).is_file()] == []


def test_what_is_tested_elsewhere_has_no_unit_test() -> None:
    patterns = [pattern for each in ELSEWHERE.values() for pattern in each]
    assert [each for each in patterns if not any(matches(one, each) for one in ALONE)] == []
