"""A run that is interrupted and taken up again ends as if nothing had happened."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import semst
from semst._problems import InputError
from semst.training import _checkpoint

OPTIONS = {"n_clusters": 3, "epochs": 4, "progress": False}


@pytest.fixture
def adata():
    tissue = semst.datasets.simulated(n_spots=150, n_genes=80, n_domains=3, progress=False)
    semst.pp.gene_semantics(tissue)
    return tissue


def clustered(tissue, **options):
    return semst.tl.cluster(tissue, **OPTIONS, **options, copy=True)


def assert_same(one, other):
    np.testing.assert_array_equal(one.obsm["X_semst"], other.obsm["X_semst"])
    np.testing.assert_array_equal(one.obs["semst"].to_numpy(), other.obs["semst"].to_numpy())
    np.testing.assert_array_equal(one.obs["semst_alpha"], other.obs["semst_alpha"])
    for term, values in one.uns["semst"]["history"].items():
        np.testing.assert_array_equal(values, other.uns["semst"]["history"][term])


def test_networks_are_kept_without_code_and_taken_up_again(adata, tmp_path, monkeypatch):
    plain = clustered(adata)
    first = clustered(adata, checkpoint=tmp_path / "run")
    assert_same(plain, first)
    files = sorted(path.name for path in (tmp_path / "run").iterdir())
    assert files == [f"network-{number}.safetensors" for number in range(8)]
    kept = []
    monkeypatch.setattr(_checkpoint.Checkpoint, "keep", lambda *found: kept.append(found))
    assert_same(plain, clustered(adata, checkpoint=tmp_path / "run"))
    assert kept == []


def test_after_an_interruption_only_the_rest_is_trained(adata, tmp_path, monkeypatch):
    plain, keep = clustered(adata), _checkpoint.Checkpoint.keep
    kept = []

    def interrupted(self, number, network, history):
        if len(kept) >= 3:
            raise KeyboardInterrupt
        keep(self, number, network, history)
        kept.append(number)

    before = adata.copy()
    with monkeypatch.context() as patched:
        patched.setattr(_checkpoint.Checkpoint, "keep", interrupted)
        with pytest.raises(KeyboardInterrupt):
            clustered(adata, checkpoint=tmp_path)
    assert list(adata.obs.columns) == list(before.obs.columns)
    there = {path.name for path in tmp_path.glob("*.safetensors")}
    assert 3 <= len(there) < 8
    assert_same(plain, clustered(adata, checkpoint=tmp_path))
    assert len(list(tmp_path.glob("*.safetensors"))) == 8


def test_what_comes_after_training_may_change(adata, tmp_path):
    clustered(adata, checkpoint=tmp_path)
    other = semst.tl.cluster(adata, n_clusters=2, epochs=4, progress=False, checkpoint=tmp_path, copy=True)
    assert other.obs["semst"].nunique() == 2


@pytest.mark.parametrize("change", ["seed", "counts", "semantics"])
def test_another_run_is_refused(adata, tmp_path, change):
    clustered(adata, checkpoint=tmp_path)
    options = {"random_state": 1} if change == "seed" else {}
    if change == "counts":
        adata.X.data[0] += 1
    if change == "semantics":
        adata.obsm["gene_semantics"][0] += 1
    with pytest.raises(InputError, match="networks of another run"):
        clustered(adata, checkpoint=tmp_path, **options)


def test_a_damaged_file_and_a_file_for_a_folder_are_named(adata, tmp_path):
    (tmp_path / "network-0.safetensors").write_bytes(b"not a tensor")
    with pytest.raises(InputError, match="network-0.safetensors.*cannot be read"):
        clustered(adata, checkpoint=tmp_path)
    with pytest.raises(InputError, match="is a file"):
        clustered(adata, checkpoint=tmp_path / "network-0.safetensors")


@pytest.mark.parametrize(
    ("name", "told"), [("a\0b", "is no path"), ("a" * 300, "cannot be looked at.*name another folder")]
)
def test_what_is_no_place_is_told_before_the_work(adata, tmp_path, name, told):
    with pytest.raises(InputError, match=told):
        clustered(adata, checkpoint=tmp_path / name)


def test_a_folder_that_cannot_be_written_is_of_use_where_it_holds_the_networks(adata, tmp_path, monkeypatch):
    first = clustered(adata, checkpoint=tmp_path / "kept")
    monkeypatch.setattr("os.access", lambda *_: False)
    assert_same(clustered(adata, checkpoint=tmp_path / "kept"), first)
    with pytest.raises(InputError, match="cannot be written"):
        clustered(adata, checkpoint=tmp_path / "new")


def test_a_network_that_cannot_be_kept_costs_no_result(adata, tmp_path, caplog):
    (tmp_path / "network-1.part").mkdir()
    found = clustered(adata, checkpoint=tmp_path)
    assert_same(found, clustered(adata))
    assert "network 1 could not be kept" in caplog.text
    assert (tmp_path / "network-2.safetensors").exists()


SCRIPT = """
import sys, semst
tissue = semst.datasets.simulated(n_spots=150, n_genes=80, n_domains=3, progress=False)
semst.pp.gene_semantics(tissue)
semst.tl.cluster(tissue, n_clusters=3, epochs=EPOCHS, progress=False, checkpoint=sys.argv[1])
tissue.obs["semst"].to_csv(sys.argv[2])
"""


KILL = """
import os, signal
from semst.training._checkpoint import Checkpoint
keep = Checkpoint.keep
def kept(self, *found):
    keep(self, *found)
    if len(list(self.folder.glob("*.safetensors"))) > 1:
        os.kill(os.getpid(), signal.SIGKILL)
Checkpoint.keep = kept
"""


def test_killed_in_the_middle(tmp_path):
    """Kill -9 once two networks are there, and take the run up again."""
    script = SCRIPT.replace("EPOCHS", "20")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    def call(script, folder, name):
        return [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / folder), str(tmp_path / name)]

    subprocess.run(call(script, "whole", "whole.csv"), check=True, env=environment)
    killed = subprocess.run(call(KILL + script, "run", "never.csv"), check=False, env=environment)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "never.csv").exists()
    assert 2 <= len(list((tmp_path / "run").glob("*.safetensors"))) < 8
    subprocess.run(call(script, "run", "again.csv"), check=True, env=environment)
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_how_many_tiles_a_step_takes_belongs_to_the_run(adata, tmp_path, large_above):
    """On large tissue alone, and as it comes out: one tile is what is taken where nothing is asked."""
    clustered(adata, checkpoint=tmp_path / "small")
    clustered(adata, checkpoint=tmp_path / "small", tiles_per_step=2)
    large_above(100, tile=50)
    first = clustered(adata, checkpoint=tmp_path / "large")
    again = clustered(adata, checkpoint=tmp_path / "large", tiles_per_step=1)
    np.testing.assert_array_equal(first.obsm["X_semst"], again.obsm["X_semst"])
    with pytest.raises(InputError, match="networks of another run"):
        clustered(adata, checkpoint=tmp_path / "large", tiles_per_step=2)


def test_of_processes_that_train_alike_one_keeps_the_networks(adata, tmp_path, monkeypatch):
    from semst.training import _train_whole

    monkeypatch.setattr(_train_whole, "rank", lambda: 1)
    clustered(adata, checkpoint=tmp_path / "run")
    assert not (tmp_path / "run").exists()
