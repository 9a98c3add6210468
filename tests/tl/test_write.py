"""Under which names domains are written, and what they take the place of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import semst
from semst._keys import ClusterKeys
from semst._problems import InputError, Problems
from semst.tl._checks import check_free
from semst.tl._write import forget, is_result

if TYPE_CHECKING:
    from collections.abc import Callable

FEW = {"n_clusters": 3, "epochs": 1, "progress": False}
RESULT = {"params": {}, "history": {}, "versions": {}}


@pytest.fixture(scope="module")
def tissue() -> ad.AnnData:
    return semst.datasets.simulated(n_spots=300, n_genes=200, n_domains=3, progress=False)


@pytest.fixture(scope="module")
def clustered(tissue) -> ad.AnnData:
    table = tissue.copy()
    semst.tl.cluster(table, **FEW)
    return table


def small() -> ad.AnnData:
    return ad.AnnData(np.ones((3, 2), dtype=np.float32))


def told(table: ad.AnnData, key: str, **options: object) -> str | None:
    """Give what is wrong with a name, or None."""
    problems = Problems("f")
    check_free(table, key, problems, **{"read": {}, **options})
    if not problems:
        return None
    with pytest.raises(InputError) as caught:
        problems.raise_if_any()
    return str(caught.value)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("ground_truth", r"take the place of obs\['ground_truth'\], which is no earlier result of semst"),
        ("array_row", r"take the place of obs\['array_row'\]"),
        ("notes", r"take the place of uns\['notes'\]"),
        ("spatial", "key_added='spatial' is what `spatial_key` names"),
        ("gene_semantics", "key_added='gene_semantics' is what `semantics_key` names"),
    ],
)
def test_cluster_refuses_to_replace_what_it_did_not_write(tissue, key, reason):
    table = tissue.copy()
    with pytest.raises(ValueError, match=reason):
        semst.tl.cluster(table, key_added=key, **FEW)
    pd.testing.assert_frame_equal(table.obs, tissue.obs)
    assert list(table.uns) == list(tissue.uns)
    assert list(table.uns["spatial"]) == list(tissue.uns["spatial"])
    assert list(table.obsm) == list(tissue.obsm)


def test_the_names_of_input_are_refused_before_there_is_anything_under_them():
    table = small()
    for key in ("spatial", "gene_semantics"):
        assert "choose another name" in told(table, key)
    read = {"spatial_key": "places", "semantics_key": "own", "batch_key": "slice"}
    for argument, key in read.items():
        assert told(table, key, read=read) == (
            f"f: key_added={key!r} is what `{argument}` names, and results would take its place; choose another name."
        )
    assert told(table, "semst", read=read | {"batch_key": None}) is None


def test_other_columns_and_a_latent_of_the_name_are_not_replaced_either():
    table = small()
    table.obs["expert_confidence"] = 1.0
    table.obsm["X_umap"] = np.ones((3, 2))
    assert "obs['expert_confidence']" in told(table, "expert")
    assert "obsm['X_umap']" in told(table, "umap", latent=True)
    assert told(table, "umap") is None  # transfer writes no latent


def _lose_uns(table: ad.AnnData) -> None:
    del table.uns["semst"]


def _as_it_is(_: ad.AnnData) -> None:
    """Leave all there."""


@pytest.mark.parametrize("spoil", [_as_it_is, _lose_uns])
def test_domains_may_be_sought_again(clustered, spoil: Callable[[ad.AnnData], None]):
    """Also where uns is lost, as anndata.concat leaves it."""
    table = clustered.copy()
    spoil(table)
    semst.tl.cluster(table, **{**FEW, "n_clusters": 2, "semantics_key": None})
    assert table.obs["semst"].cat.categories.tolist() == ["1", "2"]
    assert "semst_alpha" not in table.obs


def test_labels_of_somebody_else_are_not_replaced_under_our_own_name_either(tissue):
    table = tissue.copy()
    table.obs["semst"] = pd.Categorical(["mine"] * table.n_obs)
    with pytest.raises(ValueError, match=r"take the place of obs\['semst'\], which is no earlier result of semst"):
        semst.tl.cluster(table, **FEW)
    assert (table.obs["semst"] == "mine").all()


def test_slices_that_were_clustered_one_by_one_can_be_clustered_together(clustered):
    both = ad.concat({"a": clustered, "b": clustered}, label="slice", index_unique="-")
    assert "semst" in both.obs
    assert "semst" not in both.uns
    semst.tl.cluster(both, batch_key="slice", **FEW)
    assert both.uns["semst"]["params"]["batch_key"] == "slice"


def test_domains_under_another_name_may_be_replaced_also_when_read_from_disk(tissue, tmp_path):
    table = tissue.copy()
    semst.tl.cluster(table, key_added="mine", **FEW)
    table.write_h5ad(tmp_path / "tissue.h5ad")
    again = ad.read_h5ad(tmp_path / "tissue.h5ad")
    assert told(again, "mine", latent=True) is None
    _, again.uns["mine"] = again.uns.pop("mine"), "a note of the user"
    assert "uns['mine']" in told(again, "mine")


@pytest.mark.parametrize("stored", [None, {}, "text", {"params": {}, "coverage": {}, "versions": {}}, {"verdict": ""}])
def test_what_is_no_result(stored):
    assert not is_result(stored)


def test_what_is_a_result():
    assert is_result(RESULT)
    assert is_result({"params": {}, "model": {}, "coverage": {}, "versions": {}})


def test_only_what_belongs_to_domains_is_forgotten():
    table = small()
    for column in ("semst", "semst_confidence", "semst_alpha", "semst_beta", "semst_mine", "other_alpha"):
        table.obs[column] = 1.0
    for key in ("X_semst", "X_other"):
        table.obsm[key] = np.ones((3, 2))
    table.uns.update({"semst": RESULT, "semst_colors": [], "semst_description": {}, "other": RESULT})
    forget(table, ClusterKeys("semst"))
    assert list(table.obs) == ["semst", "semst_mine", "other_alpha"]
    assert list(table.obsm) == ["X_other"]
    assert list(table.uns) == ["other"]
