"""Naming domains: planted tissue, tissue without domains, vocabularies of users, and what is refused."""

from __future__ import annotations

import logging

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import semst
from semst._keys import UNNAMED
from semst.semantics._packaged import gene_index
from semst.tl import _describe as module
from semst.tl._describe import describe

MYELIN = ["MBP", "PLP1", "MOG", "MAG", "MOBP", "CNP", "CLDN11", "OPALIN", "MYRF", "ERMN", "ASPA", "UGT8"]
SYNAPSE = ["SNAP25", "SYT1", "SYP", "VAMP2", "STX1A", "SV2A", "SYN1", "GRIN1", "GRIA2", "DLG4", "CAMK2A", "SLC17A7"]
KEY = "gene_semantics"
COLUMNS = ["domain", "term", "kind", "effect", "z", "p_value", "fdr", "genes"]


class Letters:
    """Knows letters only."""

    name = "letters-1"

    def encode(self, texts):
        return np.array([[text.lower().count(letter) for letter in "aeioxyz"] for text in texts], dtype=np.float32)


def planted(*, n=200, n_others=250, fold=3.0, seed=0):
    """Myelin in the first half of the spots, synapses in the second, amid genes drawn from the whole genome."""
    rng = np.random.default_rng(seed)
    index = gene_index("human")
    symbols = [symbol for symbol, row in zip(index.symbols, index.rows, strict=True) if row >= 0]
    others = [str(name) for name in rng.choice(symbols, n_others, replace=False) if name not in {*MYELIN, *SYNAPSE}]
    names = [*MYELIN, *SYNAPSE, *others]
    rate = np.tile(rng.gamma(2.0, 1.0, size=len(names)) + 0.3, (n, 1))
    first = np.arange(n) < n // 2
    rate[np.ix_(first, np.arange(12))] *= fold
    rate[np.ix_(~first, np.arange(12, 24))] *= fold
    counts = rng.poisson(rate).astype(np.float32)
    adata = ad.AnnData(sparse.csr_matrix(counts))
    adata.obs_names, adata.var_names = [f"spot{number}" for number in range(n)], names
    adata.obs["half"] = pd.Categorical(np.where(first, "first", "second"))
    semst.pp.gene_semantics(adata, species="human")
    return adata


@pytest.fixture(scope="module")
def tissue() -> ad.AnnData:
    return planted()


@pytest.fixture(scope="module")
def described(tissue) -> tuple[ad.AnnData, pd.DataFrame]:
    adata = tissue.copy()
    return adata, describe(adata, key="half")


@pytest.fixture(scope="module")
def cells() -> ad.AnnData:
    adata = semst.datasets.simulated(n_spots=400, n_genes=300, n_domains=3, random_state=1, progress=False)
    semst.pp.gene_semantics(adata)
    return adata


def names(adata, key="half"):
    return adata.uns[f"{key}_description"]["names"]


# What it finds


def test_planted_domains_are_named(described):
    adata, terms = described
    assert any(word in names(adata).loc["first", "name"] for word in ("myelin", "oligodendrocyte"))
    for domain, own, other in (("first", MYELIN, SYNAPSE), ("second", SYNAPSE, MYELIN)):
        listed = set(" ".join(terms.loc[terms["domain"] == domain, "genes"]).split())
        assert len(listed & set(own)) >= 5
        assert not listed & set(other)
    found = terms[terms["domain"] == "second"]["term"].tolist()
    assert any("synap" in term for term in found)
    assert not any("myelin" in term for term in found)


def test_it_writes_what_it_says_and_nothing_else(tissue, described):
    adata, terms = described
    assert list(terms) == COLUMNS
    result = adata.uns["half_description"]
    assert set(result) == {"names", "terms", "params", "versions"}
    pd.testing.assert_frame_equal(result["terms"], terms)
    assert result["params"] == {
        "key": "half",
        "fdr": 0.05,
        "n_permutations": 99,
        "semantics_key": KEY,
        "random_state": 0,
        "n_terms": len(semst.semantics.packaged_vocabulary().terms),
    }
    assert list(result["names"]) == ["name", "account"]
    assert result["names"].index.name == "domain"
    assert list(result["names"].index) == ["first", "second"]
    assert (terms["effect"] > 0).all()
    assert (terms["fdr"] < 0.05).all()
    assert (terms["p_value"] <= terms["fdr"]).all()
    assert (terms["z"] > 0).all()
    assert (terms[["effect", "z", "p_value", "fdr"]].dtypes == np.float64).all()
    assert terms["genes"].str.split().str.len().between(1, 5).all()
    assert set(" ".join(terms["genes"]).split()) <= set(adata.var_names)
    for domain, own in terms.groupby("domain"):
        assert own["effect"].is_monotonic_decreasing
        first = own[own["kind"] != "process"].iloc[0]
        assert names(adata).loc[domain, "name"] == first["term"]
        account = names(adata).loc[domain, "account"]
        assert account.startswith(f"{first['term']}, ")
        assert f"genes: {first['genes'].split()[0]}" in account or "genes: " in account
    _assert_same(adata, tissue, but="half_description")


def test_names_are_made_of_things_and_accounts_of_both():
    account = pd.DataFrame(
        [
            ("a", "eating", "process", "G1 G2"),
            ("a", "mouth", "structure", "G2 G3"),
            ("a", "tooth", "structure", "G4"),
            ("a", "tongue", "structure", "G5"),
            ("a", "lip", "structure", "G6"),
            ("b", "sleeping", "process", "G7"),
        ],
        columns=["domain", "term", "kind", "genes"],
    )
    found = module._names(account, ["a", "b", "c"])
    assert found["name"].tolist() == ["mouth", UNNAMED, UNNAMED]
    assert found["account"].tolist() == [
        "mouth, tooth, tongue; processes: eating; genes: G1 G2 G3 G4",
        "processes: sleeping; genes: G7",
        "",
    ]


def test_shuffled_spots_have_no_terms(tissue):
    """FDR 0.05 in each domain: of 40 of nothing, two may have a term; six or more are one case in seventy."""
    with_terms = 0
    for seed in range(20):
        adata = tissue.copy()
        adata.obs["half"] = np.random.default_rng(seed).permutation(tissue.obs["half"])
        with_terms += describe(adata, key="half", n_permutations=29, random_state=seed)["domain"].nunique()
    assert with_terms <= 5


def test_vectors_dealt_to_other_genes_name_nothing(tissue):
    """The domains are real here, only the meaning is not: the same bound."""
    with_terms = 0
    for seed in range(20):
        adata = tissue.copy()
        vectors = adata.varm[KEY]
        known = np.flatnonzero(vectors.any(axis=1))
        vectors[known] = vectors[np.random.default_rng(seed).permutation(known)]
        with_terms += describe(adata, key="half", n_permutations=29, random_state=seed)["domain"].nunique()
    assert with_terms <= 5


@pytest.mark.parametrize("test", ["against_genes", "against_spots"])
def test_both_tests_must_agree(tissue, monkeypatch, test):
    original = getattr(module, test)

    def unconvinced(*args, **kwargs):
        size, p = original(*args, **kwargs)
        return size, np.full_like(p, 0.2)

    monkeypatch.setattr(module, test, unconvinced)
    assert describe(tissue.copy(), key="half").empty
    assert not describe(tissue.copy(), key="half", fdr=0.99).empty


def test_domains_that_nothing_tells_apart_have_no_name(tissue):
    adata = tissue.copy()
    adata.obs["turn"] = np.where(np.arange(adata.n_obs) % 2, "odd", "even")
    terms = describe(adata, key="turn")
    assert terms.empty
    assert list(terms) == COLUMNS
    assert names(adata, "turn")["name"].tolist() == [UNNAMED, UNNAMED]
    assert names(adata, "turn")["account"].tolist() == ["", ""]


# What must not matter


def test_names_of_domains_and_order_of_spots_do_not_matter(cells):
    plain, moved = cells.copy(), cells.copy()
    moved.obs["ground_truth"] = moved.obs["ground_truth"].cat.rename_categories(
        {"WM": "a", "Layer5": "z", "Layer6": "m"}
    )
    moved = moved[np.random.default_rng(0).permutation(moved.n_obs)].copy()
    expected, found = (describe(adata, key="ground_truth") for adata in (plain, moved))
    back = found.assign(domain=found["domain"].map({"a": "WM", "z": "Layer5", "m": "Layer6"}))
    # The null of a domain depends on its number, so that p-values move within their error.
    for domain in ("WM", "Layer5", "Layer6"):
        one, other = (each[each["domain"] == domain].set_index("term") for each in (expected, back))
        both = one.index.intersection(other.index)
        assert len(both) >= 0.8 * max(len(one), len(other))
        np.testing.assert_allclose(one.loc[both, ["effect", "z"]], other.loc[both, ["effect", "z"]], rtol=1e-2)
        assert (
            names(plain, "ground_truth").loc[domain, "name"]
            == (names(moved, "ground_truth").loc[{"WM": "a", "Layer5": "z", "Layer6": "m"}[domain], "name"])
        )


def test_twice_the_counts_give_the_same_account(tissue, described):
    adata = tissue.copy()
    depth = np.random.default_rng(0).choice([1.0, 4.0], size=adata.n_obs)
    adata.X = sparse.csr_matrix(sparse.diags(depth) @ adata.X, dtype=np.float32)
    pd.testing.assert_frame_equal(describe(adata, key="half"), described[1])


@pytest.mark.parametrize("kind", ["str", "int", "float", "bool", "category"])
def test_labels_of_any_kind(tissue, described, kind):
    adata = tissue.copy()
    first = np.arange(adata.n_obs) < adata.n_obs // 2
    labels = {
        "str": np.where(first, "first", "second").astype(object),
        "int": np.where(first, 1, 2),
        "float": np.where(first, 1.0, 2.0),
        "bool": ~first,
        "category": pd.Categorical(np.where(first, "first", "second"), categories=["first", "nobody", "second"]),
    }[kind]
    adata.obs["half"] = labels
    found = describe(adata, key="half")
    pd.testing.assert_frame_equal(found.drop(columns="domain"), described[1].drop(columns="domain"))
    assert all(isinstance(domain, str) for domain in names(adata).index)
    assert len(names(adata)) == 2


def test_spots_without_a_domain_are_left_out(tissue, described):
    adata = tissue.copy()
    labels = adata.obs["half"].astype(object).to_numpy()
    labels[::5] = np.nan
    adata.obs["half"] = pd.Categorical(labels)
    found = describe(adata, key="half")
    assert set(found["domain"]) == {"first", "second"}
    assert names(adata).loc["first", "name"] == names(described[0]).loc["first", "name"]
    # If the spots without a domain counted among the others, they would add myelin to what the second half lacks.
    strong = adata.copy()
    counts = strong.X.tolil()
    counts[::5, :12] = 500
    strong.X = counts.tocsr()
    again = describe(strong, key="half")
    assert names(strong).loc["first", "name"] == names(adata).loc["first", "name"]
    assert any("synap" in term for term in again.loc[again["domain"] == "second", "term"])


def test_same_seed_same_bytes(tissue, described):
    pd.testing.assert_frame_equal(describe(tissue.copy(), key="half"), described[1], check_exact=True)
    other = describe(tissue.copy(), key="half", random_state=5)
    assert not other["p_value"].equals(described[1]["p_value"])


def test_spatialdata(cells, as_spatialdata):
    sdata = as_spatialdata(cells)
    found, expected = describe(sdata, key="ground_truth"), describe(cells.copy(), key="ground_truth")
    pd.testing.assert_frame_equal(found, expected)
    assert "ground_truth_description" in sdata["table"].uns


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
@pytest.mark.parametrize("key", ["half", "turn"])
def test_results_can_be_written_and_read(tissue, tmp_path, form, key):
    adata = tissue.copy()
    adata.obs["turn"] = np.where(np.arange(adata.n_obs) % 2, "odd", "even")  # no term fits
    terms = describe(adata, key=key, organs=("brain", "nerve"))
    assert terms.empty == (key == "turn")
    path = tmp_path / f"result.{form}"
    getattr(adata, f"write_{form}")(path)
    back = getattr(ad, f"read_{form}")(path).uns[f"{key}_description"]
    here = adata.uns[f"{key}_description"]
    assert list(back["terms"]) == COLUMNS
    for column in COLUMNS:
        assert back["terms"][column].tolist() == terms[column].tolist()
    for column in ("effect", "z", "p_value", "fdr"):
        assert terms[column].dtype == back["terms"][column].dtype == np.float64
    assert back["names"].index.tolist() == here["names"].index.tolist()
    assert back["names"].to_dict("list") == here["names"].to_dict("list")
    assert list(back["params"]["organs"]) == ["brain", "nerve"]
    assert float(back["params"]["fdr"]) == 0.05


# Vectors, and the default key


def test_clusters_are_described_by_default(tissue, described):
    adata = tissue.copy()
    adata.obs["semst"] = adata.obs["half"]
    pd.testing.assert_frame_equal(describe(adata), described[1])
    assert "semst_description" in adata.uns


def test_no_model_is_needed(tissue, described, monkeypatch):
    def never(encoder):
        raise AssertionError(encoder)

    monkeypatch.setattr("semst.semantics._words._open", never)
    pd.testing.assert_frame_equal(describe(tissue.copy(), key="half"), described[1])


def test_missing_vectors_are_made_announced_and_kept(cells, caplog):
    adata = cells.copy()
    del adata.varm[KEY], adata.obsm[KEY], adata.uns[KEY]
    with caplog.at_level(logging.INFO, logger="semst"):
        found = describe(adata, key="ground_truth")
    assert "no gene vectors in varm['gene_semantics']" in caplog.text
    assert set(adata.uns[KEY]) == {"params", "coverage", "center", "versions"}
    pd.testing.assert_frame_equal(found, describe(cells.copy(), key="ground_truth"))


def test_counts_from_a_layer(tissue, described):
    adata = tissue.copy()
    adata.layers["counts"] = adata.X.copy()
    adata.X = adata.X * 0.5
    pd.testing.assert_frame_equal(describe(adata, key="half", layer="counts"), described[1])
    assert adata.uns["half_description"]["params"]["layer"] == "counts"


def test_own_encoder_reads_the_vocabulary(tissue, tmp_path):
    adata = tissue.copy()
    rng = np.random.default_rng(0)
    text = {name: "".join(rng.choice(list("aeioxy"), 12)) + "zzzzzz" * (name in MYELIN) for name in adata.var_names}
    semst.pp.gene_semantics(adata, encoder=Letters(), gene_text=text, cache_dir=tmp_path, progress=False)
    terms = describe(
        adata,
        key="half",
        vocabulary=["zzz zzz", "aaa", "ooo"],
        encoder=Letters(),
        cache_dir=tmp_path,
        n_permutations=99,
    )
    assert names(adata).loc["first", "name"] == "zzz zzz"
    assert set(terms.iloc[0]["genes"].split()) <= set(MYELIN)
    before = adata.copy()
    with pytest.raises(ValueError, match="come from 'letters-1'.*give it with `encoder`"):
        describe(adata, key="half", cache_dir=tmp_path)
    _assert_same(adata, before)


def test_vectors_of_spots_alone_are_no_vectors_of_genes(cells, tmp_path):
    adata = cells.copy()
    semst.pp.gene_semantics(adata, mode="spots", encoder=Letters(), cache_dir=tmp_path, progress=False)
    before = adata.copy()
    with pytest.raises(KeyError, match=r"varm\['gene_semantics'\] is missing.*='genes'.*semantics_key='genes'"):
        describe(adata, key="ground_truth")
    _assert_same(adata, before)


# Vocabularies and organs


def test_organs_keep_their_terms_and_those_of_all_organs(tissue):
    known = semst.semantics.packaged_vocabulary()
    adata = tissue.copy()
    found = describe(adata, key="half", organs="brain")
    organ = dict(zip(known.terms, known.organs, strict=True))
    assert {organ[term].split("/")[0] for term in found["term"]} <= {"brain", "any"}
    expected = sum(organ.split("/")[0] in {"brain", "any"} for organ in known.organs)
    assert adata.uns["half_description"]["params"]["n_terms"] == expected
    describe(adata, key="half", organs=("gut", "any"))
    assert not any("oligodendrocyte" in name for name in names(adata)["name"])


def test_a_part_of_an_organ_leaves_out_its_other_parts(tissue):
    known = semst.semantics.packaged_vocabulary()
    allowed = {"brain/cortex", "brain", "any"}
    adata = tissue.copy()
    describe(adata, key="half", organs="brain/cortex")
    params = adata.uns["half_description"]["params"]
    assert params["n_terms"] == sum(organ in allowed for organ in known.organs)
    assert list(params["organs"]) == ["brain/cortex"]
    organ = dict(zip(known.terms, known.organs, strict=True))
    assert organ["layer 4 excitatory neurons"] == "brain/cortex"
    assert organ["thalamus"] == "brain/thalamus"
    assert organ["myelinating oligodendrocytes"] == "brain"
    with pytest.raises(ValueError, match="organs must be among .*'brain/cortex'.*got 'brain/cort'"):
        describe(adata, key="half", organs="brain/cort")


def test_upper_and_lower_case_of_organs_do_not_matter(tissue):
    adata = tissue.copy()
    describe(adata, key="half", organs="Brain/Cortex")
    expected = adata.uns["half_description"]["params"]["n_terms"]
    describe(adata, key="half", organs="brain/cortex")
    assert adata.uns["half_description"]["params"]["n_terms"] == expected


def test_that_nothing_fits_is_said(tissue, caplog):
    adata = tissue.copy()
    with caplog.at_level(logging.WARNING, logger="semst"):
        found = describe(adata, key="half", vocabulary=["rocks", "clouds"])
    assert found.empty
    assert f"no term fits any of the 2 domains; of the {adata.n_vars} genes" in caplog.text


@pytest.mark.parametrize(
    ("organ", "wanted", "found"),
    [
        ("brain", "brain", True),
        ("brain/cortex", "brain", True),
        ("brain", "brain/cortex", True),
        ("brain/thalamus", "brain/cortex", False),
        ("brainstem", "brain", False),
        ("ear", "heart", False),
    ],
)
def test_what_is_found_in_an_organ(organ, wanted, found):
    assert module._within(organ, wanted) == found


def test_own_terms(tissue):
    adata = tissue.copy()
    terms = describe(adata, key="half", vocabulary=["myelin sheath", "synaptic vesicles", "liver", "bone marrow"])
    assert names(adata)["name"].tolist() == ["myelin sheath", "synaptic vesicles"]
    assert set(terms["kind"]) == {""}
    assert adata.uns["half_description"]["params"]["n_terms"] == 4


def test_own_kinds(tissue):
    adata = tissue.copy()
    kinds = {"myelin sheath": "process", "synaptic vesicles": "organelle", "liver": "organ"}
    terms = describe(adata, key="half", vocabulary=kinds)
    assert names(adata)["name"].tolist() == [UNNAMED, "synaptic vesicles"]
    assert names(adata).loc["first", "account"].startswith("processes: myelin sheath; genes: ")
    assert dict(zip(terms["term"], terms["kind"], strict=True)) == {
        "myelin sheath": "process",
        "synaptic vesicles": "organelle",
    }


def test_own_definitions_decide(tissue, tmp_path):
    """The term itself means nothing; its definition does."""
    path = tmp_path / "terms.tsv"
    path.write_text(
        "term\tkind\torgan\tdefinition\n"
        "sheet\tlayer\tshop\tMyelin sheath of oligodendrocytes, rich in myelin basic protein.\n"
        "talker\tlayer\tshop\tThe talker releases neurotransmitter from synaptic vesicles of neurons.\n"
        "ladder\tlayer\thouse\tThe ladder is made of bone, calcified by osteoblasts.\n",
        encoding="utf-8",
    )
    adata = tissue.copy()
    describe(adata, key="half", vocabulary=path)
    assert names(adata)["name"].tolist() == ["sheet", "talker"]
    describe(adata, key="half", vocabulary=str(path), organs="house")
    assert adata.uns["half_description"]["params"]["n_terms"] == 1
    assert names(adata)["name"].tolist() == [UNNAMED, UNNAMED]


def test_part_of_the_packaged_terms_gives_the_same_effects(tissue, described, tmp_path):
    known = semst.semantics.packaged_vocabulary()
    rows = list(zip(known.terms, known.kinds, known.organs, known.definitions, strict=True))[::-3]
    path = tmp_path / "terms.tsv"
    path.write_text("\n".join("\t".join(row) for row in [("term", "kind", "organ", "definition"), *rows]))
    found = describe(tissue.copy(), key="half", vocabulary=path).set_index(["domain", "term"])
    expected = described[1].set_index(["domain", "term"])
    both = found.index.intersection(expected.index)
    assert len(both) > 5
    np.testing.assert_allclose(found.loc[both, ["effect", "z"]], expected.loc[both, ["effect", "z"]], rtol=1e-4)


# What is refused


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"key": "nobody"}, KeyError, r"obs\['nobody'\] is missing; obs has 'half'.*semst\.tl\.cluster\(adata\)"),
        ({"organs": "brian"}, ValueError, "organs must be among .*'brain'.*got 'brian'"),
        ({"organs": ["brain", "shop"]}, ValueError, "organs must be among .*got 'brain', 'shop'"),
        ({"organs": []}, ValueError, "organs must be among .*got none"),
        ({"vocabulary": ["fat"], "organs": "brain"}, ValueError, "organs must be among 'any', got 'brain'"),
        ({"vocabulary": []}, ValueError, "holds no terms"),
        ({"vocabulary": [], "organs": 3}, ValueError, "(?s)organs must be a str or a sequence.*holds no terms"),
        ({"vocabulary": ["fat", "Fat"]}, ValueError, "terms more than once"),
        ({"vocabulary": "nowhere.tsv"}, KeyError, "no file 'nowhere.tsv'"),
        ({"vocabulary": 5}, ValueError, "a vocabulary must be"),
        ({"fdr": 0}, ValueError, "fdr must lie between 0 and 1, got 0"),
        ({"fdr": float("nan")}, ValueError, "fdr must lie between 0 and 1"),
        ({"n_permutations": 8}, ValueError, "n_permutations must be a whole number of at least 9, got 8"),
        ({"n_permutations": True}, ValueError, "n_permutations must be a whole number"),
        ({"random_state": -1}, ValueError, "random_state must be a whole number from 0"),
        ({"layer": "raw"}, KeyError, "no layer 'raw'"),
        ({"semantics_key": "mine"}, KeyError, "gene_semantics.adata, key_added='mine'"),
        ({"table_key": "table"}, ValueError, "only applies to SpatialData"),
        ({"encoder": Letters()}, ValueError, "(?s)semst.tl.describe.*all-MiniLM-L6-v2.*'letters-1'"),
    ],
)
def test_wrong_arguments(tissue, options, kind, message):
    adata = tissue.copy()
    with pytest.raises(kind, match=message):
        describe(adata, **{"key": "half", **options})
    _assert_same(adata, tissue)


@pytest.mark.parametrize(
    ("labels", "n"),
    [
        (lambda n: ["all"] * n, 1),
        (lambda n: [None] * n, 0),
        (lambda n: pd.Categorical(["all"] * n, categories=["all", "nobody"]), 1),
        (lambda n: [f"spot{number}" for number in range(n)], 200),
    ],
)
def test_no_domains_to_compare(tissue, labels, n):
    adata = tissue.copy()
    adata.obs["half"] = labels(adata.n_obs)
    before = adata.copy()
    with pytest.raises(ValueError, match=rf"obs\['half'\] must hold at least two domains, .*; it has {n}"):
        describe(adata, key="half")
    _assert_same(adata, before)


def _normalised(adata):
    adata.X = adata.X * 0.5


def _infinite_vectors(adata):
    adata.varm[KEY][0, 0] = np.inf


def _nothing_varies(adata):
    adata.X = sparse.csr_matrix(np.ones(adata.shape, dtype=np.float32))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_normalised, "does not hold whole numbers"),
        (_infinite_vectors, "must be a finite matrix"),
        (_nothing_varies, "no gene varies"),
    ],
)
def test_spoilt_data(tissue, spoil, message):
    adata = tissue.copy()
    spoil(adata)
    before = adata.copy()
    with pytest.raises(ValueError, match=message):
        describe(adata, key="half")
    _assert_same(adata, before)


def test_the_way_out_of_normalised_counts_is_an_argument_of_describe(tissue):
    adata = tissue.copy()
    _normalised(adata)
    with pytest.raises(ValueError, match=r"put the raw counts there, or into a layer and name it with `layer=`\.$"):
        describe(adata, key="half")


@pytest.mark.parametrize(
    "measured",
    [
        lambda n: np.arange(n) % 2 + 0.5,
        lambda n: np.arange(n),
        lambda n: np.arange(n) // 1.5,
    ],
    ids=["no whole numbers", "one for each spot", "most spots"],
)
def test_measured_numbers_are_no_domains(tissue, measured):
    adata = tissue.copy()
    adata.obs["total"] = measured(adata.n_obs)
    before = adata.copy()
    with pytest.raises(ValueError, match=r"obs\['total'\] is numeric \(.* spots\) and holds no domains"):
        describe(adata, key="total")
    _assert_same(adata, before)


def test_all_problems_in_one_error(tissue):
    adata = tissue.copy()
    _normalised(adata)
    _infinite_vectors(adata)
    with pytest.raises(
        ValueError, match="(?s)6 problems.*fdr.*permutations.*no domains.*organs.*whole numbers.*finite"
    ):
        describe(adata, key="nobody", fdr=2, n_permutations=1, organs="shop")


def test_notes_of_somebody_else_are_not_replaced(tissue):
    adata = tissue.copy()
    adata.obs["d"] = adata.obs["half"]
    adata.uns["d_description"] = "my notes"
    with pytest.raises(ValueError, match=r"key='d' would take the place of uns\['d_description'\]"):
        describe(adata, key="d", n_permutations=9)
    assert adata.uns["d_description"] == "my notes"
    del adata.uns["d_description"]
    for seed in range(2):  # its own may be replaced
        describe(adata, key="d", n_permutations=9, random_state=seed)
    assert adata.uns["d_description"]["params"]["random_state"] == 1


def test_a_key_that_cannot_be_written_to_disk_is_refused_with_the_way_out(tissue):
    """A space can be: scanpy users have columns such as "cell type"."""
    adata = tissue.copy()
    adata.obs["my/d"] = adata.obs["my d"] = adata.obs["half"]
    with pytest.raises(ValueError, match="key='my/d' holds '/'.*copy the labels: `adata.obs"):
        describe(adata, key="my/d", n_permutations=9)
    assert "my/d_description" not in adata.uns
    describe(adata, key="my d", n_permutations=9)
    assert "my d_description" in adata.uns


def test_labels_that_read_alike_are_refused(tissue):
    adata = tissue.copy()
    adata.obs["d"] = pd.Categorical(np.resize(np.array([1, "1", "2"], dtype=object), adata.n_obs))
    with pytest.raises(ValueError, match=r"labels that differ but read alike, as 1 and '1' do \('1'\)"):
        describe(adata, key="d", n_permutations=9)


def test_a_domain_of_one_spot_is_left_without_a_name(tissue):
    adata = tissue.copy()
    labels = adata.obs["half"].astype(str).to_numpy()
    labels[3] = "lone"
    adata.obs["half"] = labels
    terms = describe(adata, key="half")
    assert "lone" not in set(terms["domain"])
    assert names(adata).loc["lone", "name"] == UNNAMED
    assert names(adata).loc["first", "name"] != UNNAMED


def test_not_anndata():
    with pytest.raises(TypeError, match="expected AnnData or SpatialData, got DataFrame"):
        describe(pd.DataFrame())


def test_through_the_accessor(tissue, described):
    adata = tissue.copy()
    pd.testing.assert_frame_equal(adata.semst.describe(key="half"), described[1])


def _assert_same(adata, before, *, but=None):
    np.testing.assert_array_equal(adata.X.toarray(), before.X.toarray())
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    pd.testing.assert_frame_equal(adata.var, before.var)
    for name in ("obsm", "varm", "obsp", "layers", "uns"):
        assert [key for key in getattr(adata, name) if key != but] == list(getattr(before, name))
    for name in ("obsm", "varm"):
        for key in getattr(before, name):
            np.testing.assert_array_equal(getattr(adata, name)[key], getattr(before, name)[key])


def test_genes_that_go_by_ids_are_told_by_symbol(tissue, described):
    index = gene_index("human")
    ids = {index.symbols[genes[0]]: f"ENSG{number:011}" for number, genes in index.ensembl.items() if len(genes) == 1}
    by_id = tissue.copy()
    by_id.var_names = [ids.get(name, name) for name in by_id.var_names]
    assert sum(name.startswith("ENSG") for name in by_id.var_names) > 200
    pd.testing.assert_frame_equal(describe(by_id, key="half"), described[1])


# Several slices


def test_what_tells_slices_apart_names_no_domain(caplog):
    """In the second piece the genes of myelin are read more often everywhere, and most of it is domain "second"."""
    tissue = planted(n_others=500)
    more = tissue.copy()
    more.X = more.X.multiply(np.where(more.var_names.isin(MYELIN), 12, 1)).tocsr()
    joined = ad.concat({"a": tissue, "b": more}, label="slice", index_unique="-", merge="same")
    joined.varm[KEY], joined.uns[KEY] = tissue.varm[KEY], tissue.uns[KEY]
    first, left = joined.obs["half"] == "first", joined.obs["slice"] == "a"
    some = np.arange(400) % 8 == 0
    joined = joined[(first & left) | (~first & ~left) | some].copy()

    def effect(terms, domain):
        told = terms[(terms["domain"] == domain) & terms["term"].str.contains("myelin|oligodendrocyte")]
        return told["effect"].max() if len(told) else 0

    without = describe(joined, key="half")
    assert effect(without, "second") > 0.5 > 0 == effect(without, "first")
    within = describe(joined, key="half", batch_key="slice")
    assert effect(within, "first") > 1 > 0 == effect(within, "second")
    assert joined.uns["half_description"]["params"]["batch_key"] == "slice"
    assert "batch_key" not in caplog.text
    joined.uns["half"] = {"params": {"batch_key": "slice"}, "n_clusters": 2}
    describe(joined, key="half")
    assert "the domains obs['half'] were found with batch_key='slice'; pass it here too" in caplog.text


def test_slices_that_are_missing_are_told_with_all_else(tissue):
    with pytest.raises(ValueError, match=r"(?s)fdr must lie.*no obs\['sample'\], which `batch_key` names"):
        describe(tissue, key="half", batch_key="sample", fdr=2)


def test_the_encoder_is_told_beside_other_problems(tissue):
    with pytest.raises(ValueError, match=r"(?s)2 problems.*fdr must.*encoder must be .* got int"):
        semst.tl.describe(tissue.copy(), key="half", encoder=123, fdr=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"organs": 5}, "organs must be a str or a sequence of str, got 5"),
        ({"key": ["half"]}, "key must be the name of"),
    ],
)
def test_wrong_kinds_are_told(tissue, options, message):
    with pytest.raises(ValueError, match=message):
        semst.tl.describe(tissue.copy(), **{"key": "half", **options})
