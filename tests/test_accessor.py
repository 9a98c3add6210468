from __future__ import annotations

import inspect

import anndata
import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import semst
from semst._accessor import SemSTAccessor

FUNCTIONS = {
    "gene_semantics": semst.pp.gene_semantics,
    "cluster": semst.tl.cluster,
    "query": semst.tl.query,
    "describe": semst.tl.describe,
    "semantic_control": semst.tl.semantic_control,
    "transfer": semst.tl.transfer,
    "domains": semst.pl.domains,
    "modulation": semst.pl.modulation,
    "stability": semst.pl.stability,
    "training": semst.pl.training,
}
NOT_OF_METHODS = {"data", "table_key", "coordinate_system"}  # the last two only matter to SpatialData


@pytest.fixture
def adata():
    return semst.datasets.simulated(n_spots=120, n_genes=60, n_domains=3, progress=False)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_methods_take_the_arguments_of_their_functions(name):
    expected = inspect.signature(FUNCTIONS[name]).parameters.values()
    _, *got = inspect.signature(getattr(SemSTAccessor, name)).parameters.values()
    assert [str(each) for each in got] == [str(each) for each in expected if each.name not in NOT_OF_METHODS]


def test_every_verb_has_a_method():
    """A picture has none where the verb that it shows has its name."""
    verbs = {*semst.pp.__all__, *semst.tl.__all__, *semst.pl.__all__}
    assert {name for name in vars(SemSTAccessor) if not name.startswith("_")} == verbs


@pytest.mark.parametrize("name", FUNCTIONS)
def test_help_names_the_function(name):
    function = FUNCTIONS[name]
    place = ".".join([*function.__module__.split(".")[:2], name])
    assert f":func:`{place}`" in getattr(SemSTAccessor, name).__doc__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_handed_on(name, adata, monkeypatch):
    received = {}

    def record(*positional, **options):
        received.update(zip(inspect.signature(FUNCTIONS[name]).parameters, positional, strict=False), **options)
        return "the result"

    part = FUNCTIONS[name].__module__.split(".")[1]
    monkeypatch.setattr(getattr(semst, part), name, record)
    method = getattr(adata.semst, name)
    sent = {each: object() for each in inspect.signature(method).parameters}
    assert method(**sent) == "the result"
    assert received.pop("data") is adata
    assert received == sent


def test_three_lines_write_what_the_functions_write(adata):
    plain = adata.copy()
    adata.semst.gene_semantics()
    adata.semst.cluster(n_clusters=3, epochs=2, progress=False)
    semst.pp.gene_semantics(plain)
    semst.tl.cluster(plain, n_clusters=3, epochs=2, progress=False)
    pd.testing.assert_frame_equal(adata.obs, plain.obs)
    np.testing.assert_array_equal(adata.obsm["gene_semantics"], plain.obsm["gene_semantics"])
    np.testing.assert_array_equal(adata.obsm["X_semst"], plain.obsm["X_semst"])
    axes = adata.semst.domains()
    assert axes.get_title() == "semst"
    plt.close(axes.figure)


def test_a_copy_is_returned_and_the_original_left_alone(adata):
    copied = adata.semst.gene_semantics(copy=True)
    assert "gene_semantics" in copied.obsm
    assert "gene_semantics" not in adata.obsm


def test_copies_and_views_have_an_accessor_of_their_own(adata):
    adata.semst.gene_semantics()
    part = adata[:50].copy()
    part.semst.gene_semantics(key_added="again")
    assert "again" in part.obsm
    assert "again" not in adata.obsm


def test_other_accessors_and_squidpy_are_left_in_peace(adata):
    @anndata.register_anndata_namespace("someone_else")
    class SomeoneElse:
        def __init__(self, adata: anndata.AnnData):
            self.n = adata.n_obs

    try:
        import squidpy  # noqa: F401

        assert adata.someone_else.n == adata.n_obs
        assert isinstance(adata.semst, SemSTAccessor)
    finally:
        del anndata.AnnData.someone_else
