"""The DLPFC slices: files from the public addresses, one AnnData out."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._folders import cache_folder
from semst._keys import GROUND_TRUTH, IN_LIBRARY, SPATIAL
from semst.datasets._fetch import FOLDER_VARIABLE, Cache
from semst.datasets._registry import Slice, SliceDataset, load_registry
from semst.datasets._visium_files import Counts, read_counts, read_image, read_layers, read_positions

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray


def dlpfc(
    sample_id: str = "151673",
    *,
    image: bool = True,
    path: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> AnnData:
    """One Visium slice of human dorsolateral prefrontal cortex with layers drawn by experts.

    Twelve slices of three donors; the usual benchmark for spatial domains. The first call downloads the slice,
    verifies it and keeps it; later calls need no network.

    Parameters
    ----------
    sample_id
        The slice: 151507 to 151510, 151669 to 151672 (layers 3 to 6 and white matter: 5 domains) or 151673 to 151676
        (7 domains). The default is the slice that most papers show.
    image
        Whether to fetch the tissue image too (hires, 2000 pixels, and lowres, 600 pixels).
    path
        Folder for the files. `None` means the folder that the environment variable ``SEMST_DATA_DIR`` names, or else
        the cache folder of the operating system for semst.
    progress
        Whether to show a progress bar for each file that is downloaded.

    Returns
    -------
    AnnData of shape (spots under tissue, 33 538), with

    ``X``
        float32 CSR matrix of raw integer counts.
    ``var_names``, ``var["gene_ids"]``
        str: gene symbols, made unique by a suffix where two genes share one, and Ensembl ids.
    ``obs["in_tissue"]``, ``obs["array_row"]``, ``obs["array_col"]``
        int64: 1 throughout, and the place in the hexagonal array (0 to 77, 0 to 127).
    ``obs["ground_truth"]``
        Categorical of str: ``Layer1`` to ``Layer6`` and ``WM`` as far as the slice has them; missing where the experts
        gave no layer.
    ``obsm["spatial"]``
        float64 (n_spots, 2): x (column) and y (row) in pixels of the full-resolution image.
    ``uns["spatial"][sample_id]``
        ``images`` (float32 arrays ``hires`` and ``lowres``, empty without `image`), ``scalefactors`` and ``metadata``.
    ``uns["notes"]``
        str: title, source, licence, citation.

    Raises
    ------
    TypeError
        `sample_id` is no str.
    ValueError
        `sample_id` is none of the twelve, or a file is not the registered one (the matrix by its git blob id, the
        others by their content).
    ConnectionError
        A file could not be downloaded. The message lists what is missing and where to put it by hand.
    OSError
        The folder cannot be written.

    See Also
    --------
    simulated : tissue that needs no network.

    Notes
    -----
    Nothing enters the folder before it is verified, and an interrupted download leaves nothing behind. The scale
    factors are those of the study's own ``scalefactors_json.json``. The fiducial diameter is 1.5 times the spot's, as
    on every such slide. Score labelled spots only.

    References
    ----------
    Maynard, Collado-Torres et al. (2021). Transcriptome-scale spatial gene expression in the human dorsolateral
    prefrontal cortex. Nature Neuroscience 24, 425-436.

    Examples
    --------
    >>> import semst
    >>> adata = semst.datasets.dlpfc("151673")  # doctest: +SKIP
    >>> adata.obs["ground_truth"].nunique()  # doctest: +SKIP
    7
    """
    dataset = load_registry()["dlpfc"]
    return load_slice(
        dataset, sample_id, image=image, folder=cache_folder(path, variable=FOLDER_VARIABLE), progress=progress
    )


def load_slice(dataset: SliceDataset, sample_id: str, *, image: bool, folder: Path, progress: bool) -> AnnData:
    """Fetch one slice of `dataset` into `folder` and assemble it; parameters as for :func:`dlpfc`."""
    chosen = dataset.find(sample_id)
    remote = dataset.remote_files(sample_id, image=image)
    cache = Cache(folder, remote.values(), progress=progress)
    # The shared and the small files first: a missing network shows at once, not after the matrix.
    layers = cache.get(remote["labels"], partial(_layers_of, dataset=dataset, chosen=chosen))
    positions = cache.get(remote["positions"], partial(_positions_of, dataset=dataset, chosen=chosen))
    sides = {"lowres": dataset.lowres_side, "hires": dataset.hires_side} if image else {}
    images = {
        name: cache.get(remote[name], partial(read_image, longest_side=sides[name]))
        for name in ("hires", "lowres")
        if image
    }
    counts = cache.get(remote["counts"], partial(_counts_of, dataset=dataset, chosen=chosen))
    return _assemble(dataset, chosen, counts=counts, positions=positions, layers=layers, images=images)


def _layers_of(path: Path, *, dataset: SliceDataset, chosen: Slice) -> pd.Series[str]:
    table = read_layers(path)
    mine = table[table["sample_id"] == chosen.sample_id]
    _expect("rows", len(table), dataset.n_label_rows)
    _expect(f"labelled spots of slice {chosen.sample_id}", len(mine), chosen.n_labelled)
    _expect(f"layers of slice {chosen.sample_id}", mine["layer"].nunique(), chosen.n_domains)
    return mine.set_index("barcode")["layer"]


def _positions_of(path: Path, *, dataset: SliceDataset, chosen: Slice) -> pd.DataFrame:
    table = read_positions(path)
    _expect("rows", len(table), dataset.n_array_spots)
    _expect("spots under tissue", int(table["in_tissue"].sum()), chosen.n_spots)
    return table


def _counts_of(path: Path, *, dataset: SliceDataset, chosen: Slice) -> Counts:
    counts = read_counts(path)
    _expect("spots", counts.matrix.shape[0], chosen.n_spots)
    _expect("genes", counts.matrix.shape[1], dataset.n_genes)
    return counts


def _expect(what: str, got: int, expected: int) -> None:
    if got != expected:
        msg = f"it has {got} {what}, not {expected}."
        raise ValueError(msg)


def _assemble(
    dataset: SliceDataset,
    chosen: Slice,
    *,
    counts: Counts,
    positions: pd.DataFrame,
    layers: pd.Series[str],
    images: dict[str, NDArray[np.float32]],
) -> AnnData:
    import pandas as pd
    from anndata import AnnData
    from anndata.utils import make_index_unique

    under_tissue = positions[positions["in_tissue"] == 1]
    strangers = (set(counts.barcodes) ^ set(under_tissue.index)) | (set(layers.index) - set(counts.barcodes))
    if strangers:
        msg = (
            f"The files of slice {chosen.sample_id} do not belong together: {len(strangers)} barcodes are in one and "
            f"not in another, for instance {min(strangers)}. Delete the files of the slice in the cache and call again."
        )
        raise ValueError(msg)
    placed = under_tissue.loc[counts.barcodes]
    obs = placed[["in_tissue", "array_row", "array_col"]].copy()
    obs.index.name = None
    obs[GROUND_TRUTH] = pd.Categorical(layers.reindex(counts.barcodes), categories=sorted(set(layers)))
    # Unique before AnnData sees them: it would warn otherwise.
    var = pd.DataFrame({"gene_ids": counts.gene_ids}, index=make_index_unique(pd.Index(counts.symbols)))
    spatial = placed[["pxl_col", "pxl_row"]].to_numpy(dtype=np.float64)
    entry = {
        IN_LIBRARY.images: images,
        IN_LIBRARY.factors: _scalefactors(dataset, chosen),
        "metadata": {"source": dataset.homepage},
    }
    notes = f"{dataset.title}; slice {chosen.sample_id}. Source: {dataset.homepage}. Licence: {dataset.licence}. "
    uns: dict[str, Any] = {
        SPATIAL.coordinates: {chosen.sample_id: entry},
        "notes": f"{notes}Citation: {dataset.citation} https://doi.org/{dataset.doi}",
    }
    return AnnData(counts.matrix, obs=obs, var=var, obsm={SPATIAL.coordinates: spatial}, uns=uns)


def _scalefactors(dataset: SliceDataset, chosen: Slice) -> dict[str, float]:
    return {
        "tissue_hires_scalef": dataset.tissue_hires_scalef,
        "tissue_lowres_scalef": dataset.tissue_lowres_scalef,
        IN_LIBRARY.diameter: chosen.spot_diameter_fullres,
        # Fiducial marks are 1.5 times as wide as spots, so the study's files hold no more than this.
        "fiducial_diameter_fullres": 1.5 * chosen.spot_diameter_fullres,
    }
