"""A GPU whose memory is too small; the device is the CPU, the lack is played."""

from __future__ import annotations

import logging
from threading import Event

import numpy as np
import pytest
import torch

import semst
from semst.nn import Section
from semst.training import _train
from semst.training._checkpoint import Checkpoint

K = 3


@pytest.fixture
def adata():
    tissue = semst.datasets.simulated(
        n_spots=900, n_genes=100, n_domains=K, platform="cells", random_state=1, progress=False
    )
    semst.pp.gene_semantics(tissue, progress=False)
    return tissue


@pytest.fixture
def room_for(monkeypatch):
    """Let the device hold sections of so many spots."""
    move = Section.to

    def limit(n):
        def to(self, device):
            if self.n_spots > n:
                message = "CUDA out of memory. Tried to allocate 2.00 GiB.\nFurther lines of advice"
                raise torch.OutOfMemoryError(message)
            return move(self, device)

        monkeypatch.setattr(Section, "to", to)
        monkeypatch.setattr(_train, "_SMALLEST_TILE", 100)

    return limit


def test_smaller_tiles_are_tried(adata, room_for, caplog):
    room_for(300)
    with caplog.at_level(logging.WARNING, "semst"):
        semst.tl.cluster(adata, n_clusters=K, epochs=2, progress=False)
    assert [record.getMessage() for record in caplog.records] == [
        "the memory of cpu is not enough for all 900 spots at once; training starts again on tiles of 450.",
        "the memory of cpu is not enough for tiles of 450 spots; training starts again on tiles of 225.",
    ]
    assert adata.obs["semst"].nunique() == K
    assert np.isfinite(adata.obsm["X_semst"]).all()
    assert adata.obsm["X_semst"].any(axis=1).all()


def test_networks_of_other_tiles_are_not_taken_up(adata, room_for, tmp_path, monkeypatch):
    """Those of the larger tiles, trained before memory ran out, would not be those of an undisturbed run."""
    options = {"n_clusters": K, "epochs": 2, "progress": False, "copy": True}

    def clustered(folder):
        return semst.tl.cluster(adata, checkpoint=folder, **options).obsm["X_semst"]

    room_for(300)
    undisturbed = clustered(tmp_path / "undisturbed")
    limited, whole = Section.to, []
    disturbed, one_is_kept = tmp_path / "disturbed", Event()
    keep = Checkpoint.keep

    def kept(self, number, network, history):
        keep(self, number, network, history)
        one_is_kept.set()

    def soon_full(self, device):
        if self.n_spots < adata.n_obs:
            return limited(self, device)
        whole.append(self)
        if len(whole) <= 3:
            return self
        assert one_is_kept.wait(60)
        return limited(self, device)

    monkeypatch.setattr(Checkpoint, "keep", kept)
    monkeypatch.setattr(Section, "to", soon_full)
    np.testing.assert_array_equal(clustered(disturbed), undisturbed)
    assert list(disturbed.glob("network-[0-2].safetensors"))
    assert len(list(disturbed.glob("network-*-tiles-225.safetensors"))) == 8
    np.testing.assert_array_equal(clustered(disturbed), undisturbed)


def test_no_tile_is_small_enough(adata, room_for):
    room_for(90)
    before = adata.copy()
    with pytest.raises(MemoryError, match=r"(?s)tiles of 112 spots \(CUDA out of memory\).*n_top_genes.*device='cpu'"):
        semst.tl.cluster(adata, n_clusters=K, epochs=2, progress=False)
    assert list(adata.obs) == list(before.obs)
    assert list(adata.uns) == list(before.uns)
    assert list(adata.obsm) == list(before.obsm)
