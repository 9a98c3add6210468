from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from semst._problems import Problems
from semst.semantics._match import match_names
from semst.semantics._user_table import read_texts, read_vectors

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["MBP", "PLP1", "SNAP25"]
VECTORS = np.array([[1, 0], [2, 3], [0, -1]], dtype=np.float32)


def read(source):
    problems = Problems("test")
    named = read_vectors(source, problems)
    problems.raise_if_any()
    return named


def save_npz(folder: Path, **arrays) -> Path:
    np.savez(folder / "genes.npz", **arrays)
    return folder / "genes.npz"


def test_every_form_gives_the_same(tmp_path):
    frame = pd.DataFrame(VECTORS, index=NAMES)
    by_column = pd.DataFrame(VECTORS, columns=["a", "b"]).assign(gene=NAMES)
    frame.rename(columns=str).to_parquet(tmp_path / "index.parquet")
    by_column.to_parquet(tmp_path / "column.parquet")
    sources = [
        frame,
        dict(zip(NAMES, VECTORS, strict=True)),
        dict(zip(NAMES, VECTORS.tolist(), strict=True)),
        save_npz(tmp_path, genes=np.array(NAMES), vectors=VECTORS),
        str(save_npz(tmp_path, names=np.array(NAMES), vectors=VECTORS.astype(np.float64))),
        tmp_path / "index.parquet",
        str(tmp_path / "column.parquet"),
    ]
    labels = set()
    for source in sources:
        named = read(source)
        assert named.names == tuple(NAMES)
        assert named.vectors.dtype == np.float32
        np.testing.assert_array_equal(named.vectors, VECTORS)
        labels.add(named.label.split("@")[1])
    assert len(labels) == 1


def test_label_follows_the_numbers_and_tells_no_folder(tmp_path):
    path = save_npz(tmp_path, genes=np.array(NAMES), vectors=VECTORS)
    assert read(path).label.startswith("genes.npz@")
    assert read(pd.DataFrame(VECTORS, index=NAMES)).label != read(pd.DataFrame(VECTORS + 1, index=NAMES)).label


def test_rows_without_vector_are_left_out():
    vectors = VECTORS.copy()
    vectors[0, 1] = np.nan
    vectors[1] = 0
    assert read(pd.DataFrame(vectors, index=NAMES)).names == ("SNAP25",)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "shape"),
        ({"MBP": [1.0], "PLP1": [1.0, 2.0]}, "different shapes"),
        ({"MBP": 1.0, "PLP1": 2.0}, "shape"),
        ({"MBP": ["a"], "PLP1": ["b"]}, "numbers"),
        (pd.DataFrame({"x": ["a", "b"]}, index=["MBP", "PLP1"]), "numbers"),
        (pd.DataFrame(VECTORS, index=["MBP", "MBP", "PLP1"]), "more than once: 'MBP'"),
        (pd.DataFrame(VECTORS + np.inf, index=NAMES), "infinite"),
        (pd.DataFrame(VECTORS.astype(float) * 1e50, index=NAMES), "infinite"),
        (pd.DataFrame(VECTORS * np.nan, index=NAMES), "nothing but NaN"),
        (pd.DataFrame(index=NAMES), "shape"),
        (VECTORS, r"got ndarray; put an array .* into `adata.varm\['mine'\]`"),
        (3, "got int"),
    ],
)
def test_unusable_vectors(source, message):
    with pytest.raises(ValueError, match=message):
        read(source)


def test_file_that_is_missing(tmp_path):
    with pytest.raises(KeyError, match="no file"):
        read(tmp_path / "nothing.npz")


def test_other_kinds_of_file_say_what_to_do(tmp_path):
    (tmp_path / "genes.pickle").write_bytes(b"")
    with pytest.raises(ValueError, match="hand over a DataFrame or a mapping"):
        read(tmp_path / "genes.pickle")


def test_file_with_other_arrays(tmp_path):
    with pytest.raises(KeyError, match="it holds 'symbols', 'vectors'"):
        read(save_npz(tmp_path, symbols=np.array(NAMES), vectors=VECTORS))


def test_file_with_objects_is_not_unpickled(tmp_path):
    with pytest.raises(ValueError, match="could run code"):
        read(save_npz(tmp_path, genes=np.array(NAMES, dtype=object), vectors=VECTORS))


def test_parquet_without_names(tmp_path):
    pd.DataFrame(VECTORS, columns=["a", "b"]).to_parquet(tmp_path / "genes.parquet")
    with pytest.raises(ValueError, match="gene names as its index"):
        read(tmp_path / "genes.parquet")


@pytest.mark.parametrize("content", [b"", b"not what it says"])
@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_damaged_file(tmp_path, content, suffix):
    path = tmp_path / f"genes{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"'genes{suffix}' cannot be read"):
        read(path)


def read_text(source):
    problems = Problems("test")
    texts = read_texts(source, problems)
    problems.raise_if_any()
    return texts


def test_texts_of_both_forms(tmp_path):
    texts = {"MBP": 'wraps "axons"', "NA": "a gene of this name"}
    path = tmp_path / "genes.tsv"
    path.write_text("text\tsymbol\n" + "".join(f"{text}\t{name}\n" for name, text in texts.items()) + "\tEMPTY\n")
    assert read_text(path) == texts
    assert read_text(str(path)) == texts
    assert read_text(texts | {"EMPTY": "  "}) == texts


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        ("gene\ttext\nMBP\tx\n", KeyError, "columns 'symbol' and 'text'; it has 'gene', 'text'"),
        ("symbol\ttext\nMBP\tx\nMBP\ty\n", ValueError, "more than once: 'MBP'"),
        ("symbol\ttext\nMBP\t\n", ValueError, "not a single gene text"),
        ("", KeyError, "columns 'symbol' and 'text'; it has none"),
        ("symbol\ttext\nMBP\ta\tb\n", ValueError, "more fields than its header in the lines '2'"),
    ],
)
def test_unusable_text_files(tmp_path, content, error, message):
    (tmp_path / "genes.tsv").write_text(content)
    with pytest.raises(error, match=message):
        read_text(tmp_path / "genes.tsv")


def test_missing_text_file_and_wrong_texts(tmp_path):
    with pytest.raises(KeyError, match="no file"):
        read_text(tmp_path / "genes.tsv")
    with pytest.raises(ValueError, match="must be str; those of 'PLP1'"):
        read_text({"MBP": "a", "PLP1": None})
    with pytest.raises(ValueError, match="gene texts must be a mapping .* got DataFrame"):
        read_text(pd.DataFrame({"MBP": ["a"]}))
    with pytest.raises(ValueError, match="not a single gene text"):
        read_text({})


def test_equal_names_need_no_resolution():
    match = match_names(["weird", "names"], ["names", "other", "weird"])
    assert match.rows.tolist() == [2, 0]
    assert match.how.tolist() == ["exact", "exact"]
    assert match.species == ""


@pytest.mark.parametrize(
    ("genes", "offered", "rows"),
    [
        (["Mbp", "Plp1", "Snap25"], NAMES, [0, 1, 2]),  # a human table for mouse data
        (["MBP", "PLP1", "SNAP25"], ["Snap25", "Mbp"], [1, -1, 0]),  # and the other way round
        (["ENSG00000197971", "ENSG00000123560.14", "ENSG00000132639"], NAMES, [0, 1, 2]),
        (NAMES, ["ENSG00000132639", "ENSG00000197971"], [1, -1, 0]),
        (["SEPT7", "MBP"], ["SEPTIN7", "MBP"], [0, 1]),  # previous symbol in the data
        (["SEPTIN7", "MBP"], ["MBP", "SEPT7"], [1, 0]),  # previous symbol in the table
        (["SEPTIN7", "xyz"], ["SEPT7", "SEPTIN7"], [1, -1]),  # the same name before any other
        (["SEPT7", "xyz"], ["CDC10", "SEPTIN7"], [1, -1]),  # the official symbol before an alias
    ],
)
def test_names_are_matched_by_symbol(genes, offered, rows):
    assert match_names(genes, offered).rows.tolist() == rows


def test_what_cannot_be_matched_is_told_apart():
    match = match_names(["MBP", "PLP1", "xyz"], ["MBP", "SNAP25"])
    assert match.how.tolist() == ["exact", "symbol", "unknown"]
    assert match.has_vector.tolist() == [True, False, False]
    assert match.recognised.tolist() == [True, True, False]
    assert match.named(~match.recognised).tolist() == ["xyz"]


@pytest.mark.parametrize("dtype", ["Float32", "float64[pyarrow]"])
def test_numbers_that_may_be_missing_are_numbers(dtype, tmp_path):
    frame = pd.DataFrame(VECTORS, index=NAMES, columns=["a", "b"]).astype(dtype)
    np.testing.assert_array_equal(read(frame).vectors, read(dict(zip(NAMES, VECTORS, strict=True))).vectors)
    frame.to_parquet(tmp_path / "genes.parquet")
    np.testing.assert_array_equal(read(tmp_path / "genes.parquet").vectors, read(frame).vectors)


def test_names_in_bytes_are_text(tmp_path):
    assert read(save_npz(tmp_path, genes=np.array(NAMES, dtype="S"), vectors=VECTORS)).names == tuple(NAMES)


def test_an_array_that_calls_itself_npz_has_no_names(tmp_path):
    with (tmp_path / "genes.npz").open("wb") as file:
        np.save(file, VECTORS)
    with pytest.raises(ValueError, match="one array without names"):
        read(tmp_path / "genes.npz")
