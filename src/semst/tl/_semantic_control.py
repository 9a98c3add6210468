"""Does meaning help on this tissue? The test that says so."""

from __future__ import annotations

import logging

from semst._doubts import warn_of_bare_glass
from semst._inputs import find_table
from semst._joined import warn_of_joined_slices
from semst._keys import CONTROL, IN_CONTROL, SEMANTICS, SPATIAL, ControlKeys
from semst._problems import Problems
from semst._provenance import versions
from semst._results import Data, check_writable, target
from semst.clustering._checks import check
from semst.control._arms import Setting, run_arms
from semst.control._options import ControlOptions
from semst.control._read import (
    check_molecules,
    check_name,
    check_spots,
    check_vectors,
    compute_meaning,
    read_labels,
    read_meaning,
)
from semst.control._verdict import differences, verdict
from semst.pp._graphs import spatial_graph
from semst.training._device import pick_device
from semst.training._recipe import recipe_for

logger = logging.getLogger("semst")

WHERE = "semst.tl.semantic_control"


def semantic_control(
    data: Data,
    *,
    n_clusters: int,
    seeds: int = 3,
    labels: str | None = None,
    semantics_key: str = SEMANTICS.base,
    layer: str | None = None,
    held_out: float = 0.1,
    n_top_genes: int = 3000,
    n_neighbors: int = 6,
    epochs: int | None = None,
    device: str = "auto",
    random_state: int = 0,
    progress: bool = True,
    table_key: str | None = None,
    spatial_key: str = SPATIAL.coordinates,
    coordinate_system: str | None = None,
    batch_key: str | None = None,
    key_added: str = CONTROL.base,
    copy: bool = False,
) -> Data | None:
    r"""Test whether the meaning of genes improves the domains of this tissue.

    Finds domains as :func:`semst.tl.cluster` does, in three arms: with the true gene vectors; with the same vectors
    permuted across genes, which keeps everything but their meaning; and without any. Measures that need no label
    compare the arms, and a verdict says in words what they come to. It takes as long as ``3 * seeds`` clusterings.

    Parameters
    ----------
    data
        AnnData, or SpatialData with such a table: spots x genes with raw counts, and where the spots lie; at least 11
        spots.
    n_clusters
        Number of domains, at least 2.
    seeds
        Runs in each arm, at least 2: with ``random_state``, ``random_state + 1`` and so on, the same in all arms. The
        default, 3, shows no more than large effects; two leave stability without an error; 6 and more are better.
    labels
        Key of ``obs`` with experts' labels, missing where there are none. They score the domains and do nothing else.
        The default, None, scores without.
    semantics_key
        Key of ``varm`` with the gene vectors, as :func:`semst.pp.gene_semantics` leaves them; its weights and ``n_top``
        are read from ``uns``. Where nothing has the default key they are computed as by default, and not kept.
    layer
        Key of ``layers`` with the counts; the default reads ``X``.
    held_out
        Share of the molecules that is set aside in each run to judge its domains, from 0.01 to 0.5.
    n_top_genes, n_neighbors, epochs, device
        As in :func:`semst.tl.cluster`.
    random_state
        Seed of the first run, at least 0; that of the last may be at most 2 147 483 647. The same seed on the same
        machine with the same versions gives the same bytes.
    progress
        Whether a bar counts the runs.
    table_key
        Name of the table in a SpatialData that has several.
    spatial_key
        Key of ``obsm`` with the coordinates, ``(n_spots, 2)`` in any unit.
    coordinate_system
        For SpatialData: where the centroids are taken; the default is ``"global"``, or the only one.
    batch_key
        Key of ``obs`` that says which slice a spot belongs to, with at least 11 spots in each: domains are found as
        :func:`semst.tl.cluster` finds them in several slices, held-out counts are compared with the shares of genes in
        the slices that a domain lies in, and coherence is the mean of that within slices. The default takes all spots
        for one slice, with a warning where they look like several.
    key_added
        Name of what is written.
    copy
        Return a copy with the result and leave ``data`` alone; the default writes into ``data``.

    Returns
    -------
    None, or the copy. Written into the table, and nothing else is touched:

    ``uns[key_added]``
        Dict of

        ``"verdict"``
            str: the answer in words, and what it rests on.
        ``"answer"``
            str: ``"helps"``, ``"harms"``, ``"mixed"``, ``"no change"`` or ``"unclear"``.
        ``"runs"``
            DataFrame, ``3 * seeds`` rows: ``arm`` (categories ``"semantics"``, ``"permuted"``, ``"none"``), ``seed``
            (int64), and float64 ``stability`` (mean adjusted Rand index, ARI, with the other runs of the arm),
            ``agreement`` (mean ARI with the runs of the first arm with other seeds), ``held_out`` (nats per molecule),
            ``pas``, ``chaos``, and with ``labels`` ``ari``.
        ``"differences"``
            DataFrame, a row for each ``control`` (categories ``"permuted"``, ``"none"``) and ``measure`` (categories):
            float64 ``difference`` (mean over seeds of semantics minus control), ``sd``, ``error`` (standard error),
            ``low`` and ``high`` (interval), ``matters`` (the least difference that counts); ``n_better`` (int64: seeds
            in which semantics is better); ``says`` (categories ``"better"``, ``"worse"``, ``"open"``).
        ``"params"``, ``"n_permuted"``, ``"device"``, ``"versions"``
            What was asked for, the number of genes with a vector (int), and what it ran on.

    Raises
    ------
    TypeError
        If ``data`` is neither AnnData nor SpatialData.
    KeyError
        If a layer, key, table or coordinate system is missing, or there are no coordinates or gene vectors.
    ValueError
        If an argument is out of its range; there are fewer than 11 spots, fewer than 10 genes with a vector, or fewer
        than 100 molecules to be held out; gene vectors are not finite, or were pooled from another layer; ``labels``
        holds less than two labels; a spot has no slice, or a slice fewer than 11 spots; ``key_added`` names semantics,
        coordinates, or what semst did not write; ``data`` is a view of a backed AnnData and ``copy`` is not set; or
        what :func:`semst.tl.cluster` raises. ``data`` is as it was.
    FloatingPointError
        If training diverges; ``data`` is as it was.

    Notes
    -----
    **Arms.** In run :math:`s` each molecule is set aside with a chance of ``held_out`` (binomial thinning [1]_), the
    same in all arms. Genes are chosen, spots get their vectors, networks are trained and domains found on the rest.
    Permuted vectors are those of the genes that have one, dealt anew among these genes in each run.

    **Measures.** *Stability*: do runs of an arm agree? They differ in seed and molecules, those of the permuted arm
    also in the permutation, which costs it some stability. *Held-out explained counts*: how much better the molecules
    that were set aside are told by the profile of the domains around their spot than by one profile for all,

    .. math:: \frac{1}{N} \sum_d \sum_j h_{dj} \log \frac{p_{dj}}{p_j},

    with :math:`h_{dj}` those of gene :math:`j` in domain :math:`d`, :math:`N` all of them, and shares :math:`p` learnt
    from the other molecules. *Spatial coherence*: :func:`semst.metrics.pas` and :func:`semst.metrics.chaos`, where less
    is smoother. *ARI* with the labels, over spots that have one. All judge domains of a part of the molecules, so
    they may lie a little below those of :func:`semst.tl.cluster` on all.

    **Differences.** Paired by seed, with Student's interval at :math:`1 - 0.05 / m` for :math:`m` measures, so that
    those against one control hold together with 95 % (Bonferroni). Each value of stability is a mean over pairs of
    runs; its error is that of the jackknife over seeds. The intervals speak of other seeds, molecules and permutations
    on this tissue, and of no other tissue. A measure is *better* or *worse* where its interval leaves out zero and its
    mean is at least what matters: 0.02 for PAS and ARI, 0.05 for stability, and for held-out counts and CHAOS 2 % of
    their mean without semantics. Else it is *open*.

    **Verdict.**

    - ``"helps"``: something is better than with permuted vectors and better than without semantics, and nothing is
      worse than either. The former alone may mean that wrong vectors harm; the latter alone, that any vectors serve.
    - ``"harms"``: the same with *worse*.
    - ``"mixed"``: something differs from permuted vectors, but neither of the above holds.
    - ``"no change"``: nothing differs from permuted vectors, all mean differences and their standard errors are within
      what matters, and domains from true and permuted vectors agree as well as those of two permutations do, to within
      an ARI of 0.05.
    - ``"unclear"``: the rest. More seeds may tell.

    References
    ----------
    .. [1] Neufeld et al., *Biostatistics* 25, 2024.

    Examples
    --------
    >>> import semst
    >>> adata = semst.datasets.simulated(n_spots=200, n_genes=100, n_domains=2, progress=False)
    >>> semst.tl.semantic_control(adata, n_clusters=2, seeds=2, epochs=1, progress=False)
    >>> adata.uns["semantic_control"]["runs"].shape
    (6, 7)
    """
    options = ControlOptions(
        n_clusters=n_clusters,
        seeds=seeds,
        labels=labels,
        semantics_key=semantics_key,
        layer=layer,
        held_out=held_out,
        n_top_genes=n_top_genes,
        n_neighbors=n_neighbors,
        epochs=epochs,
        device=str(device),
        random_state=random_state,
        spatial_key=spatial_key,
        coordinate_system=coordinate_system,
        batch_key=batch_key,
        key_added=key_added,
    )
    table = find_table(data, table_key=table_key, where=WHERE)
    problems = Problems(WHERE)
    options.check(problems)
    check_writable(table, problems, copy=copy)
    check_name(table, options, problems)
    chosen_device = pick_device(options.device, problems)
    reference = read_labels(table, labels, problems)
    meaning = read_meaning(table, options, problems)
    check_spots(table, options, problems)
    check_molecules(table, options, problems)
    if meaning is not None:
        check_vectors(meaning, problems)
    checked = check(data, table, options.for_cluster(), problems)
    if meaning is None:
        meaning = compute_meaning(table, options, problems)
        check_vectors(meaning, problems)
        problems.raise_if_any()
    where = WHERE.rpartition(".")[2]
    warn_of_bare_glass(table, where=where)
    if batch_key is None:
        warn_of_joined_slices(table, checked.coordinates, where=where)

    setting = Setting(
        counts=checked.counts,
        coordinates=checked.coordinates,
        graph=spatial_graph(table, checked.coordinates, n_neighbors=n_neighbors, slices=checked.slices),
        meaning=meaning,
        reference=reference,
        recipe=recipe_for("default", epochs=epochs, gaussian=False, n_spots=table.n_obs),
        n_clusters=n_clusters,
        n_top_genes=n_top_genes,
        held_out=held_out,
        device=chosen_device,
        slices=checked.slices,
    )
    runs = run_arms(setting, options.runs, progress=progress)
    answer, words = verdict(runs)
    logger.info("%s", words)

    data, table = target(data, table, copy=copy)
    table.uns[ControlKeys(key_added).uns] = {
        "params": options.params(),
        IN_CONTROL.runs: runs,
        "differences": differences(runs),
        "answer": answer,
        IN_CONTROL.verdict: words,
        "n_permuted": int(meaning.known.sum()),
        "device": str(chosen_device),
        "versions": versions(),
    }
    return data if copy else None
