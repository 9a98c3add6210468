"""Two processes train one network: what they find is what one process finds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import semst
from semst._problems import InputError, Problems
from semst.nn._fit import TERMS
from semst.nn._processes import ALONE, Processes
from semst.training import _processes
from semst.training._device import pick_device
from semst.training._processes import join, rank, share_out

SCRIPT = Path(__file__).with_name("together.py")
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


@pytest.fixture(scope="module")
def tissue(tmp_path_factory):
    path = tmp_path_factory.mktemp("together") / "tissue.h5ad"
    adata = semst.datasets.simulated(
        n_spots=900, n_genes=150, n_domains=4, platform="cells", random_state=1, progress=False
    )
    semst.pp.gene_semantics(adata, progress=False)
    adata.write_h5ad(path)
    return path


def start(launcher, tissue, out, *options):
    out.mkdir(exist_ok=True)
    # One thread in all of them: more would round differently.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*launcher, SCRIPT, tissue, out, *options], env=environment, capture_output=True, text=True, check=False
    )


def found(out, number):
    with np.load(out / f"{number}.npz") as file:
        return dict(file)


def test_two_processes_find_what_one_finds(tissue, tmp_path):
    alone = start([sys.executable], tissue, tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    together = start(TORCHRUN, tissue, tmp_path / "together", "--checkpoint")
    assert together.returncode == 0, together.stderr
    one, first, second = (
        found(tmp_path / folder, number) for folder, number in (("alone", 0), ("together", 0), ("together", 1))
    )
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])
    for term in TERMS:
        np.testing.assert_allclose(first[term], one[term], rtol=1e-5)
    np.testing.assert_allclose(first["latent"], one["latent"], rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(first["labels"], one["labels"])
    for name in ("alpha", "influence"):
        np.testing.assert_allclose(first[name], one[name], rtol=1e-2, atol=1e-4)

    # The first process alone kept the networks, and both take them up.
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "together" / "checkpoint").iterdir()}
    assert len(kept) == 8
    again = start(TORCHRUN, tissue, tmp_path / "together", "--checkpoint")
    assert again.returncode == 0, again.stderr
    assert kept == {path.name: path.stat().st_mtime_ns for path in (tmp_path / "together" / "checkpoint").iterdir()}
    for number in (0, 1):
        np.testing.assert_array_equal(found(tmp_path / "together", number)["labels"], first["labels"])


def test_processes_that_were_not_called_alike(tissue, tmp_path):
    ended = start(TORCHRUN, tissue, tmp_path / "out", "--alone-in-options")
    assert ended.returncode != 0
    assert "2 processes that torchrun started have different tissue or options" in ended.stderr
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("nccl", "gpu", "expected"),
    [(True, True, "cpu:gloo,cuda:nccl"), (True, False, "gloo"), (False, False, "gloo"), (False, True, "gloo")],
)
def test_nccl_is_for_machines_with_a_gpu(nccl, gpu, expected, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: nccl)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert _processes._backend() == expected


def test_one_process_is_alone():
    assert join() == ALONE
    assert rank() == 0
    assert list(ALONE.mine(3)) == [0, 1, 2]
    assert list(Processes(1, 2).mine(5)) == [1, 3]
    values = torch.ones(2)
    ALONE.add_up(values)
    assert values.tolist() == [1, 1]


@pytest.mark.parametrize(("asked", "given"), [(None, 3), (3, 3), (6, 6)])
def test_tiles_are_shared_out(asked, given):
    problems = Problems("here")
    assert share_out(asked, Processes(0, 3), problems) == given
    problems.raise_if_any()


def test_tiles_that_cannot_be_shared_out():
    problems = Problems("here")
    share_out(4, Processes(0, 3), problems)
    with pytest.raises(InputError, match="multiple of the 3 processes"):
        problems.raise_if_any()


def test_each_process_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device("auto", Problems("here")) == torch.device("cuda")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "run")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert pick_device("auto", Problems("here")) == torch.device("cuda:3")


@pytest.mark.parametrize("tiles", [0, 1.5, True, "2"])
def test_tiles_per_step_must_be_a_whole_number(tissue, tiles):
    import anndata as ad

    with pytest.raises(InputError, match="tiles_per_step must be a whole number of at least 1"):
        semst.tl.cluster(ad.read_h5ad(tissue), n_clusters=4, tiles_per_step=tiles, progress=False)
