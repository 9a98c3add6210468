"""The packaged registry: complete, and in agreement with what is known of the real slices."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from semst.datasets._fetch import git_blob_id
from semst.datasets._registry import load_registry

DATA = Path(os.environ.get("SEMST_TEST_DATA", Path(__file__).parents[3] / "shared" / "data"))
SLICES = [*(str(n) for n in range(151507, 151511)), *(str(n) for n in range(151669, 151677))]


@pytest.fixture(scope="module")
def dlpfc():
    return load_registry()["dlpfc"]


def test_the_twelve_slices(dlpfc):
    assert list(dlpfc.slices) == SLICES
    # totals that the study itself gives
    assert sum(one.n_spots for one in dlpfc.slices.values()) == 47681
    assert sum(one.n_labelled for one in dlpfc.slices.values()) == dlpfc.n_label_rows
    assert all(re.fullmatch("[0-9a-f]{40}", one.git_blob) for one in dlpfc.slices.values())
    assert len({one.git_blob for one in dlpfc.slices.values()}) == 12
    assert {name for name, one in dlpfc.slices.items() if one.n_domains == 5} == set(SLICES[4:8])


def test_addresses(dlpfc):
    files = dlpfc.remote_files("151508", image=True)
    assert {role: remote.url for role, remote in files.items()} == {
        "counts": "https://spatial-dlpfc.s3.us-east-2.amazonaws.com/h5/151508_filtered_feature_bc_matrix.h5",
        "hires": "https://spatial-dlpfc.s3.us-east-2.amazonaws.com/images/151508_tissue_hires_image.png",
        "lowres": "https://spatial-dlpfc.s3.us-east-2.amazonaws.com/images/151508_tissue_lowres_image.png",
        "positions": "https://raw.githubusercontent.com/LieberInstitute/HumanPilot/master/10X/151508/"
        "tissue_positions_list.txt",
        "labels": "https://raw.githubusercontent.com/LieberInstitute/HumanPilot/master/10X/barcode_level_layer_map.tsv",
    }
    assert files["counts"].git_blob == "1214353a37309de8cd18d402208eaf656e6adae7"
    assert {role for role, remote in files.items() if remote.git_blob} == {"counts"}
    assert set(dlpfc.remote_files("151508", image=False)) == {"counts", "positions", "labels"}


def test_no_two_files_share_a_place(dlpfc):
    places = [remote.file for name in SLICES for remote in dlpfc.remote_files(name, image=True).values()]
    assert len(set(places)) == 12 * 4 + 1  # only the table of layers serves all slices


def test_image_scale_fits_the_scan(dlpfc):
    assert dlpfc.hires_side / dlpfc.tissue_hires_scalef == pytest.approx(
        dlpfc.lowres_side / dlpfc.tissue_lowres_scalef, abs=1
    )


@pytest.mark.parametrize("content", [b"", b"what is up, doc?", b"\0" * 3_000_000])
def test_git_blob_id(tmp_path, content):
    file = tmp_path / "file"
    file.write_bytes(content)
    assert git_blob_id(file) == hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def test_git_blob_id_of_a_known_text(tmp_path):
    # the example of the Pro Git book, chapter "Git Objects"
    file = tmp_path / "file"
    file.write_bytes(b"what is up, doc?")
    assert git_blob_id(file) == "bd9dbf5aae1a3862dd1526723246b20206e5fc37"


def test_importing_costs_nothing():
    slow = ("pooch", "pandas", "scipy", "scanpy", "h5py", "matplotlib")
    code = f"import sys, semst.datasets; print([name for name in {slow} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_sizes_are_those_of_the_real_slices(dlpfc):
    tables = {file.name[6:12]: file for file in sorted((DATA / "dlpfc_spots").glob("dlpfc_*.csv.gz"))}
    if not tables:
        pytest.skip("no dlpfc_spots: set SEMST_TEST_DATA to a folder that holds it (see datasets/README.md)")
    for sample_id, table in tables.items():
        spots, expected = pd.read_csv(table), dlpfc.find(sample_id)
        assert len(spots) == expected.n_spots
        assert spots["ground_truth"].notna().sum() == expected.n_labelled
        assert spots["ground_truth"].nunique() == expected.n_domains
        # every spot lies inside the scan whose length the image scale gives
        assert spots[["pxl_row", "pxl_col"]].to_numpy().max() < dlpfc.hires_side / dlpfc.tissue_hires_scalef
