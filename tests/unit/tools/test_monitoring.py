"""The dashboard and the alerts name metrics that exist, and each alert is described."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from jobx.actors.inspection import metric_views
from jobx.actors.metrics import Metrics
from jobx.views import ActorSummary, MetricFamily
from tests.support.fake_node import VIEW
from tests.support.services import absent

ROOT: Final = Path(__file__).parents[3]
RULES: Final = ROOT / "conf" / "prometheus-rules.yml"
DASHBOARD: Final = ROOT / "conf" / "grafana.json"
_SUFFIXES: Final = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
_NO_ACTORS: Final = ActorSummary(
    node_id="n",
    live=0,
    queued=0,
    created=0,
    failed=0,
    handled=0,
    dead_letters=0,
    held_bytes=0,
    limit_bytes=1,
    slow=0,
    stalls=0,
    traces=0,
    classes=[],
    slow_handlers=[],
    stalled=[],
)


def families() -> list[MetricFamily]:
    """Return all metrics that a node has."""
    return [
        *metric_views.counted(Metrics()),
        *metric_views.of_node(VIEW, 0, 0),
        *metric_views.of_trouble([], is_stalled=False),
        *metric_views.of_actors(_NO_ACTORS),
        *metric_views.of_links((), {}),
    ]


def labels() -> dict[str, set[str]]:
    """Return the labels of each name that a scrape shows."""
    return {
        f"{family.name}{suffix}": {*family.labels, *(["le"] if suffix == "_bucket" else [])}
        for family in families()
        for suffix in _SUFFIXES.get(family.kind, ("",))
    }


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [*shown, *(rule["expr"] for rule in rules())]


@pytest.mark.parametrize("expression", expressions())
def test_what_the_dashboard_and_the_alerts_name_exists(expression: str) -> None:
    known = labels()
    for name, matchers in re.findall(r"(jobx_\w+)(?:\{([^}]*)\})?", expression):
        assert name in known
        matched = set(re.findall(r"(\w+)(?:=~|!~|=|!=)", matchers))
        assert matched <= known[name] | {"instance"}
    grouped = ",".join(re.findall(r"\bby \(([^)]*)\)", expression)).replace(" ", "").split(",")
    named = set().union(*(known[name] for name in re.findall(r"jobx_\w+", expression)), {""})
    assert set(grouped) <= named | {"instance"}


def test_each_alert_is_described_and_each_description_is_of_an_alert() -> None:
    described = re.findall(r"^## (\w+)$", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
    assert described == [rule["alert"] for rule in rules()]
    for rule in rules():
        assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"


def test_prometheus_takes_the_alerts() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        absent("promtool", "Debian's package prometheus has it")
    done = subprocess.run(
        [promtool, "check", "rules", str(RULES)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_is_shown_to_operators() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    assert [name for name in labels() if f"`{name.rpartition('_bucket')[0] or name}`" not in page
            and not name.endswith(("_sum", "_count"))] == []  # fmt: skip
