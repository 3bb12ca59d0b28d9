"""`netc sweep --engine ray` on a cluster of two nodes: the rows of the pool, whatever is lost on the way."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_sweep import SPEC

from netc.cli.main import cli
from netc.explore.engines import Part, RayCluster, here
from netc.explore.job import Job, TrialRow
from netc.explore.space import Space, read_axis
from netc.explore.sweep import planned, sweep

WORDS = ["sweep", "small.yaml", "-p", "width=1..20", "-p", "depth=1,2,60", "--where", "macs < 3e8"]


@pytest.mark.skipif(sys.platform != "linux", reason="Ray's clusters of one machine are for Linux")
def test_a_cluster_makes_the_same_table_and_a_lost_node_loses_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("builtins.print", print)  # which Ray replaces, for good
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_DISABLE_IMPORT_WARNING", "1")
    Path("small.yaml").write_text(SPEC)
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        other = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        result = CliRunner().invoke(cli, [*WORDS, "--engine", "ray", "--address", cluster.address, "-o", "ray.csv"])
        assert result.exit_code == 0, result.output
        assert CliRunner().invoke(cli, [*WORDS, "-j", "1", "-o", "pool.csv"]).exit_code == 0
        assert Path("ray.csv").read_bytes() == Path("pool.csv").read_bytes()
        assert not ray.is_initialized()
        _loses_nothing(cluster, other, monkeypatch)
    finally:
        ray.shutdown()
        cluster.shutdown()


def _loses_nothing(cluster: object, other: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node is taken away while it works; its parts are made again by the other."""
    monkeypatch.setattr("netc.explore.sweep.TOGETHER", 10)
    axes = (read_axis("width", "1..30"), read_axis("depth", "1..4"))
    job = planned(Job(path="small.yaml", text=SPEC, space=Space(axes)))
    engine, made = RayCluster(cluster.address), list[int]()  # type: ignore[attr-defined]

    def losing(job: Job, parts: Iterable[Part]) -> Iterator[list[TrialRow]]:
        for rows in engine(job, parts):
            if len(made) == 0:
                cluster.remove_node(other, allow_graceful=False)  # type: ignore[attr-defined]
            made.extend(row.trial for row in rows)
            yield rows

    sweep(job, losing, Path("lost.csv"), [], lambda done, total: None)
    assert sorted(made) == list(range(120))
    sweep(job, here, Path("whole.csv"), [], lambda done, total: None)
    assert Path("lost.csv").read_bytes() == Path("whole.csv").read_bytes()
