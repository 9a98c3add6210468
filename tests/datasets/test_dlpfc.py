"""dlpfc: what is assembled, and what happens when the network or a file is not as it should be."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

import semst.datasets
from semst.datasets import _dlpfc
from semst.datasets._registry import load_registry

from .conftest import BARCODES, COUNTS, GENE_IDS, SAMPLE, write_counts

ALL_FILES = {f"{SAMPLE}_{name}" for name in ("counts.h5", "hires.png", "lowres.png", "positions.txt", "layers.tsv")}


def check_content(adata: ad.AnnData) -> None:
    assert isinstance(adata.X, csr_matrix)
    assert adata.X.dtype == np.float32
    np.testing.assert_array_equal(adata.X.toarray(), COUNTS)
    assert list(adata.obs_names) == BARCODES
    assert list(adata.var_names) == ["PLP1", "TBCE", "SNAP25", "TBCE-1"]
    assert list(adata.var["gene_ids"]) == GENE_IDS
    # x is the pixel column and y the pixel row, in the matrix' order of spots
    np.testing.assert_array_equal(adata.obsm["spatial"], [[110, 340], [320, 220], [180, 220], [110, 100], [250, 340]])
    assert list(adata.obs["array_row"]) == [2, 1, 1, 0, 2]
    assert list(adata.obs["array_col"]) == [0, 3, 1, 0, 2]
    assert list(adata.obs["in_tissue"]) == [1] * 5
    truth = adata.obs["ground_truth"]
    assert list(truth.cat.categories) == ["Layer1", "WM"]
    assert truth.astype(object).where(truth.notna(), "none").tolist() == ["Layer1", "WM", "Layer1", "none", "WM"]
    assert adata.uns["spatial"][SAMPLE]["scalefactors"] == {
        "tissue_hires_scalef": 0.1,
        "tissue_lowres_scalef": 0.03,
        "spot_diameter_fullres": 70.0,
        "fiducial_diameter_fullres": 105.0,
    }


def test_one_call_brings_everything_together(published):
    adata = published.load()
    check_content(adata)
    images = adata.uns["spatial"][SAMPLE]["images"]
    assert images["hires"].shape == (20, 40, 3)
    assert images["lowres"].shape == (6, 12, 3)
    assert images["hires"].dtype == np.float32
    assert images["hires"].max() <= 1
    # the first row of the image that was written counts 0, 1, 2, ...
    np.testing.assert_allclose(images["hires"][0, :2].ravel() * 255, np.arange(6), atol=1e-4)
    assert published.cached() == ALL_FILES


def test_second_call_needs_no_server(published):
    published.load()
    asked = len(published.requests)
    assert asked == 5
    published.stop()
    check_content(published.load())
    assert len(published.requests) == asked


def test_without_image(published):
    adata = published.load(image=False)
    check_content(adata)
    assert adata.uns["spatial"][SAMPLE]["images"] == {}
    assert not any(name.endswith("png") for name in published.requests)


def test_matrix_of_cell_ranger_2(published):
    write_counts(published.folder / "counts.h5", version=2)
    published.register()
    check_content(published.load())


def test_result_can_be_written_and_read(published, tmp_path):
    adata = published.load()
    adata.write_h5ad(tmp_path / "slice.h5ad")
    back = ad.read_h5ad(tmp_path / "slice.h5ad")
    check_content(back)
    pd.testing.assert_frame_equal(back.obs, adata.obs)


def test_files_put_by_hand_are_used(published):
    target = published.cache / "dlpfc"
    target.mkdir(parents=True)
    for file in published.folder.iterdir():
        (target / f"{SAMPLE}_{file.name}").write_bytes(file.read_bytes())
    published.stop()
    check_content(published.load())
    assert published.requests == []


def test_corrupted_matrix_is_refused(published):
    file = published.folder / "counts.h5"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(
        ValueError, match=r"counts\.h5 sent is not the registered file: its git blob id is [0-9a-f]{40}"
    ):
        published.load()
    assert f"{SAMPLE}_counts.h5" not in published.cached()
    assert published.cached() < ALL_FILES  # no temporary file either


def test_corrupted_copy_in_the_cache_is_refused_and_left_alone(published):
    published.load()
    copy = published.cache / "dlpfc" / f"{SAMPLE}_counts.h5"
    copy.write_bytes(copy.read_bytes()[:-1])
    with pytest.raises(ValueError, match="Delete it and call again"):
        published.load()
    copy.unlink()
    check_content(published.load())


@pytest.mark.parametrize("name", ["counts.h5", "positions.txt", "layers.tsv", "hires.png", "lowres.png"])
def test_truncated_transfer_leaves_nothing(published, name):
    published.cut_short.add(name)
    with pytest.raises(ConnectionError, match=f"Could not download .*{name}"):
        published.load()
    assert f"{SAMPLE}_{name}" not in published.cached()
    assert published.cached() < ALL_FILES
    published.cut_short.clear()
    check_content(published.load())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("positions.txt", "AAAC-1,1,0,0,100,110\n", "has 1 rows, not 6"),
        ("positions.txt", "<html>busy</html>\n", "does not have the columns barcode, in_tissue"),
        ("positions.txt", "", "cannot be read as a list of spot positions"),
        ("layers.tsv", f"AAAC-1\t{SAMPLE}\tL1\n" * 5, "does not have the columns barcode, slice and layer"),
        ("layers.tsv", f"AAAC-1\t{SAMPLE}\tLayer one\n", "does not have the columns barcode, slice and layer"),
        ("layers.tsv", "AAAC-1\t151507\tL1\n", "has 1 rows, not 5"),
        ("layers.tsv", "".join(f"A{i}\t151507\tL1\n" for i in range(5)), "0 labelled spots of slice 151673, not 4"),
        ("hires.png", "not an image", "cannot be read as a PNG image"),
    ],
)
def test_other_content_than_expected_is_refused(published, name, content, message):
    (published.folder / name).write_text(content)
    with pytest.raises(ValueError, match=f"{name} sent is not the registered file: .*{message}.* Nothing was kept"):
        published.load()
    assert f"{SAMPLE}_{name}" not in published.cached()


def test_image_of_another_size_is_refused(published):
    (published.folder / "hires.png").write_bytes((published.folder / "lowres.png").read_bytes())
    with pytest.raises(ValueError, match=r"has the shape \(6, 12, 3\), .* longer side of 40"):
        published.load()


def test_file_that_is_no_matrix_is_refused_whatever_its_checksum(published):
    (published.folder / "counts.h5").write_text("no matrix")
    published.register()
    with pytest.raises(ValueError, match="cannot be read as a 10x count matrix"):
        published.load()
    assert f"{SAMPLE}_counts.h5" not in published.cached()


def test_values_that_are_no_counts_are_refused(published):
    write_counts(published.folder / "counts.h5", counts=COUNTS - 1)
    published.register()
    with pytest.raises(ValueError, match="values that are not counts"):
        published.load()


def test_files_of_different_slices_are_refused(published):
    text = (published.folder / "positions.txt").read_text()
    (published.folder / "positions.txt").write_text(text.replace("TTTA-1", "XXXX-1"))
    with pytest.raises(ValueError, match="do not belong together: 2 barcodes .* TTTA-1"):
        published.load()


def test_missing_on_the_server(published):
    (published.folder / "positions.txt").unlink()
    with pytest.raises(ConnectionError, match="404"):
        published.load()
    assert published.cached() == {f"{SAMPLE}_layers.tsv"}


def test_server_down_says_what_to_do(published):
    published.stop()
    with pytest.raises(ConnectionError) as caught:
        published.load()
    message = str(caught.value)
    dataset = load_registry(published.registry)["dlpfc"]
    for remote in dataset.remote_files(SAMPLE, image=True).values():
        assert f"{remote.url}\n    -> {published.cache / remote.file}\n" in message
    assert "SEMST_DATA_DIR" in message
    assert "path=" in message
    assert "simulated()" in message
    assert published.cached() == set()


def test_an_interrupt_leaves_nothing(published, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(_dlpfc, "read_layers", interrupt)
    with pytest.raises(KeyboardInterrupt):
        published.load()
    assert published.cached() == set()


def test_public_function_uses_the_folder_of_the_environment(published, monkeypatch, tmp_path):
    dataset = load_registry(published.registry)
    monkeypatch.setattr(_dlpfc, "load_registry", lambda: dataset)
    monkeypatch.setenv("SEMST_DATA_DIR", str(tmp_path / "here"))
    check_content(semst.datasets.dlpfc(progress=False))
    assert {file.name for file in (tmp_path / "here" / "dlpfc").iterdir()} == ALL_FILES
    check_content(semst.datasets.dlpfc(SAMPLE, path=tmp_path / "there", image=False, progress=False))
    assert len(list((tmp_path / "there" / "dlpfc").iterdir())) == 3


@pytest.mark.parametrize("sample_id", ["151511", "151673 ", ""])
def test_unknown_slice_names_the_others(sample_id):
    with pytest.raises(ValueError, match=r"one of 151507, .*151673, 151674, 151675, 151676; got"):
        semst.datasets.dlpfc(sample_id)


def test_number_instead_of_a_name():
    with pytest.raises(TypeError, match="must be a str .* got int"):
        semst.datasets.dlpfc(151673)
