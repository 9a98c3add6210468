"""Bad input: one clear error each, all problems at once, and the object as it was."""

from __future__ import annotations

import logging
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import ConvergenceWarning

import semst
from semst.clustering import _domains
from semst.partitions._settled import unsettled

if TYPE_CHECKING:
    import anndata as ad

DOMAINS = 3


@pytest.fixture(scope="module")
def original() -> ad.AnnData:
    return semst.datasets.simulated(n_spots=300, n_genes=200, n_domains=DOMAINS, progress=False)


def _no_coordinates(adata):
    del adata.obsm["spatial"]


def _nan_coordinates(adata):
    adata.obsm["spatial"][3, 0] = np.nan


def _infinite_coordinates(adata):
    adata.obsm["spatial"][3, 0] = np.inf


def _negative_counts(adata):
    adata.X.data[0] = -1


def _fractional_counts(adata):
    adata.X.data[0] = 0.5


def _nan_counts(adata):
    adata.X.data[0] = np.nan


def _empty_spot(adata):
    counts = adata.X.tolil()
    counts[5] = 0
    adata.X = counts.tocsr()


def _duplicated_spots(adata):
    adata.obs_names = ["same", "same", *adata.obs_names[2:]]


def _duplicated_genes(adata):
    adata.var_names = ["same", "same", *adata.var_names[2:]]


def _unknown_genes(adata):
    adata.var_names = [f"thing-{i}" for i in range(adata.n_vars)]


def _graph_without_edges(adata):
    from scipy import sparse

    adata.obsp["spatial_connectivities"] = sparse.csr_matrix((adata.n_obs, adata.n_obs))


def _graph_of_self_loops(adata):
    from scipy import sparse

    adata.obsp["spatial_connectivities"] = sparse.identity(adata.n_obs, format="csr")


def _semantics_of_text(adata):
    adata.obsm["gene_semantics"] = pd.DataFrame({"said": ["glia"] * adata.n_obs}, index=adata.obs_names)


@pytest.mark.filterwarnings("ignore:(Observation|Variable) names are not unique:UserWarning")
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_semantics_of_text, r"obsm\['gene_semantics'\] must be a finite matrix \(n_spots, d\), got (object|str)"),
        (_no_coordinates, r"obsm\['spatial'\] is missing.*spatial_key"),
        (_nan_coordinates, "1 spot has NaN or infinite coordinates"),
        (_infinite_coordinates, "1 spot has NaN or infinite coordinates"),
        (_negative_counts, "negative values"),
        (_fractional_counts, "does not hold whole numbers.*layer"),
        (_nan_counts, "NaN or infinite values"),
        (_empty_spot, "1 spot has no counts.*filter_cells"),
        (_duplicated_spots, "1 name in obs_names occurs more than once.*obs_names_make_unique"),
        (_duplicated_genes, "1 name in var_names occurs more than once.*var_names_make_unique"),
        (_unknown_genes, "(?s)none of the .*genes|no gene"),
        (_graph_without_edges, "has no edges between spots"),
        (_graph_of_self_loops, "has no edges between spots"),
    ],
)
def test_spoilt_data(original, spoil, message):
    adata = original.copy()
    spoil(adata)
    before = adata.copy()
    with pytest.raises((ValueError, KeyError), match=message):
        semst.tl.cluster(adata, n_clusters=DOMAINS, epochs=1, progress=False)
    _assert_same(adata, before)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        (
            {"n_clusters": 101},
            ValueError,
            "101 domains cannot be found in 300 spots; ask for at most 100, which",
        ),
        ({"n_clusters": 1}, ValueError, "n_clusters must be a whole number of at least 2"),
        ({"n_clusters": 2.5}, ValueError, "n_clusters must be a whole number"),
        ({"layer": "raw"}, KeyError, "no layer 'raw'"),
        ({"spatial_key": "X_umap"}, KeyError, r"obsm\['X_umap'\] is missing"),
        ({"semantics_key": "mine"}, KeyError, "gene_semantics.adata, key_added='mine'"),
        ({"table_key": "table"}, ValueError, "only applies to SpatialData"),
        ({"coordinate_system": "global"}, ValueError, "coordinate_system"),
        ({"preset": "best"}, ValueError, "preset must be one of 'default', 'published', got 'best'"),
        ({"likelihood": "poisson"}, ValueError, "likelihood must be one of"),
        ({"likelihood": "zinp"}, ValueError, r"got 'zinp' \(did you mean 'zinb'\?\)"),
        ({"convolution": "cnn"}, ValueError, "convolution must be one of"),
        ({"partition": "ward"}, ValueError, "partition must be one of"),
        ({"epochs": 0}, ValueError, "epochs must be a whole number of at least 1"),
        ({"device": "abacus"}, ValueError, "device 'abacus' cannot be used here"),
        ({"key_added": "a/b"}, ValueError, "key_added must be made of letters"),
        ({"random_state": -1}, ValueError, "random_state must be a whole number from 0"),
        ({"random_state": 2**31}, ValueError, "random_state must be a whole number from 0 to 2147483647"),
        ({"n_clusters": np.int64(101)}, ValueError, "101 domains cannot be found in 300 spots"),
        ({"device": None}, ValueError, "device 'None' cannot be used here"),
        ({"refine": "no"}, ValueError, "refine must be True or False, got 'no'"),
        ({"checkpoint": 5}, ValueError, "checkpoint must be the path of a folder, got 5"),
        ({"checkpoint": f"{__file__}/run"}, ValueError, "lies in .*test_cluster_bad_input.py', which is a file"),
    ],
)
def test_wrong_arguments(original, options, kind, message):
    adata = original.copy()
    with pytest.raises(kind, match=message):
        semst.tl.cluster(adata, **{"n_clusters": DOMAINS, "progress": False, **options})
    _assert_same(adata, original)


def test_all_problems_in_one_error(original):
    adata = original.copy()
    _nan_coordinates(adata)
    _negative_counts(adata)
    with pytest.raises(ValueError, match="(?s)3 problems with the input.*n_clusters.*negative.*coordinates"):
        semst.tl.cluster(adata, n_clusters=0)


def test_not_anndata():
    with pytest.raises(TypeError, match="expected AnnData or SpatialData, got DataFrame"):
        semst.tl.cluster(pd.DataFrame(), n_clusters=2)


def test_the_way_out_of_normalised_counts_is_that_of_cluster_alone(original):
    adata = original.copy()
    adata.X = adata.X * 0.5
    with pytest.raises(ValueError, match="or use `likelihood='gaussian'`"):
        semst.tl.cluster(adata, n_clusters=DOMAINS, progress=False)
    with pytest.raises(ValueError, match="does not hold whole numbers") as caught:
        semst.tl.semantic_control(adata, n_clusters=DOMAINS, progress=False)
    assert "gaussian" not in str(caught.value)


@pytest.mark.parametrize("named", ["gene", "zz"])
def test_tissue_without_semantics_is_told(original, named):
    """One of the former is an alias of a gene; of a single vector nothing is left when the mean is removed."""
    adata = original.copy()
    adata.var_names = [f"{named}{number}" for number in range(adata.n_vars)]
    with pytest.raises(ValueError, match="semst.tl.cluster: no gene has a vector.*with `semantics_key=None`"):
        semst.tl.cluster(adata, n_clusters=DOMAINS, epochs=1, progress=False)
    semst.tl.cluster(adata, n_clusters=DOMAINS, epochs=1, semantics_key=None, progress=False)


@pytest.mark.parametrize(("bare", "tells"), [(150, False), (151, True)])
def test_most_spots_without_semantics_are_told(original, caplog, bare, tells):
    adata = original.copy()
    adata.obsm["mine"] = np.random.default_rng(0).normal(size=(300, 4)).astype(np.float32)
    adata.obsm["mine"][:bare] = 0
    with caplog.at_level(logging.WARNING, logger="semst"):
        semst.tl.cluster(adata, n_clusters=DOMAINS, epochs=1, semantics_key="mine", progress=False)
    assert (f"{bare} have no semantics (zeros in obsm['mine'])" in caplog.text) == tells


def test_interrupted_training_leaves_the_object_alone(original, monkeypatch):
    import semst.training._train_whole as train_module

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train_module, "fit", interrupted)
    adata = original.copy()
    with pytest.raises(KeyboardInterrupt):
        semst.tl.cluster(adata, n_clusters=DOMAINS, progress=False)
    _assert_same(adata, original)


def test_genes_without_counts_are_left_out_quietly(original):
    """Filtered spots leave such genes behind in ordinary tables."""
    adata = original.copy()
    counts = adata.X.tolil()
    counts[:, 7] = 0
    adata.X = counts.tocsr()
    semst.tl.cluster(adata, n_clusters=DOMAINS, epochs=2, progress=False)
    assert adata.uns["semst"]["n_genes"] == adata.n_vars - 1


def _assert_same(adata: ad.AnnData, before: ad.AnnData) -> None:
    np.testing.assert_array_equal(adata.X.toarray(), before.X.toarray())
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    pd.testing.assert_frame_equal(adata.var, before.var)
    for name in ("obsm", "varm", "obsp", "layers", "uns"):
        assert list(getattr(adata, name)) == list(getattr(before, name))
    for key in before.obsm:
        np.testing.assert_array_equal(adata.obsm[key], before.obsm[key])


def test_too_few_spots(original):
    with pytest.raises(ValueError, match="9 spots are too few; domains are sought in at least 10"):
        semst.tl.cluster(original[:9].copy(), n_clusters=2, progress=False)


def test_one_spot_is_told_in_the_singular(original):
    with pytest.raises(ValueError, match="1 spot is too few; domains are sought in at least 10"):
        semst.tl.cluster(original[:1].copy(), n_clusters=2, progress=False)


@pytest.mark.parametrize("n_clusters", [None, 2, 12])
def test_fewer_spots_than_can_be_told_do_not_depend_on_what_is_asked(original, n_clusters):
    with pytest.raises(ValueError, match="3 spots are too few; domains are sought in at least 10") as caught:
        semst.tl.cluster(original[:3].copy(), n_clusters=n_clusters, progress=False)
    assert "ask for fewer" not in str(caught.value)


@pytest.mark.parametrize("preset", ["default", "published"])
def test_a_number_that_nobody_asked_for_is_not_blamed_on_the_user(original, monkeypatch, preset):
    monkeypatch.setattr(_domains, "members", lambda *_, **__: [np.zeros(40, dtype=np.int64)] * 2)
    adata, before = original[:40].copy(), original[:40].copy()
    with pytest.raises(
        ValueError, match="40 spots do not fall into . groups, the number that was chosen since"
    ) as caught:
        semst.tl.cluster(adata, preset=preset, epochs=2, progress=False)
    assert "ask for fewer" not in str(caught.value)
    assert "pass n_clusters" in str(caught.value)
    _assert_same(adata, before)
    with pytest.raises(ValueError, match="does not fall into 3 groups; ask for fewer domains"):
        semst.tl.cluster(adata, preset=preset, n_clusters=3, epochs=2, progress=False)


@pytest.fixture(scope="module")
def tiny() -> ad.AnnData:
    """Twelve spots, which k-means at times takes for a single one."""
    return semst.datasets.simulated(n_spots=400, n_genes=200, progress=False)[:12].copy()


@pytest.mark.parametrize("n_clusters", [3, None])
def test_warnings_of_fits_on_tiny_tissue_become_one_line(tiny, caplog, n_clusters):
    adata = tiny.copy()
    with caplog.at_level(logging.WARNING, logger="semst"):
        semst.tl.cluster(adata, n_clusters=n_clusters, epochs=2, progress=False)  # sklearn's warnings would be errors
    told = [record.getMessage() for record in caplog.records if "fits found fewer than" in record.getMessage()]
    assert len(told) == 1
    assert "obs['semst_confidence']" in told[0]


def test_ordinary_tissue_has_no_such_line(original, caplog):
    with caplog.at_level(logging.WARNING, logger="semst"):
        semst.tl.cluster(original.copy(), n_clusters=3, epochs=2, progress=False)
    assert not [record for record in caplog.records if "fits found fewer than" in record.getMessage()]


def _warn_of_all() -> None:
    warnings.warn("groups", ConvergenceWarning, stacklevel=1)
    with ThreadPoolExecutor(1) as executor:
        executor.submit(warnings.warn, "in a thread", ConvergenceWarning).result()
    warnings.warn("something else", UserWarning, stacklevel=1)


def test_other_warnings_pass_while_those_of_fits_are_collected():
    with pytest.warns(UserWarning, match="something else"), unsettled() as messages:
        _warn_of_all()
    assert messages == ["groups", "in a thread"]


def test_all_spots_in_one_place(original):
    adata = original.copy()
    adata.obsm["spatial"] = np.zeros((adata.n_obs, 2))
    with pytest.raises(ValueError, match=r"all spots lie in one place in obsm\['spatial'\]"):
        semst.tl.cluster(adata, n_clusters=2, progress=False)


def test_raw_counts_are_refused_where_logged_expression_is_asked_for(original):
    adata = original.copy()
    adata.layers["logged"] = adata.X.log1p()
    assert adata.X.max() > 20
    with pytest.raises(
        ValueError, match=r"X looks like raw counts: all its values are whole.*or leave out `likelihood`"
    ):
        semst.tl.cluster(adata, n_clusters=DOMAINS, likelihood="gaussian", progress=False)
    adata.X.data = np.minimum(adata.X.data, 20)  # a logarithm could be as high
    for layer in (None, "logged"):
        semst.tl.cluster(adata, n_clusters=DOMAINS, likelihood="gaussian", layer=layer, epochs=1, progress=False)
