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
from semst.clustering._checks import check_free
from semst.clustering._write import Places, earlier, forget, is_result

if TYPE_CHECKING:
    from collections.abc import Callable

FEW = {"n_clusters": 3, "epochs": 1, "progress": False}
RESULT = {"params": {}, "history": {}, "modulation": {}, "versions": {}}
EMBEDDED = {"params": {}, "model": {}, "versions": {}}
DESCRIPTION = {"names": pd.DataFrame(), "terms": pd.DataFrame(), "params": {}}


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
        ("spatial", "key_added='spatial' would take the place of 'spatial', which `spatial_key` names"),
        ("gene_semantics", "key_added='gene_semantics' would take the place of .*, which `semantics_key` names"),
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
            f"f: key_added={key!r} would take the place of {key!r}, which `{argument}` names; choose another name."
        )
    assert told(table, "semst", read=read | {"batch_key": None}) is None


def test_other_columns_and_a_latent_of_the_name_are_not_replaced_either():
    table = small()
    table.obs["expert_confidence"] = 1.0
    table.obsm["X_umap"] = np.ones((3, 2))
    assert "obs['expert_confidence']" in told(table, "expert")
    assert "obsm['X_umap']" in told(table, "umap", latent=True)
    assert told(table, "umap") is None  # transfer writes no latent


def test_what_cluster_writes_is_what_is_looked_for(tissue):
    """Else a name would be free for it that is not, or something of an earlier run would stay."""
    keys = ClusterKeys("mine")
    table = tissue.copy()
    semst.tl.cluster(table, key_added="mine", **FEW)
    semst.tl.describe(table, key="mine", n_permutations=9)
    slots = ("obs", "obsm", "uns")
    new = {(slot, name) for slot in slots for name in set(getattr(table, slot)) - set(getattr(tissue, slot))}
    places = Places.of(keys)
    expected = {*places.domains, *places.modulation, *places.description, places.latent[0]}
    assert new - {("obsm", "gene_semantics"), ("uns", "gene_semantics")} == expected
    assert earlier(table, keys) == expected
    forget(table, keys)
    left = {(slot, name) for slot in slots for name in getattr(table, slot)}
    assert left & new == {("obs", "mine"), ("obsm", "gene_semantics"), ("uns", "gene_semantics")}


@pytest.mark.parametrize(
    ("slot", "name"),
    [
        ("obs", "foo_confidence"),
        ("obs", "foo_alpha"),
        ("obs", "foo_beta"),
        ("uns", "foo"),
        ("uns", "foo_description"),
        ("uns", "X_foo"),
        ("obsm", "X_foo"),
    ],
)
def test_no_place_that_something_else_has_is_taken(slot, name):
    table = small()
    getattr(table, slot)[name] = {"obs": 7, "uns": "mine", "obsm": np.ones((3, 2))}[slot]
    assert f"would take the place of {slot}[{name!r}], which is no earlier result" in told(table, "foo", latent=True)


def test_columns_of_somebody_else_are_not_replaced_under_our_own_name_either():
    table = small()
    table.obs["semst_alpha"] = 7
    assert "take the place of obs['semst_alpha']" in told(table, "semst")
    table.obs["semst"] = pd.Categorical(["1", "2", "1"])  # of concat: domains without uns
    assert told(table, "semst") is None


def test_of_domains_without_modulation_no_modulation_is_taken():
    """A column of that name is then somebody else's."""
    table = small()
    table.uns["foo"] = {name: {} for name in RESULT if name != "modulation"}
    table.obs["foo"], table.obs["foo_alpha"] = pd.Categorical(["1", "2", "1"]), 7
    assert "take the place of obs['foo_alpha']" in told(table, "foo")
    table.uns["foo"] = RESULT
    assert told(table, "foo") is None


def test_a_latent_beside_domains_that_brought_none_is_left_to_whom_it_belongs():
    """A transfer writes no latent, so that of the name is somebody else's, unless it was embedded."""
    table = small()
    table.obs["pca"], table.obsm["X_pca"] = pd.Categorical(["1", "2", "1"]), np.ones((3, 2))
    table.uns["pca"] = EMBEDDED
    assert told(table, "pca") is None
    assert "obsm['X_pca']" in told(table, "pca", latent=True)
    forget(table, ClusterKeys("pca"))
    assert "X_pca" in table.obsm
    table.uns["pca"] = table.uns["X_pca"] = EMBEDDED
    assert told(table, "pca", latent=True) is None
    forget(table, ClusterKeys("pca"))
    assert "X_pca" not in table.obsm
    assert "X_pca" not in table.uns


def test_input_under_another_name_than_that_of_the_domains_is_not_replaced_either():
    table = small()
    reason = told(table, "semst", read={"semantics_key": "X_semst", "batch_key": None}, latent=True)
    assert reason == "f: key_added='semst' would take the place of 'X_semst', which `semantics_key` names; " + (
        "choose another name."
    )


def test_colours_that_are_there_before_any_domains_are_no_error_and_stay(tissue):
    table = tissue.copy()
    table.uns["semst_colors"] = ["#102030", "#405060", "#708090"]
    semst.tl.cluster(table, **FEW)
    assert table.uns["semst_colors"] == ["#102030", "#405060", "#708090"]
    semst.tl.cluster(table, **FEW)
    assert "semst_colors" not in table.uns


@pytest.mark.parametrize("key", ["semst", "mine"])
def test_a_latent_alone_takes_no_place_of_that_of_domains_found_here(key):
    table = small()
    only = {"domains": False, "latent": True}
    assert told(table, key, **only) is None
    table.uns[key] = RESULT
    assert "is the name of domains that `semst.tl.cluster` found here" in told(table, key, **only)
    table.uns[key] = EMBEDDED  # as a transfer leaves it, which has no latent
    assert told(table, key, **only) is None
    table.obsm[f"X_{key}"] = np.ones((3, 2))
    assert (told(table, key, **only) is None) == (key == "semst")
    table.uns[f"X_{key}"] = EMBEDDED
    assert told(table, key, **only) is None


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
    table.uns.update({"semst": RESULT, "semst_colors": [], "semst_description": DESCRIPTION, "other": RESULT})
    forget(table, ClusterKeys("semst"))
    assert list(table.obs) == ["semst", "semst_mine", "other_alpha"]
    assert list(table.obsm) == ["X_other"]
    assert list(table.uns) == ["other"]
