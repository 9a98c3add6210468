from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from semst._inputs import find_table
from semst._keys import CLUSTER, IN_CLUSTER, SPATIAL, ClusterKeys
from semst._problems import Problems, listed
from semst._provenance import versions
from semst._results import Data, check_key, check_writable, target
from semst.clustering._checks import ClusterOptions, check_free
from semst.clustering._run import run
from semst.model._files import read_model, write_model
from semst.model._keep import keep
from semst.model._latents import latents
from semst.model._new_tissue import prepare

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from semst.model._kept import Kept


class SemST:
    """A trained model: the domains of one tissue, to be found in others.

    Made by :meth:`train` or :meth:`load`, not by calling the class: there is no model that is not trained. It is never
    changed by what it is applied to.

    Parameters
    ----------
    kept
        The parts; for :meth:`train` and :meth:`load`.
    colors
        A colour for each domain, as matplotlib knows them, which :func:`semst.tl.transfer` hands on; None lets every
        picture choose, which gives the same colours as long as nobody chooses other ones. They are kept as hex.

    Raises
    ------
    ValueError
        If ``colors`` are not one for each domain, or not such as matplotlib knows.

    Examples
    --------
    >>> import semst
    >>> first = semst.datasets.simulated(n_spots=400, n_genes=300, random_state=0, progress=False)
    >>> second = semst.datasets.simulated(n_spots=400, n_genes=300, random_state=1, progress=False)
    >>> model = semst.SemST.train(first, n_clusters=4, epochs=5, progress=False)
    >>> model
    SemST: 4 domains, 8 networks, 300 genes (human), trained on 400 spots
    >>> semst.tl.transfer(model, second)
    >>> second.obs["semst"].cat.categories.tolist()
    ['1', '2', '3', '4']
    """

    def __init__(self, kept: Kept, *, colors: Sequence[object] | None = None) -> None:
        self._kept = kept
        self.colors = colors

    @classmethod
    def train(
        cls,
        data: Data,
        *,
        progress: bool = True,
        table_key: str | None = None,
        checkpoint: str | os.PathLike[str] | None = None,
        **options: Any,  # noqa: ANN401
    ) -> SemST:
        """Find the domains of a tissue, and keep what finds them in others.

        Does to ``data`` what :func:`semst.tl.cluster` does with the same arguments, byte for byte, and returns the
        model.

        Parameters
        ----------
        data
            As for :func:`semst.tl.cluster`: the results are written into it.
        progress, table_key, checkpoint
            As there.
        options
            All other arguments of :func:`semst.tl.cluster`, under the same names and with the same defaults; not
            ``copy``.

        Returns
        -------
        The model.

        Raises
        ------
        TypeError, KeyError, ValueError, FloatingPointError, MemoryError
            As :func:`semst.tl.cluster`; also TypeError for an argument that it does not have, and for ``copy``.

        Notes
        -----
        Kept are, for each way to stabilise counts, the principal axes of the genes; for each view the weights of its
        network and the unit of its semantics; and for each latent (the smoothed input of a view, and what its network
        makes of it) a linear discriminant: the mean of each domain and one covariance for all, in the leading
        components that :func:`semst.tl.cluster` cuts. No spot of the training tissue is kept.

        With ``batch_key`` the model learns what domains are in all slices at once: principal axes are sought within
        slices, and discriminants are fitted to spots relative to the means of their own slice. A new slice is read
        relative to its own means as well, so that to the model it is one more slice of the training.

        Examples
        --------
        >>> import semst
        >>> adata = semst.datasets.simulated(n_spots=400, n_genes=300, progress=False)
        >>> model = semst.SemST.train(adata, n_clusters=4, epochs=5, progress=False)
        >>> model.domains
        ('1', '2', '3', '4')
        """
        if "copy" in options:
            message = "SemST.train writes into `data` and returns the model; use `SemST.train(adata.copy(), ...)`."
            raise TypeError(message)
        try:
            chosen = ClusterOptions(**options)
        except TypeError:
            unknown = sorted(set(options) - {each.name for each in fields(ClusterOptions)})
            message = f"SemST.train takes the arguments of semst.tl.cluster, not {listed(unknown)}."
            raise TypeError(message) from None
        found: list[Kept] = []
        run(
            data,
            chosen,
            table_key=table_key,
            progress=progress,
            checkpoint=checkpoint,
            copy=False,
            keep=lambda each: found.append(keep(each, chosen)),
        )
        return cls(found[0])

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> SemST:
        """Read a model that :meth:`save` wrote; nothing in the folder is executed.

        Parameters
        ----------
        folder
            Path.

        Returns
        -------
        The model.

        Raises
        ------
        FileNotFoundError
            If the folder or a file in it is missing.
        ValueError
            If a file is damaged or was edited, is no model, or has a format that this version does not read.
        """
        kept, colors = read_model(folder)
        return cls(kept, colors=colors)

    def save(self, folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        """Write the model into a folder: ``arrays.safetensors`` and ``model.json``.

        The folder appears when it is complete, and of a folder that is there these two files are replaced when the new
        ones are complete. A model can be read by every version of semst that knows its format.

        Parameters
        ----------
        folder
            Path; folders above it are made.
        overwrite
            Whether a model that is there is replaced; other files in its folder stay.

        Raises
        ------
        FileExistsError
            If the folder is there and is not to be replaced, or is no model.
        NotADirectoryError
            If a file lies where a folder above it would be.
        OSError
            If it cannot be written. In all cases what was there stays.
        """
        write_model(folder, self._kept, self.colors, overwrite=overwrite)

    def embed(
        self,
        data: Data,
        *,
        center: bool = True,
        layer: str | None = None,
        min_coverage: float = 0.1,
        device: str = "auto",
        table_key: str | None = None,
        spatial_key: str = SPATIAL.coordinates,
        coordinate_system: str | None = None,
        batch_key: str | None = None,
        key_added: str = CLUSTER.base,
        copy: bool = False,
    ) -> Data | None:
        """Compute the latent of a tissue, without training.

        Parameters
        ----------
        data
            AnnData, or SpatialData with such a table, as for :func:`semst.tl.transfer`.
        center, layer, min_coverage, device, table_key, spatial_key, coordinate_system, batch_key
            As for :func:`semst.tl.transfer`.
        key_added
            The latent is written under ``"X_" + key_added``. Only earlier latents of semst are replaced, and never that
            of domains which :func:`semst.tl.cluster` found in this table: choose another name there, as in the tissue
            of the training. The default name may always be in ``obsm`` already, since :func:`anndata.concat` keeps it
            and drops ``uns``.
        copy
            Return a copy with the result and leave ``data`` alone; the default writes into ``data``.

        Returns
        -------
        None, or the copy. Written into the table:

        ``obsm["X_" + key_added]``
            ``(n_spots, d)`` float32: the latents of all networks side by side, as :func:`semst.tl.cluster` writes those
            of the training tissue.
        ``uns["X_" + key_added]``
            Dict of ``params``; ``model``: ``params`` and ``versions`` of the training; ``versions``. Domains of
            :func:`semst.tl.transfer` under the same name keep what ``uns[key_added]`` says of them.

        Raises
        ------
        TypeError, KeyError, ValueError, FloatingPointError
            As :func:`semst.tl.transfer`; ``data`` is as it was.
        """
        problems = Problems("SemST.embed")
        check_key(key_added, problems)
        table = find_table(data, table_key=table_key, where=problems.where)
        check_writable(table, problems, copy=copy)
        read = {
            "spatial_key": spatial_key,
            "semantics_key": self._kept.params.get("semantics_key"),
            "batch_key": batch_key,
        }
        check_free(table, key_added, problems, read=read, domains=False, latent=True)
        new = prepare(
            self._kept,
            data,
            problems,
            layer=layer,
            min_coverage=min_coverage,
            device=device,
            table_key=table_key,
            spatial_key=spatial_key,
            coordinate_system=coordinate_system,
            batch_key=batch_key,
        )
        found = latents(
            self._kept,
            new.tissue,
            new.overlap,
            tiles=new.tiles,
            recentre=center,
            smoothed=False,
            device=new.device,
        )
        latent = new.in_order(np.concatenate(list(found), axis=1))
        given = {"layer": layer, "coordinate_system": coordinate_system, "batch_key": batch_key}
        params = {
            "center": center,
            "min_coverage": float(min_coverage),
            "spatial_key": spatial_key,
            "key_added": key_added,
            **{name: value for name, value in given.items() if value is not None},
        }
        told = {"params": self.params, "versions": self.versions}
        data, table = target(data, new.table, copy=copy)
        keys = ClusterKeys(key_added)
        table.obsm[keys.obsm] = latent
        table.uns[keys.uns_of_latent] = {
            IN_CLUSTER.params: params,
            IN_CLUSTER.model: told,
            IN_CLUSTER.versions: versions(),
        }
        return data if copy else None

    @property
    def domains(self) -> tuple[str, ...]:
        """Names of the domains."""
        return self._kept.domains

    @property
    def genes(self) -> tuple[str, ...]:
        """Names of the genes that the networks read."""
        return tuple(self._kept.panel.names[gene] for gene in self._kept.panel.chosen)

    @property
    def params(self) -> dict[str, Any]:
        """Arguments of the training, a copy."""
        return dict(self._kept.params)

    @property
    def versions(self) -> dict[str, str]:
        """Versions of semst and of what it stands on, at the time of the training, a copy."""
        return dict(self._kept.versions)

    @property
    def colors(self) -> list[str] | None:
        """A colour for each domain as hex, or None; set to such as matplotlib knows, else ValueError."""
        return None if self._colors is None else list(self._colors)

    @colors.setter
    def colors(self, colors: Sequence[object] | None) -> None:
        self._colors = None if colors is None else _as_hex(colors, len(self.domains))

    def __repr__(self) -> str:
        kept = self._kept
        slices = f" of {kept.n_slices} slices" if kept.n_slices > 1 else ""
        return (
            f"SemST: {len(kept.domains)} domains, {len(kept.networks)} networks, {kept.panel.chosen.size} genes "
            f"({kept.panel.species}), trained on {kept.n_spots} spots{slices}"
        )


def _as_hex(colors: Iterable[object], number: int) -> list[str]:
    """Read so many colours: a list, an array, or what else has an order; ValueError if they are none."""
    from matplotlib.colors import is_color_like, to_hex

    ordered = isinstance(colors, Iterable) and not isinstance(colors, str | Mapping | Set)
    each: list[Any] = list(colors) if ordered else []
    if len(each) != number:
        message = f"colors must be one for each of the {number} domains, in a list, got {colors!r}."
        raise ValueError(message)
    wrong = [color for color in each if not is_color_like(color)]
    if wrong:
        message = (
            "colors must be such as matplotlib knows ('red', '#4477aa', (0.3, 0.5, 0.7)), got "
            f"{listed(dict.fromkeys(map(str, wrong)))}."
        )
        raise ValueError(message)
    return [to_hex(color) for color in each]
