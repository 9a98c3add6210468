"""Networks that are trained already, on disk, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from semst._problems import Problems
from semst._provenance import versions
from semst.pp._sample import is_large

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray
    from scipy import sparse

    from semst.nn import SemSTNetwork
    from semst.tl._checks import ClusterOptions
    from semst.tl._sections import Tissue

_HISTORY, _NETWORK = "history.", "network."


class Checkpoint:
    """A folder with a file for each network whose training has ended.

    Files are written whole or not at all, hold numbers alone (safetensors), and bear the fingerprint of the run: they
    are of use to the very same run only.

    Parameters
    ----------
    folder
        Made when the first network is kept.
    run
        Fingerprint of everything that the networks depend on; see :func:`fingerprint`.
    """

    def __init__(self, folder: str | os.PathLike[str], run: str) -> None:
        self.folder = Path(folder)
        self.run = run

    def check(self, problems: Problems) -> None:
        """Note files of another run, which would be overwritten, and a place where no folder can be."""
        from safetensors import SafetensorError, safe_open

        if self.folder.exists() and not self.folder.is_dir():
            problems.add(f"checkpoint={str(self.folder)!r} is a file; name a folder.")
            return
        for path in sorted(self.folder.glob("network-*.safetensors")):
            try:
                with safe_open(path, framework="pt") as file:
                    run = (file.metadata() or {}).get("run")
            except (SafetensorError, OSError) as error:
                problems.add(f"{path.name} in the checkpoint folder cannot be read ({error}); delete it.")
                return
            if run != self.run:
                problems.add(
                    f"checkpoint={str(self.folder)!r} holds networks of another run (other data, options or versions); "
                    "name another folder, or delete it."
                )
                return

    def restore(self, number: int, network: SemSTNetwork) -> dict[str, NDArray[np.float64]] | None:
        """Bring a network to the state in which its training ended; its history, or None without such a file."""
        from safetensors.torch import load_file

        path = self._path(number)
        if not path.exists():
            return None
        stored = load_file(path)
        state = {name.removeprefix(_NETWORK): each for name, each in stored.items() if name.startswith(_NETWORK)}
        network.load_state_dict(state)
        return {name.removeprefix(_HISTORY): each.numpy() for name, each in stored.items() if name.startswith(_HISTORY)}

    def keep(self, number: int, network: SemSTNetwork, history: dict[str, NDArray[np.float64]]) -> None:
        """Write a network whose training has ended."""
        from safetensors.torch import save_file

        self.folder.mkdir(parents=True, exist_ok=True)
        state = {f"{_NETWORK}{name}": each.detach().cpu().contiguous() for name, each in network.state_dict().items()}
        losses = {f"{_HISTORY}{term}": torch.from_numpy(values) for term, values in history.items()}
        path = self._path(number)
        unfinished = path.with_suffix(".part")
        save_file({**state, **losses}, unfinished, metadata={"run": self.run})
        unfinished.replace(path)

    def _path(self, number: int) -> Path:
        return self.folder / f"network-{number}.safetensors"


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
