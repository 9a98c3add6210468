"""Networks that are trained already, on disk, so that an interrupted run goes on where it stopped."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from semst._problems import Problems
    from semst.nn import SemSTNetwork

logger = logging.getLogger("semst")

_HISTORY, _NETWORK = "history.", "network."
_KEPT = "network-*.safetensors"


def check_place(folder: object, problems: Problems) -> None:
    """Note what is no path, and a place where no folder can be, or that cannot be written and holds no network."""
    if not isinstance(folder, str | os.PathLike):
        problems.add(f"checkpoint must be the path of a folder, got {folder!r}.")
        return
    path = Path(folder)
    if "\0" in str(path):
        problems.add(f"checkpoint={str(path)!r} is no path; name a folder.")
        return
    try:
        above = next(place for place in (path, *path.absolute().parents) if place.exists())
        kept = any(path.glob(_KEPT))
    except OSError as error:
        problems.add(f"checkpoint={str(path)!r} cannot be looked at ({error.strerror}); name another folder.")
        return
    if not above.is_dir():
        inside = "" if above == path else f" lies in {str(above)!r}, which"
        problems.add(f"checkpoint={str(path)!r}{inside} is a file; name a folder.")
    elif not kept and not os.access(above, os.W_OK):
        problems.add(f"checkpoint={str(path)!r} cannot be written; name another folder.")


class Checkpoint:
    """A folder with a file for each network whose training has ended.

    Files are written whole or not at all, hold numbers alone (safetensors), and bear the fingerprint of the run: they
    are of use to the very same run only.

    Parameters
    ----------
    folder
        Made when the first network is kept.
    run
        Fingerprint of everything that the networks depend on; see :func:`semst.clustering._same_run.fingerprint`.
    tile
        Spots of the tiles on which the networks are trained, where they are not those that the size of the tissue says.
    """

    def __init__(self, folder: str | os.PathLike[str], run: str, *, tile: int | None = None) -> None:
        self.folder = Path(folder)
        self.run = run
        self._tile = tile

    def of_tiles(self, tile: int) -> Checkpoint:
        """Give the checkpoint of the same run on other tiles, which shares no network with this one."""
        return Checkpoint(self.folder, self.run, tile=tile)

    def check(self, problems: Problems) -> None:
        """Note files of another run, which would be overwritten."""
        from safetensors import SafetensorError, safe_open

        for path in sorted(self.folder.glob(_KEPT)):
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
        """Write a network whose training has ended; what cannot be written is told, and the run goes on without."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        state = {f"{_NETWORK}{name}": each.detach().cpu().contiguous() for name, each in network.state_dict().items()}
        losses = {f"{_HISTORY}{term}": torch.from_numpy(values) for term, values in history.items()}
        path = self._path(number)
        unfinished = path.with_suffix(".part")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            save_file({**state, **losses}, unfinished, metadata={"run": self.run})
            unfinished.replace(path)
        except (OSError, SafetensorError) as error:
            logger.warning("cluster: network %d could not be kept in the checkpoint %s (%s).", number, path, error)

    def _path(self, number: int) -> Path:
        tiles = "" if self._tile is None else f"-tiles-{self._tile}"
        return self.folder / f"network-{number}{tiles}.safetensors"
