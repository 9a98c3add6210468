"""Fetch slices from their public addresses and check them against the packaged registry. Needs a network.

    python datasets/registry/check_registry.py [--cache FOLDER] [SLICE ...]

Without slices, all twelve. Every file is verified while it is fetched; what is printed can be compared with
`src/semst/datasets/_registry.yaml`. The exit code is the number of slices that failed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from semst.datasets import dlpfc
from semst.datasets._fetch import cache_folder, git_blob_id
from semst.datasets._registry import load_registry


def main() -> int:
    """Check the slices named on the command line."""
    dataset = load_registry()["dlpfc"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slices", nargs="*", default=list(dataset.slices), metavar="SLICE")
    parser.add_argument("--cache", type=Path, help="folder for the files; default as for semst.datasets.dlpfc")
    given = parser.parse_args()
    failed = 0
    for sample_id in given.slices:
        try:
            adata = dlpfc(sample_id, path=given.cache)
        except (ValueError, ConnectionError) as error:
            failed += 1
            print(f"{sample_id}: FAILED\n{error}")
            continue
        matrix = cache_folder(given.cache) / dataset.remote_files(sample_id, image=False)["counts"].file
        truth = adata.obs["ground_truth"]
        print(
            f"{sample_id}: {adata.n_obs} spots x {adata.n_vars} genes, {truth.notna().sum()} labelled in "
            f"{truth.nunique()} layers, {adata.X.sum():.0f} counts, git blob {git_blob_id(matrix)}"
        )
    return failed


if __name__ == "__main__":
    sys.exit(main())
