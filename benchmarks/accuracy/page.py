"""Write the page that the docs show, ``results.md`` and its figures, from ``results.csv``.

python benchmarks/accuracy/page.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from methods import METHODS
from run import DATA, HERE, KEY

SEMST, PROMPTS, FLOOR = "semst", "semst, spot prompts", "floor, 6 neighbours"
PERMUTED = ", permuted genes"  # behind the name of a method: its control
RESAMPLES = 10_000


def read(path: Path) -> pd.DataFrame:
    """Read the rows; of a run that was done again, the last."""
    return pd.read_csv(path).drop_duplicates(KEY, keep="last")


def markdown(table: pd.DataFrame) -> str:
    """Write a table of texts, with its index as the first column."""
    lines = ["| " + " | ".join([table.index.name or "", *table.columns]) + " |", "|---" * (table.shape[1] + 1) + "|"]
    lines += ["| " + " | ".join([str(name), *map(str, row)]) + " |" for name, *row in table.itertuples()]
    return "\n".join(lines) + "\n"


def accuracy(good: pd.DataFrame) -> pd.DataFrame:
    """ARI of each method on each data set, over all of them, and what it costs."""
    cell = good.groupby(["method", "data"])["ari"].agg(["mean", "std", "count"])
    text = cell.apply(lambda row: _cell(row["mean"], row["std"], row["count"]), axis=1)
    wide = text.unstack("data").reindex(index=_in_order(good["method"], METHODS), columns=_in_order(good["data"], DATA))
    means = cell["mean"].unstack("data").reindex(wide.index)
    complete = means.notna().all(axis=1)
    wide["mean over data"] = [
        f"{value:.3f}" if whole else "" for value, whole in zip(means.mean(axis=1), complete, strict=True)
    ]
    cost = good.groupby(["method", "data"])[["cpu_seconds", "peak_mb"]].mean()
    seconds = cost["cpu_seconds"].unstack("data").reindex(wide.index)
    if FLOOR in seconds.index:
        wide["seconds / floor's"] = [f"{ratio:.0f}" for ratio in seconds.div(seconds.loc[FLOOR]).mean(axis=1)]
    wide["peak MB"] = [f"{peak:.0f}" for peak in cost["peak_mb"].unstack("data").reindex(wide.index).max(axis=1)]
    wide.index = [name + (" (uses labels)" if METHODS[name].uses_labels else "") for name in wide.index]
    wide.index.name = "method"
    return wide.fillna("")


def differences(good: pd.DataFrame, method: str = SEMST) -> pd.DataFrame:
    """ARI of a method minus that of its control, for each data set, share of molecules and seed that has both."""
    wide = good.pivot(index=["data", "molecules", "seed"], columns="method", values="ari")
    wide = wide.reindex(columns=[method, method + PERMUTED]).dropna()
    return (wide[method] - wide[method + PERMUTED]).rename("difference").reset_index()


def interval(table: pd.DataFrame, *, nested: bool) -> tuple[float, float]:
    """95 % bootstrap interval of the mean difference.

    ``nested`` draws data sets, then seeds in each drawn data set, and so speaks of tissue that was not seen; else it
    draws runs, and speaks of these tissues alone.
    """
    rng = np.random.default_rng(0)
    groups = [part.to_numpy() for _, part in table.groupby("data")["difference"]]
    if not nested:
        groups = [np.concatenate(groups)]
    # A drawn data set's mean over drawn seeds, for every data set and every resample and place in it.
    drawn = np.stack([rng.choice(part, (RESAMPLES, len(groups), part.size)).mean(axis=2) for part in groups])
    which = rng.integers(len(groups), size=(RESAMPLES, len(groups)))
    means = np.take_along_axis(drawn, which[None], axis=0)[0].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def meaning(table: pd.DataFrame) -> pd.DataFrame:
    """Summarise the differences by the share of molecules that were kept."""
    shares = sorted(table["molecules"].unique(), reverse=True)
    parts = {f"{share:.0%}": table[table["molecules"] == share] for share in shares}
    rows = {}
    for name, part in parts.items():
        by_data = part.groupby("data")["difference"].mean()
        (low, high), (tight_low, tight_high) = interval(part, nested=True), interval(part, nested=False)
        rows[name] = {
            "mean over data": f"{by_data.mean():+.3f}",
            "95 %, data sets and seeds drawn": f"{low:+.3f} to {high:+.3f}",
            "mean over runs": f"{part['difference'].mean():+.3f}",
            "95 %, runs drawn": f"{tight_low:+.3f} to {tight_high:+.3f}",
            "positive": f"{int((part['difference'] > 0).sum())} of {len(part)}",
            "data sets": str(by_data.size),
        }
    result = pd.DataFrame(rows).T
    result.index.name = "molecules kept"
    return result


def by_data(table: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation of the differences on each data set, in one row."""
    cell = table.groupby("data")["difference"].agg(["mean", "std", "count"])
    row = {name: _cell(*cell.loc[name], sign="+") for name in _in_order(table["data"], DATA)}
    return pd.DataFrame(row, index=pd.Index(["difference"], name="ARI"))


def draw_accuracy(good: pd.DataFrame, path: Path) -> None:
    """A panel for each data set, a line for each method: the mean, its standard deviation and every seed."""
    import matplotlib.pyplot as plt

    methods, data = _in_order(good["method"], METHODS)[::-1], _in_order(good["data"], DATA)
    height = 1.1 + 0.24 * len(methods)
    figure, panels = plt.subplots(1, len(data), figsize=(2.2 + 1.3 * len(data), height), sharey=True, squeeze=False)
    for panel, name in zip(panels[0], data, strict=True):
        for line, method in enumerate(methods):
            values = good.loc[(good["data"] == name) & (good["method"] == method), "ari"].to_numpy()
            color = "0.6" if METHODS[method].uses_labels else ("#0072B2" if method.startswith(SEMST) else "#D55E00")
            panel.plot(
                values, np.full(values.size, line), ".", color=color, alpha=0.35, markersize=4, markeredgewidth=0
            )
            if values.size:
                panel.errorbar(values.mean(), line, xerr=values.std(), fmt="o", color=color, markersize=4, lw=1)
        panel.set_title(name, fontsize=8)
        panel.set_xlim(-0.05, 1)
        panel.tick_params(labelsize=7)
        panel.grid(axis="y", color="0.92")
    panels[0, 0].set_yticks(range(len(methods)), methods, fontsize=7)
    figure.supxlabel("adjusted Rand index", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def draw_meaning(table: pd.DataFrame, path: Path) -> None:
    """Differences by data set, a row of dots for each share of molecules."""
    import matplotlib.pyplot as plt

    data, shares = _in_order(table["data"], DATA)[::-1], sorted(table["molecules"].unique(), reverse=True)
    figure, panels = plt.subplots(
        1,
        len(shares),
        figsize=(1.6 + 2.2 * len(shares), 1.1 + 0.26 * len(data)),
        sharex=True,
        sharey=True,
        squeeze=False,
    )
    for panel, share in zip(panels[0], shares, strict=True):
        for line, name in enumerate(data):
            values = table.loc[(table["data"] == name) & (table["molecules"] == share), "difference"].to_numpy()
            panel.plot(values, np.full(values.size, line), ".", color="#0072B2", alpha=0.4)
            if values.size:
                panel.plot(values.mean(), line, "|", color="#D55E00", markersize=12, markeredgewidth=2)
        panel.axvline(0, color="0.5", lw=0.8)
        panel.set_title(f"{share:.0%} of the molecules", fontsize=8)
        panel.tick_params(labelsize=7)
    panels[0, 0].set_yticks(range(len(data)), data, fontsize=7)
    figure.supxlabel("ARI of semst minus ARI with permuted genes", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def page(rows: pd.DataFrame, folder: Path) -> str:
    """Draw the figures and give the text of the page."""
    ok = rows[rows["status"] == "ok"]
    good = ok[ok["molecules"] == 1]
    draw_accuracy(good, folder / "accuracy.png")
    parts = [
        "Adjusted Rand index on spots that experts labelled: mean ± standard deviation over seeds (number of seeds).",
        "`+ our partition` is the last step of semst on the embedding of that method. Seconds of the processor are",
        "given as a multiple of the floor's, averaged over data sets; memory is the highest of any data set.\n",
        markdown(accuracy(good)),
        "![ARI of each method on each data set](accuracy.png)\n",
    ]
    table = differences(ok)
    if len(table):
        draw_meaning(table, folder / "meaning.png")
        parts += [
            "## Meaning against its control\n",
            "ARI of semst minus ARI of semst with the gene vectors permuted across genes, same data, same seed. Where",
            "molecules were taken away, both saw the same rest.\n",
            markdown(meaning(table)),
            "![semst minus its control](meaning.png)\n",
        ]
    table = differences(ok, PROMPTS)
    if len(table):
        parts += [
            "With the paper's prompt for each spot, minus the same prompts where each gene goes by another's name:\n",
            markdown(meaning(table)),
            markdown(by_data(table[table["molecules"] == 1])),
        ]
    failed = rows[rows["status"] != "ok"]
    if len(failed):
        counted = failed.groupby(["method", "data", "error"])["seed"].count().rename("runs").reset_index()
        counted["error"] = counted["error"].str.replace("|", "/").map("`{}`".format)
        parts += ["## What did not run\n", markdown(counted.astype(str).set_index("method"))]
    return "\n".join(parts)


def _cell(mean: float, std: float, count: float, sign: str = "") -> str:
    return f"{mean:{sign}.3f}{'' if np.isnan(std) else f' ± {std:.3f}'} ({count:.0f})"


def _in_order(names: pd.Series, order: object) -> list[str]:
    """Give the names that occur, in the order of another list; the rest behind."""
    there = set(names)
    return [name for name in order if name in there] + sorted(there - set(order))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    parser.add_argument("--to", type=Path, default=HERE, help="folder of the page and its figures")
    arguments = parser.parse_args()
    (arguments.to / "results.md").write_text(page(read(arguments.results), arguments.to))


if __name__ == "__main__":
    main()
