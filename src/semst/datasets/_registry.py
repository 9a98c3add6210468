"""What is known about the public data sets: addresses, checksums, sizes, licence, citation."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PACKAGED = "_registry.yaml"


@dataclass(frozen=True)
class RemoteFile:
    """One file: where it is published, where it lies in the cache folder, and its git blob id where one is known."""

    url: str
    file: str
    git_blob: str | None = None


@dataclass(frozen=True)
class Slice:
    """One slice of a data set and the sizes that a right copy has."""

    sample_id: str
    git_blob: str
    n_spots: int
    n_labelled: int
    n_domains: int
    spot_diameter_fullres: float


@dataclass(frozen=True)
class SliceDataset:
    """A data set of several Visium slices whose files follow one pattern of addresses."""

    name: str
    title: str
    citation: str
    doi: str
    licence: str
    homepage: str
    n_genes: int
    n_array_spots: int
    n_label_rows: int
    hires_side: int
    lowres_side: int
    tissue_hires_scalef: float
    tissue_lowres_scalef: float
    patterns: Mapping[str, RemoteFile]
    slices: Mapping[str, Slice]

    def find(self, sample_id: object) -> Slice:
        """The slice called `sample_id`; a ValueError that names the others when there is none."""
        if not isinstance(sample_id, str):
            msg = f"sample_id must be a str such as {next(iter(self.slices))!r}, got {type(sample_id).__name__}."
            raise TypeError(msg)
        if sample_id not in self.slices:
            msg = f"sample_id must be one of {', '.join(self.slices)}; got {sample_id!r}."
            raise ValueError(msg)
        return self.slices[sample_id]

    def remote_files(self, sample_id: str, *, image: bool) -> dict[str, RemoteFile]:
        """The files of one slice by role (counts, positions, labels and, with `image`, hires and lowres)."""
        chosen = self.find(sample_id)
        roles = ("counts", "positions", "labels", *(("hires", "lowres") if image else ()))
        return {
            role: RemoteFile(
                url=self.patterns[role].url.format(sample_id=sample_id),
                file=self.patterns[role].file.format(sample_id=sample_id),
                git_blob=chosen.git_blob if role == "counts" else None,
            )
            for role in roles
        }


def load_registry(path: Path | None = None) -> dict[str, SliceDataset]:
    """Read a registry.

    Parameters
    ----------
    path
        A yaml file of the packaged registry's form. `None` means the packaged one.

    Returns
    -------
    The data sets by name.
    """
    source = files("semst.datasets").joinpath(PACKAGED) if path is None else path
    entries: dict[str, dict[str, Any]] = yaml.safe_load(source.read_text(encoding="utf-8"))
    return {name: _slice_dataset(name, dict(entry)) for name, entry in entries.items()}


def _slice_dataset(name: str, entry: dict[str, Any]) -> SliceDataset:
    patterns = {role: RemoteFile(**place) for role, place in entry.pop("files").items()}
    slices = {sample: Slice(sample_id=sample, **facts) for sample, facts in entry.pop("samples").items()}
    return SliceDataset(name=name, patterns=patterns, slices=slices, **entry)
