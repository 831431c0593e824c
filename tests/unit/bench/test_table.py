"""Tables of the benchmark."""

from __future__ import annotations

from tests.bench.figures import Figure
from tests.bench.table import draw

OWN = Figure(peer="jobx", work="http_one", n=5, p50_ms=2.0, p99_ms=3.0)
FLOOR = Figure(peer="hello", work="http_one", n=5, p50_ms=0.5, p99_ms=1.0)
IDLE = Figure(peer="jobx", work="idle", n=0, rss_mb=30.0, cpu_percent=0.1)


def test_a_table_has_rows_for_what_its_peers_did_and_jobx_beside_them() -> None:
    table = draw([OWN, FLOOR, IDLE], ["hello"])
    assert [column.header for column in table.columns[2:4]] == ["jobx", "hello"]
    assert table.row_count == 1
