"""What the runs of the semantic control say, in numbers and in words; knows nothing but their table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

Answer = Literal["helps", "harms", "mixed", "no change", "unclear"]

_CONTROLS = ("permuted", "none")
_CONFIDENCE = 0.95  # of all intervals against one control together


@dataclass(frozen=True)
class Measure:
    """A measure of domains.

    Parameters
    ----------
    label
        In sentences.
    sign
        1 where more is better, -1 where less is.
    matters
        The least difference worth speaking of.
    relative
        Whether that is a share of the mean without semantics.
    """

    label: str
    sign: int
    matters: float
    relative: bool = False


MEASURES = {
    "stability": Measure("stability", 1, 0.05),
    "held_out": Measure("held-out explained counts", 1, 0.02, relative=True),
    "pas": Measure("PAS", -1, 0.02),
    "chaos": Measure("CHAOS", -1, 0.02, relative=True),
    "ari": Measure("ARI", 1, 0.02),
}
_FEWEST_FOR_A_SIGN_TEST = 6  # seeds: two-sided, five can at best give p = 0.06
_AGREEMENT_MATTERS = MEASURES["stability"].matters  # it is the same kind of number


def differences(runs: pd.DataFrame) -> pd.DataFrame:
    r"""Semantics minus each control, paired by seed.

    Intervals are Student's, :math:`\bar d \pm t \, s / \sqrt n`, at :math:`0.05 / m` for each of :math:`m` measures, so
    that those against one control hold together with 95 % (Bonferroni). Values of stability are means over pairs of
    runs, and each run is in several; their error is that of the jackknife over seeds,
    :math:`2 (n - 1) / (n - 2) \cdot s / \sqrt n`, which two seeds do not have.

    Parameters
    ----------
    runs
        As :func:`semst.control._arms.run_arms` gives them.

    Returns
    -------
    A row for each control and measure; columns as :func:`semst.tl.semantic_control` documents them.
    """
    by_arm = {str(arm): rows.sort_values("seed") for arm, rows in runs.groupby("arm", observed=True)}
    measures = [name for name in MEASURES if name in runs]
    n = runs["seed"].nunique()
    widths = stats.t.ppf(1 - (1 - _CONFIDENCE) / (2 * len(measures)), n - 1)
    rows = []
    for control in _CONTROLS:
        for name in measures:
            paired = by_arm["semantics"][name].to_numpy() - by_arm[control][name].to_numpy()
            mean, error = float(paired.mean()), _error(paired, pairs_of_runs=name == "stability")
            least = _least(name, by_arm["none"][name].to_numpy())
            low, high = mean - widths * error, mean + widths * error
            rows.append(
                {
                    "control": control,
                    "measure": name,
                    "difference": mean,
                    "sd": float(paired.std(ddof=1)),
                    "error": error,
                    "low": low,
                    "high": high,
                    "matters": least,
                    "n_better": int((MEASURES[name].sign * paired > 0).sum()),
                    "says": _says(MEASURES[name].sign, mean, low, high, least=least),
                }
            )
    table = pd.DataFrame(rows)
    return table.astype({"control": "category", "measure": "category", "says": "category"})


def _error(paired: NDArray[np.float64], *, pairs_of_runs: bool) -> float:
    n = paired.size
    error = float(paired.std(ddof=1) / np.sqrt(n))
    if not pairs_of_runs:
        return error
    return 2 * (n - 1) / (n - 2) * error if n > 2 else float("nan")


def _least(name: str, without: NDArray[np.float64]) -> float:
    measure = MEASURES[name]
    return measure.matters * (abs(float(without.mean())) if measure.relative else 1.0)


def _says(sign: int, mean: float, low: float, high: float, *, least: float) -> str:
    """Tell whether a difference is beyond chance and worth speaking of. No interval (NaN) leaves it open."""
    if abs(mean) < least or not (low > 0 or high < 0):
        return "open"
    return "better" if sign * mean > 0 else "worse"


def verdict(runs: pd.DataFrame) -> tuple[Answer, str]:
    """Say in words whether meaning helps, by the rule in the notes of :func:`semst.tl.semantic_control`.

    Parameters
    ----------
    runs
        As :func:`semst.control._arms.run_arms` gives them.

    Returns
    -------
    The answer in one or two words, and a sentence that says what it rests on.
    """
    table = differences(runs)
    permuted, none = (table[table["control"] == control].set_index("measure") for control in _CONTROLS)
    n = runs["seed"].nunique()
    agreeing, expected = _agreement(runs)
    answer = _answer(permuted, none, apart=expected - agreeing)
    alike = f"domains from true and from permuted gene vectors agree (ARI {agreeing:.2f})"

    def against_both(measures: Iterable[str]) -> str:
        names = list(measures)
        return f"{_told(permuted, names)} against permuted gene vectors, {_told(none, names)} against no semantics."

    sentence = {
        "helps": f"meaning helps: {against_both(_in_both(permuted, none, 'better'))}",
        "harms": f"meaning harms: {against_both(_in_both(permuted, none, 'worse'))}",
        "mixed": "meaning changes the domains here, but neither plainly helps nor harms: "
        f"{against_both(permuted.index[permuted['says'] != 'open'])}",
        "no change": f"meaning does not change the domains here: {alike} as well as those of two permutations do "
        f"({expected:.2f}), and on average no measure differs by as much as matters "
        f"({_told(permuted, permuted.index)}).",
        "unclear": f"these seeds cannot tell whether meaning changes the domains here: {alike}, those of two "
        f"permutations {expected:.2f}; {_told(permuted, permuted.index)} against permuted gene vectors.",
    }[answer]
    return answer, f"{sentence} {_basis(n)}"


def _in_both(permuted: pd.DataFrame, none: pd.DataFrame, word: str) -> list[str]:
    """Measures of which both comparisons say the same."""
    return [name for name in permuted.index if permuted.loc[name, "says"] == none.loc[name, "says"] == word]


def _answer(permuted: pd.DataFrame, none: pd.DataFrame, *, apart: float) -> Answer:
    said = set(permuted["says"]) | set(none["says"])
    if _in_both(permuted, none, "better") and "worse" not in said:
        return "helps"
    if _in_both(permuted, none, "worse") and "better" not in said:
        return "harms"
    if (permuted["says"] != "open").any():
        return "mixed"
    # No error (NaN) is not a small one.
    still = (permuted["difference"].abs() <= permuted["matters"]) & (permuted["error"] <= permuted["matters"])
    return "no change" if still.all() and apart <= _AGREEMENT_MATTERS else "unclear"


def _agreement(runs: pd.DataFrame) -> tuple[float, float]:
    """Agreement of runs on permuted vectors with those on true ones, and with each other, over different seeds."""
    permuted = runs[runs["arm"] == "permuted"]
    return float(permuted["agreement"].mean()), float(permuted["stability"].mean())


def _told(table: pd.DataFrame, measures: Iterable[str]) -> str:
    """List differences, each with half of its interval and what it says; in per cent where margins are relative."""
    parts = []
    for name in measures:
        row, measure = table.loc[name], MEASURES[name]
        half = (row["high"] - row["low"]) / 2
        # The margin is a share of the mean without semantics, which is what per cent are of.
        percent = measure.relative and row["matters"] > 0
        scale = 100 * measure.matters / row["matters"] if percent else 1.0
        digits, unit = (1, " %") if percent else (3, "")
        around = f" ± {scale * half:.{digits}f}{unit}" if np.isfinite(half) else ""
        said = "" if row["says"] == "open" else f" ({row['says']})"
        parts.append(f"{measure.label} {scale * row['difference']:+.{digits}f}{unit}{around}{said}")
    return ", ".join(parts)


def _basis(n: int) -> str:
    basis = (
        f"It rests on {n} seeds of this one tissue, paired; the intervals against one control hold together with 95 %."
    )
    if n >= _FEWEST_FOR_A_SIGN_TEST:
        return basis
    return f"{basis} So few cannot show much: a sign test on them never goes below p = {2.0 ** (1 - n):.2g}."
