"""What there is to write of a query, and where it goes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from semst._keys import IN_QUERY, QueryKeys
from semst._provenance import versions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from anndata import AnnData

    from semst.asking._answer import Answer
    from semst.asking._questions import Weighed
    from semst.asking._relative import RelativeExpression


@dataclass(frozen=True)
class Result:
    """What there is to write of a query; ``pattern`` tells whether its genes could have one in common."""

    weighed: Weighed
    found: Answer
    genes: pd.DataFrame
    pattern: bool


def genes_of(weighed: Weighed, found: Answer, gene_names: list[str], n_genes: int) -> pd.DataFrame:
    """List the genes that carry the pattern, the first ones first."""
    order = np.argsort(-found.contribution, kind="stable")
    order = order[: min(n_genes, int((found.contribution > 0).sum()))]
    return pd.DataFrame(
        {
            "query": weighed.question.name,
            "gene": [gene_names[gene] for gene in order],
            "contribution": found.contribution[order],
            "likeness": weighed.likeness[order],
        }
    )


def write(table: AnnData, keys: QueryKeys, results: Sequence[Result], params: dict[str, Any]) -> None:
    """Write what was found into ``obs`` and ``uns``, beside the answers to earlier queries."""
    stored = table.uns.get(keys.uns)
    answered = dict(stored) if isinstance(stored, Mapping) else {}
    orders = {name: int(each.get(IN_QUERY.order, 0)) for name, each in answered.items()}
    for each in results:
        question = each.weighed.question
        table.obs[keys.score(question.name)] = each.found.score
        table.obs[keys.p_value(question.name)] = each.found.p_value
        orders.setdefault(question.name, 1 + max(orders.values(), default=0))
        answered[question.name] = {
            IN_QUERY.order: orders[question.name],
            IN_QUERY.asked: question.asked(table.var_names),
            IN_QUERY.called: question.called,
            IN_QUERY.p_value: each.found.coherence if each.pattern else math.nan,
            IN_QUERY.genes: each.genes,
            IN_QUERY.read_as: np.array(each.weighed.read_as, dtype=np.str_),
            IN_QUERY.nearness: each.weighed.nearness,
            IN_QUERY.params: params,
            "versions": versions(),
        }
    table.uns[keys.uns] = answered


def has_pattern(weighed: Weighed, expression: RelativeExpression) -> bool:
    """Tell whether there are several genes that could have a pattern in common; what does not vary has none."""
    genes = weighed.question.genes
    return not genes or int(np.isin(genes, expression.used).sum()) > 1
