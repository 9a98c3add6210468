from __future__ import annotations

import time
import timeit

import anndata
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semst.semantics._packaged import gene_index, packaged_table
from semst.semantics._resolve import infer_species, resolve_genes


def one(name, species):
    found = resolve_genes([name], species=species)
    return str(found.how[0]), str(found.symbols[0])


# Looked up by hand at HGNC and MGI.
@pytest.mark.parametrize(
    ("name", "way", "symbol"),
    [
        ("MBP", "symbol", "MBP"),
        ("mbp", "case", "MBP"),
        ("Malat1", "case", "MALAT1"),
        ("c1orf159", "case", "C1orf159"),
        ("MARCH1", "previous", "MARCHF1"),
        ("SEPT7", "previous", "SEPTIN7"),
        ("FAM46A", "previous", "TENT5A"),
        ("HIST1H4C", "previous", "H4C3"),
        ("ATP5A1", "previous", "ATP5F1A"),
        ("p53", "alias", "TP53"),
        ("HER2", "alias", "ERBB2"),
        ("Oct4", "alias", "POU5F1"),
        ("ENSG00000197971", "ensembl", "MBP"),
        ("ENSG00000141510.18", "ensembl", "TP53"),
        ("ensg00000141510.18", "ensembl", "TP53"),
        ("TP53_ENSG00000141510", "ensembl", "TP53"),
        ("GRCh38_ACTB", "prefix", "ACTB"),
        ("GRCh38______SEPT7", "prefix", "SEPTIN7"),
        ("GRCh38_ENSG00000197971.17", "ensembl", "MBP"),
        ("Trp53", "ortholog", "TP53"),
        ("ENSMUSG00000041607.9", "ortholog", "MBP"),
        ("HLA.A", "punctuation", "HLA-A"),
        ("ECSCR.1", "repeat", "ECSCR"),
        (" MBP ", "symbol", "MBP"),
        ("NORAD", "symbol", "NORAD"),
    ],
)
def test_human_names(name, way, symbol):
    assert one(name, "human") == (way, symbol)


@pytest.mark.parametrize(
    ("name", "way", "symbol"),
    [
        ("Mbp", "symbol", "Mbp"),
        ("MBP", "case", "Mbp"),
        ("MT-ND1", "case", "mt-Nd1"),
        ("Sept7", "alias", "Septin7"),
        ("NeuN", "alias", "Rbfox3"),
        ("1110008F13RIK", "alias", "Rab5if"),
        ("X1110008F13Rik", "punctuation", "Rab5if"),
        ("ENSMUSG00000041607.18", "ensembl", "Mbp"),
        ("mm10___Actb", "prefix", "Actb"),
        ("GRCm38_Actb", "prefix", "Actb"),
        ("TP53", "ortholog", "Trp53"),
        ("ENSG00000197971", "ortholog", "Mbp"),
        # Both Ccn3 and Plxna1 were called so; the human symbol of that name has become CCN3.
        ("Nov", "ortholog", "Ccn3"),
    ],
)
def test_mouse_names(name, way, symbol):
    assert one(name, "mouse") == (way, symbol)


@pytest.mark.parametrize(
    "name", ["no gene", "AC012345.1", "ERCC-00002", "", "ENSG99999999999", "IL-1", "-1", "GRCh38_", "A" + 3000 * ".1"]
)
def test_what_is_no_gene_is_unknown(name):
    found = resolve_genes([name], species="human")
    assert found.how.tolist() == ["unknown"]
    assert found.unknown == (name,)
    assert found.rows.tolist() == [-1]
    assert not found.known.any()


def test_names_of_several_genes_are_reported_with_all_of_them():
    found = resolve_genes(["QARS", "MBP", "STRA13"], species="human")
    assert found.how.tolist() == ["ambiguous", "symbol", "ambiguous"]
    assert found.ambiguous == {"QARS": ("EPRS1", "QARS1"), "STRA13": ("BHLHE40", "CENPX")}
    assert found.rows[0] == -1
    assert found.unknown == ()


def test_an_official_symbol_wins_over_the_alias_of_another_gene():
    # Also an alias of MBL2 and PRG2; a previous symbol of GALNTL5; an alias of mouse Pzp.
    assert one("MBP", "human") == ("symbol", "MBP")
    assert one("GALNT15", "human") == ("symbol", "GALNT15")
    assert one("A2m", "mouse") == ("symbol", "A2m")


def test_a_previous_symbol_wins_over_the_alias_of_another_gene():
    index = gene_index("human")
    assert not set(index.previous) & set(index.alias)
    assert not set(index.official) & (set(index.previous) | set(index.alias))


def test_a_repeated_name_needs_the_first_one_beside_it():
    alone = resolve_genes(["TBCE-1"], species="human")
    assert alone.how.tolist() == ["unknown"]
    both = resolve_genes(["TBCE-1", "TBCE"], species="human")
    assert both.how.tolist() == ["repeat", "symbol"]
    assert both.symbols.tolist() == ["TBCE", "TBCE"]
    # A symbol that looks like a repeat is none, even beside the gene that it would repeat.
    assert one("NKX2-1", "human") == ("symbol", "NKX2-1")
    made_unique = anndata.AnnData(np.zeros((1, 3), dtype=np.float32))
    made_unique.var_names = ["MATR3", "MATR3", "MBP"]
    made_unique.var_names_make_unique()
    assert resolve_genes(made_unique.var_names, species="human").symbols.tolist() == ["MATR3", "MATR3", "MBP"]


def test_a_gene_without_vector_is_recognised_all_the_same():
    found = resolve_genes(["NORAD", "MBP", "no gene"], species="human")
    assert found.known.tolist() == [True, True, False]
    assert found.has_vector.tolist() == [False, True, False]
    assert found.without_vector == ("NORAD",)
    assert found.unknown == ("no gene",)
    assert found.coverage == pytest.approx(2 / 3)


def test_antibody_genes_have_vectors():
    # Their genes come in segments and are not counted as coding, yet they dominate tissue with plasma cells.
    assert resolve_genes(["IGKC", "IGHG1", "IGHM", "TRAC"], species="human").has_vector.all()
    assert resolve_genes(["Igkc", "Ighm", "Trac"], species="mouse").has_vector.all()


def test_orthologs_share_a_row():
    human = resolve_genes(["MBP", "PLP1", "TP53", "MALAT1", "DAZL", "RPLP0"], species="human")
    mouse = resolve_genes(["Mbp", "Plp1", "Trp53", "Malat1", "Dazl", "Rplp0"], species="mouse")
    assert human.rows.tolist() == mouse.rows.tolist()
    assert human.has_vector.all()


def test_summary_counts_everything():
    text = resolve_genes(["MBP", "mbp", "SEPT7", "NORAD", "QARS", "a?", "b?", "c?", "d?"], species="human").summary()
    assert text == (
        "4 of 9 gene names recognised as human (2 by symbol, 1 by symbol in other letter case, 1 by previous symbol), "
        "3 with a vector; 1 ambiguous: QARS; 4 unknown: a?, b?, c?, ..."
    )


def test_no_names():
    found = resolve_genes([])
    assert found.rows.shape == found.symbols.shape == found.how.shape == (0,)
    assert found.coverage == 0
    assert found.summary() == "0 of 0 gene names recognised as human, 0 with a vector"


@pytest.mark.parametrize(
    ("names", "species"),
    [
        (["ENSG00000197971", "ENSG00000141510.2"], "human"),
        (["ENSMUSG00000041607.3", "MBP", "PLP1"], "mouse"),
        (["mm10___MBP", "mm10___PLP1"], "mouse"),
        (["MBP", "PLP1", "MOG"], "human"),
        (["Mbp", "Plp1", "Mog"], "mouse"),
        (["Trp53", "TP53", "Mbp"], "mouse"),
        (["Mbp", "Plp1", "ENSG00000186868"], "mouse"),
        (["MBP", "PLP1", "HLA-A", "CD177", "mm10_Cre"], "human"),
        (["MBP", "H2-K1", "GM1992", "1700001C19RIK", "TRP53", "IFI27L2A"], "mouse"),
        (["MBP", "mbp", "HLA-A", "Xist"], "human"),
        ([], "human"),
        (["nothing", "known"], "human"),
    ],
)
def test_species_is_found(names, species):
    assert infer_species(names) == species
    assert infer_species(names[::-1]) == species
    assert resolve_genes(names).species == species


@pytest.mark.parametrize("file", ["dlpfc_151673", "her2st_H1", "starmap_mvc", "starmap_mpfc_BZ5", "osmfish_ssc"])
def test_real_tissue_is_covered(real_file, file):
    adata = anndata.read_h5ad(real_file(file))
    found = resolve_genes(adata.var_names)
    assert found.species == ("human" if file.startswith(("dlpfc", "her2st")) else "mouse")
    counts = np.asarray(adata.X.sum(axis=0)).ravel()
    with_vector = counts[found.has_vector].sum() / counts.sum()
    # STARmap's eRNA1 to eRNA5 are enhancers and carry 4.6 % of the counts of that panel.
    assert with_vector > (0.95 if file == "starmap_mpfc_BZ5" else 0.98)


@pytest.mark.parametrize(
    ("file", "species"), [("dlpfc_151673", "human"), ("her2st_H1", "human"), ("starmap_mvc", "mouse")]
)
def test_species_of_real_tissue_is_found_in_any_case(real_file, file, species):
    names = anndata.read_h5ad(real_file(file)).var_names
    assert infer_species(names) == infer_species(names.str.upper()) == infer_species(names.str.lower()) == species


def test_ensembl_ids_and_symbols_of_real_tissue_agree(real_file):
    adata = anndata.read_h5ad(real_file("dlpfc_151673"))
    by_symbol = resolve_genes(adata.var_names, species="human")
    by_id = resolve_genes(adata.var["gene_ids"].astype(str), species="human")
    both = by_symbol.known & by_id.known
    assert both.mean() > 0.85
    assert np.mean(by_symbol.symbols[both] == by_id.symbols[both]) > 0.998


def any_names(species):
    index = gene_index(species)
    pool = [*index.symbols[::97], *list(index.previous)[::97], *list(index.alias)[::97], "no gene", "QARS", "MATR3-1"]
    return st.lists(st.sampled_from(pool), min_size=1, max_size=30)


@given(st.data(), st.sampled_from(["human", "mouse"]))
@settings(max_examples=60)
def test_order_does_not_matter(data, species):
    names = data.draw(any_names(species))
    order = data.draw(st.permutations(range(len(names))))
    straight = resolve_genes(names, species=species)
    shuffled = resolve_genes([names[i] for i in order], species=species)
    assert shuffled.rows.tolist() == straight.rows[list(order)].tolist()
    assert shuffled.symbols.tolist() == straight.symbols[list(order)].tolist()
    assert shuffled.how.tolist() == straight.how[list(order)].tolist()
    assert shuffled.ambiguous == straight.ambiguous
    assert infer_species(names) == infer_species([names[i] for i in order])


@given(st.data(), st.sampled_from(["human", "mouse"]), st.sampled_from([str.upper, str.lower, str.title, str.swapcase]))
@settings(max_examples=60)
def test_case_loses_no_gene(data, species, change):
    names = data.draw(any_names(species))
    as_written = resolve_genes(names, species=species)
    changed = resolve_genes([change(name) for name in names], species=species)
    assert changed.symbols.tolist() == as_written.symbols.tolist()
    assert changed.rows.tolist() == as_written.rows.tolist()


@given(st.lists(st.text(max_size=12), max_size=10))
@settings(max_examples=100)
def test_any_text_gets_one_answer_for_each_name(names):
    found = resolve_genes(names)
    assert found.names == tuple(names)
    assert len(found.rows) == len(found.symbols) == len(found.how) == len(names)
    assert (found.has_vector <= found.known).all()
    lost = np.isin(found.how, ["unknown", "ambiguous"])
    assert (lost == ~found.known).all()


@pytest.mark.parametrize("species", ["human", "mouse"])
def test_every_official_symbol_means_its_gene(species):
    symbols = gene_index(species).symbols
    found = resolve_genes(symbols, species=species)
    assert found.symbols.tolist() == list(symbols)
    assert set(found.how.tolist()) == {"symbol"}
    assert infer_species(symbols) == species
    assert found.rows.max() < len(packaged_table().vectors)


def test_thirty_thousand_names_are_fast():
    """In seconds of the processor, and in look-ups of the same machine, of which it takes two to five times these."""
    index = gene_index("human")
    names = [*index.symbols[:15000], *list(index.alias)[:5000], *(f"AC{n:06d}.1" for n in range(10000))]

    def look_up_ten_times():
        return [name.strip().upper() in index.official for _ in range(10) for name in names]

    def least_time(work):
        return min(timeit.repeat(work, number=1, repeat=5, timer=time.process_time))

    taken = least_time(lambda: resolve_genes(names))
    assert taken < 0.3
    assert taken < 8 * least_time(look_up_ten_times)


def test_wrong_input_is_refused():
    with pytest.raises(TypeError, match="sequence of gene names, got str"):
        resolve_genes("MBP")
    with pytest.raises(TypeError, match="2 other values, such as nan"):
        resolve_genes(["MBP", float("nan"), 3])
    with pytest.raises(TypeError, match="got int"):
        infer_species(3)
    with pytest.raises(ValueError, match="'human', 'mouse' or None.*got 'rat'"):
        resolve_genes(["MBP"], species="rat")
