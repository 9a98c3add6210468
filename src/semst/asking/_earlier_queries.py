"""Queries that were asked of a table before, whose answers a new one must not take the place of by mistake."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from semst._keys import IN_QUERY, QUERY, QueryKeys
from semst._results import check_untaken, has

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from anndata import AnnData

    from semst._problems import Problems
    from semst.asking._questions import Question


def earlier_queries(table: AnnData, key: object) -> list[str] | None:
    """Give the names of earlier queries; None where there are none, or something else has the name."""
    stored = table.uns.get(QueryKeys(key).uns) if isinstance(key, str) else None
    # Under another name than our own an empty dict is a place that others may fill.
    if not isinstance(stored, Mapping) or (len(stored) == 0 and key != QUERY.base):
        return None
    return list(stored) if all(has(each, IN_QUERY.asked, IN_QUERY.genes) for each in stored.values()) else None


def check_meant(table: AnnData, key: str, questions: Sequence[Question], problems: Problems) -> None:
    """Note words that would take the place of others, or of genes, whose short name is the same."""
    earlier = earlier_queries(table, key) or ()
    for question in [each for each in questions if each.name in earlier]:
        account = table.uns[QueryKeys(key).uns][question.name]
        now = {IN_QUERY.called: question.called, IN_QUERY.asked: question.asked(table.var_names)}
        told = [(str(account.get(entry, words)), words) for entry, words in now.items()]
        others = [before for before, words in told if before.casefold() != words.casefold()]
        if others:
            problems.add(
                f"the query {question.called!r} has the short name {question.name!r}, under which the answer to "
                f"{others[0]!r} is kept; give it a name of its own: `{{'a name': {question.called!r}}}`."
            )


def check_columns(table: AnnData, key: str, names: Iterable[str], problems: Problems) -> None:
    """Note names that something else has."""
    keys, earlier = QueryKeys(key), earlier_queries(table, key)
    new = [name for name in names if name not in (earlier or ())]
    if key == QUERY.base:
        new = [name for name in new if not _is_lost(table, keys, name)]
    ours = {column for name in earlier or () for column in (keys.score(name), keys.p_value(name))}
    columns = [column for name in new for column in (keys.score(name), keys.p_value(name)) if column not in ours]
    places = [("uns", keys.uns)] if earlier is None else []
    check_untaken(table, key, [*places, *(("obs", column) for column in columns)], problems)


def _is_lost(table: AnnData, keys: QueryKeys, name: str) -> bool:
    """Tell the columns of an earlier query whose ``uns`` is lost, as `anndata.concat` leaves them."""
    columns = [keys.score(name), keys.p_value(name)]
    if not all(column in table.obs and table.obs[column].dtype.kind == "f" for column in columns):
        return False
    # Another key that begins alike has columns that look alike.
    others = [key for key, stored in table.uns.items() if isinstance(stored, Mapping) and earlier_queries(table, key)]
    return not any(QueryKeys(key).score(str(each)) == columns[0] for key in others for each in table.uns[key])
