"""The script that makes the packaged gene table, on sources small enough to check by hand."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from semst.semantics import _packaged
from semst.semantics._packaged import gene_index, packaged_table
from semst.semantics._resolve import resolve_genes

SCRIPT = Path(__file__).parents[2] / "datasets" / "gene_table" / "build.py"
SOURCES = Path(os.environ.get("SEMST_TEST_DATA", SCRIPT.parents[3] / "shared" / "data")).parent / "genes"
CODING = "protein-coding gene"


@pytest.fixture(scope="module")
def build():
    spec = importlib.util.spec_from_file_location("gene_table_build", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def write(path, header, rows):
    text = "\n".join("\t".join(row) for row in [header.split(), *rows]) + "\n"
    path.write_bytes(gzip.compress(text.encode(), mtime=0))


@pytest.fixture
def sources(tmp_path):
    folder = tmp_path / "genes"
    folder.mkdir()
    protein = "gene with protein product"
    write(
        folder / "human_genes.tsv.gz",
        "symbol name ensembl_id locus_group locus_type prev_symbols alias_symbols gene_group",
        [
            (
                "BBB",
                "second gene",
                "ENSG00000000002",
                CODING,
                protein,
                "OLD|AAA",
                "Nick|shared",
                "Family one|Family two",
            ),
            ("AAA", "first gene", "ENSG00000000001", CODING, protein, "", "nick2|OLD|SHARED", ""),
            ("CCC", "third gene", "", CODING, protein, "", "", ""),
            ("IGX", "antibody gene", "ENSG00000000004", "other", "immunoglobulin gene", "", "", "Antibodies"),
            ("NOTE", "RNA with a summary", "", "non-coding RNA", "RNA, long non-coding", "", "", ""),
            ("RNA", "RNA without", "ENSG00000000006", "non-coding RNA", "RNA, long non-coding", "", "", ""),
        ],
    )
    write(
        folder / "mouse_genes.tsv.gz",
        "symbol name ensembl_id feature_type alias_symbols",
        [
            ("Aaa", "first mouse gene", "ENSMUSG00000000001", "protein coding gene", "aaa-like"),
            ("Ccc1", "third mouse gene", "", "protein coding gene", ""),
            ("Own", "mouse alone", "ENSMUSG00000000003", "protein coding gene", ""),
            ("Rna", "mouse RNA", "", "lncRNA gene", ""),
        ],
    )
    write(folder / "human_refseq_summary.tsv.gz", "symbol summary", [("AAA", "Does A."), ("NOTE", "Is noted.")])
    write(folder / "mouse_refseq_summary.tsv.gz", "symbol summary", [("Ccc1", "Does C in mice."), ("Own", "Is own.")])
    write(
        folder / "orthologs_human_mouse.tsv.gz",
        "human_symbol mouse_symbol",
        [("AAA", "Aaa"), ("BBB", "Aaa"), ("CCC", "Ccc1"), ("RNA", "Rna")],
    )
    return folder


def fake_encode(texts):
    """Unit vectors of 384 numbers that depend on the text alone."""
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts]
    vectors = np.stack([np.random.default_rng(seed).normal(size=384) for seed in seeds])
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_texts_and_rows(build, sources):
    human, mouse, pairs = build.read_genes(sources)
    assert human.symbols == ["AAA", "BBB", "CCC", "IGX", "NOTE", "RNA"]
    assert human.texts == [
        "first gene. Does A.",
        "second gene. Family one, Family two.",
        "third gene. Does C in mice.",
        "antibody gene. Antibodies.",
        "RNA with a summary. Is noted.",
        "",
    ]
    assert mouse.symbols == ["Aaa", "Ccc1", "Own", "Rna"]
    assert mouse.texts == ["", "", "mouse alone. Is own.", ""]
    human_rows, mouse_rows, texts = build.choose_rows(human, mouse, pairs)
    assert human_rows == [0, 1, 2, 3, 4, -1]
    # Aaa has two orthologs and takes the one of its name.
    assert mouse_rows == [0, 2, 5, -1]
    assert texts[5] == "mouse alone. Is own."


def test_names_that_cannot_win_are_left_out(build, sources):
    human, _, _ = build.read_genes(sources)
    assert human.previous == [set(), {"OLD"}, set(), set(), set(), set()]
    assert human.alias[:2] == [{"NICK2", "SHARED"}, {"NICK", "SHARED"}]


def test_same_sources_same_bytes(build, sources, tmp_path):
    paths = [tmp_path / "one.npz", tmp_path / "two.npz"]
    for path in paths:
        build.write_archive(path, build.build(sources, fake_encode))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with np.load(paths[0], allow_pickle=False) as stored:
        assert stored["vectors"].dtype == np.int8
        assert stored["components"].dtype == np.float16


def test_order_of_the_sources_does_not_matter(build, sources, tmp_path):
    build.write_archive(tmp_path / "one.npz", build.build(sources, fake_encode))
    for path in sources.iterdir():
        header, *rows = gzip.decompress(path.read_bytes()).decode().splitlines()
        path.write_bytes(gzip.compress("\n".join([header, *rows[::-1]]).encode()))
    build.write_archive(tmp_path / "two.npz", build.build(sources, fake_encode))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


@pytest.fixture
def small_table(build, sources, tmp_path, monkeypatch):
    """Let the package read a table made of the small sources."""
    folder = tmp_path / "semantics"
    (folder / "tables").mkdir(parents=True)
    build.write_archive(folder / "tables" / "gene_table.npz", build.build(sources, fake_encode))
    monkeypatch.setattr(_packaged, "files", lambda _: folder)
    for cached in (packaged_table, gene_index):
        cached.cache_clear()
    yield build
    for cached in (packaged_table, gene_index):
        cached.cache_clear()


def test_the_package_reads_what_the_script_writes(small_table):
    table = packaged_table()
    texts = ["first gene. Does A.", "mouse alone. Is own."]
    expected = table.project(fake_encode(texts))
    rows = [
        int(resolve_genes([name], species=species).rows[0]) for name, species in [("AAA", "human"), ("Own", "mouse")]
    ]
    np.testing.assert_allclose(table.vectors[rows], expected, atol=small_table.STEP / 2 + 1e-5)
    assert table.model == small_table.MODEL

    human = resolve_genes(["aaa", "OLD", "Nick", "shared", "ENSG00000000004.7", "RNA", "Own"], species="human")
    assert human.symbols.tolist() == ["AAA", "BBB", "BBB", "", "IGX", "RNA", ""]
    assert human.how.tolist() == ["case", "previous", "alias", "ambiguous", "ensembl", "symbol", "unknown"]
    assert human.ambiguous == {"shared": ("AAA", "BBB")}
    assert human.rows.tolist() == [0, 1, 1, -1, 3, -1, -1]

    mouse = resolve_genes(["Aaa", "AAA-LIKE", "CCC", "ENSG00000000006", "Own"], species="mouse")
    assert mouse.symbols.tolist() == ["Aaa", "Aaa", "Ccc1", "Rna", "Own"]
    assert mouse.how.tolist() == ["symbol", "alias", "ortholog", "ortholog", "symbol"]
    assert mouse.rows.tolist() == [0, 0, 2, -1, 5]


def test_axes_are_the_principal_ones(build):
    random = np.random.default_rng(1)
    points = (random.normal(size=(1000, 140)) * np.geomspace(10, 0.1, 140) + 5).astype(np.float32)
    mean, axes = build.fit_space(points)
    _, _, expected = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(mean, points.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(np.abs(np.sum(axes.astype(float) * expected[:128], axis=1)), 1, atol=5e-3)


def test_too_fine_steps_are_refused(build, sources, monkeypatch):
    monkeypatch.setattr(build, "STEP", 1e-4)
    with pytest.raises(SystemExit, match="too small"):
        build.build(sources, fake_encode)


def test_compare_names_what_changed(build, sources, tmp_path):
    arrays = build.build(sources, fake_encode)
    build.write_archive(tmp_path / "one.npz", arrays)
    assert "other values: []" in build.compare(tmp_path / "one.npz", arrays)
    changed = arrays["vectors"].copy()
    changed[0, 0] += 2
    text = build.compare(tmp_path / "one.npz", {**arrays, "vectors": changed})
    assert "['vectors']" in text
    assert "by 2 steps at most" in text


def encoder(build):
    if importlib.util.find_spec(build.MODEL_PACKAGE) is None:
        pytest.skip('the text model is not installed: pip install "semst[offline]"')
    return build.load_encoder(None)


def test_the_model_gives_the_same_bytes_twice(build, sources, tmp_path):
    paths = [tmp_path / "one.npz", tmp_path / "two.npz"]
    for path in paths:
        build.write_archive(path, build.build(sources, encoder(build)))
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_other_weights_are_refused(build, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(SystemExit, match="other weights than all-MiniLM-L6-v2: expected 53aa5117"):
        build.load_encoder(str(tmp_path))


def test_packaged_vectors_are_what_the_model_makes_of_the_texts(build):
    if not SOURCES.is_dir():
        pytest.skip(
            f"{SOURCES.name}/ not found beside SEMST_TEST_DATA: see datasets/gene_table/README.md for its files"
        )
    human, mouse, pairs = build.read_genes(SOURCES)
    human_rows, mouse_rows, texts = build.choose_rows(human, mouse, pairs)
    assert gene_index("human").rows.tolist() == human_rows
    assert gene_index("mouse").rows.tolist() == mouse_rows
    rows = np.random.default_rng(0).choice(len(texts), 24, replace=False)
    table = packaged_table()
    projected = table.project(encoder(build)([texts[row] for row in rows]))
    np.testing.assert_allclose(projected, table.vectors[rows], atol=table.scale / 2 + 1e-4)
