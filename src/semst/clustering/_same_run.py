"""Whether calls are of one and the same run: what a checkpoint belongs to, and what processes must agree on."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import distributed

from semst._problems import Problems
from semst._provenance import versions
from semst._sample import is_large
from semst.training._checkpoint import Checkpoint

if TYPE_CHECKING:
    import os

    import torch
    from numpy.typing import NDArray
    from scipy import sparse

    from semst.clustering._checks import ClusterOptions
    from semst.nn._processes import Processes
    from semst.training._sections import Tissue


def fingerprint(
    options: dict[str, Any],
    *,
    counts: sparse.csr_matrix,
    graph: sparse.csr_matrix,
    arrays: dict[str, NDArray[Any] | None],
) -> str:
    """Hash everything that trained networks depend on into 64 hexadecimal digits.

    Parameters
    ----------
    options
        Names to values that JSON knows.
    counts, graph
        CSR.
    arrays
        Names to further arrays, or None.
    """
    digest = hashlib.sha256(json.dumps({**options, **versions()}, sort_keys=True, default=str).encode())
    matrices = {f"{name}.{part}": getattr(matrix, part) for name, matrix in (("counts", counts), ("graph", graph))
                for part in ("data", "indices", "indptr")}  # fmt: skip
    for name, array in {**matrices, **arrays}.items():
        digest.update(name.encode())
        if array is not None:
            digest.update(f"{array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def open_checkpoint(
    folder: str | os.PathLike[str],
    options: ClusterOptions,
    tissue: Tissue,
    device: torch.device,
    *,
    tiles_per_step: int,
) -> Checkpoint:
    """Open the folder for this very run.

    Raises
    ------
    ValueError
        If it is the folder of another one.
    """
    opened = Checkpoint(folder, run_of(options, tissue, device, tiles_per_step=tiles_per_step))
    problems = Problems("semst.tl.cluster")
    opened.check(problems)
    problems.raise_if_any()
    return opened


def run_of(options: ClusterOptions, tissue: Tissue, device: torch.device, *, tiles_per_step: int) -> str:
    """Fingerprint of a training: calls that train the same networks have the same.

    Parameters
    ----------
    options, tissue, device
        Of the call.
    tiles_per_step
        As it is, whatever was asked for: it follows the number of processes, and small tissue has no tiles.
    """
    # What comes after the training may change: the number of domains, how they are cut, and where they are written.
    after = {"n_clusters", "partition", "refine", "key_added"}
    told = {name: value for name, value in options.params().items() if name not in after}
    tiles = tiles_per_step if is_large(tissue.counts.shape[0]) else 0
    return fingerprint(
        {**told, "device": device.type, "tiles_per_step": tiles},
        counts=tissue.counts,
        graph=tissue.graph,
        arrays={
            "semantics": tissue.semantics,
            "genes": tissue.genes,
            "places": tissue.places,
            "slices": tissue.slices,
        },
    )


def check_alike(
    options: ClusterOptions, tissue: Tissue, device: torch.device, processes: Processes, *, tiles_per_step: int
) -> None:
    """Make sure that all processes were called alike; all of them call this.

    Raises
    ------
    ValueError
        In every process, if they were not.
    """
    if processes.size == 1:
        return
    runs: list[str] = [""] * processes.size
    distributed.all_gather_object(runs, run_of(options, tissue, device, tiles_per_step=tiles_per_step))
    problems = Problems("semst.tl.cluster")
    if len(set(runs)) > 1:
        problems.add(
            f"the {processes.size} processes that torchrun started have different tissue or options; call it alike in "
            "all of them, or start the script with python."
        )
    problems.raise_if_any()
