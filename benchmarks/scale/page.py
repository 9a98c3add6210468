"""Write ``results.md`` and ``scale.png`` from ``results.csv``.

python benchmarks/scale/page.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("agg")
from matplotlib import pyplot as plt

HERE = Path(__file__).resolve().parent
PARTS = ["semantics", "reading", "spatial graph", "genes", "networks", "partitions", "choice", "confidence"]
COSTS = {"seconds": "seconds", "cpu_seconds": "processor seconds", "peak_mb": "peak memory"}


def exponent(n: np.ndarray, cost: np.ndarray) -> float:
    """Slope of a straight line through the logarithms, by least squares."""
    return float(np.polyfit(np.log(n), np.log(cost), 1)[0])


def markdown(rows: list[list[str]]) -> str:
    head, *body = rows
    return "\n".join(["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body]]) + "\n"


def whole(table: pd.DataFrame) -> str:
    """Seconds, memory and accuracy of the whole job."""
    rows = [["cells", "seconds", "processor seconds", "peak MB", "microseconds a cell", "ARI with planted domains"]]
    for n, part in table[table["stage"] == "whole"].groupby("n"):
        seconds, cpu, peak, ari = (part[name].mean() for name in ("seconds", "cpu_seconds", "peak_mb", "ari"))
        rows.append([f"{n:,}", f"{seconds:.0f}", f"{cpu:.0f}", f"{peak:.0f}", f"{1e6 * seconds / n:.0f}", f"{ari:.3f}"])
    return markdown(rows)


def exponents(table: pd.DataFrame) -> str:
    """Exponents of cost over size: through all sizes, and between the largest two."""
    means = table[table["stage"] == "whole"].groupby("n")[list(COSTS)].mean()
    n = means.index.to_numpy(float)
    rows = [["", "all sizes", f"{n[-2]:,.0f} to {n[-1]:,.0f} cells"]]
    for cost, name in COSTS.items():
        values = means[cost].to_numpy()
        rows.append([name, f"{exponent(n, values):.2f}", f"{exponent(n[-2:], values[-2:]):.2f}"])
    return markdown(rows)


def stages(table: pd.DataFrame, cost: str, form: str) -> str:
    """One cost of each stage at each size."""
    wide = table.pivot_table(index="stage", columns="n", values=cost).reindex(PARTS)
    rows = [["", *[f"{n:,}" for n in wide.columns]]]
    rows += [[stage, *[format(value, form) for value in values]] for stage, *values in wide.itertuples()]
    return markdown(rows)


def draw(table: pd.DataFrame, path: Path) -> None:
    means = table.groupby(["stage", "n"])[list(COSTS)].mean()
    figure, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    for stage in ["whole", *PARTS]:
        part = means.loc[stage]
        style = {"color": "black", "linewidth": 2.2} if stage == "whole" else {"linewidth": 1}
        axes[0].plot(part.index, part["seconds"], marker="o", markersize=3, label=stage, **style)
    part = means.loc["whole"]
    axes[1].plot(part.index, part["peak_mb"] / 1024, marker="o", markersize=3, color="black")
    for ax, cost, label in (
        (axes[0], part["seconds"], "seconds"),
        (axes[1], part["peak_mb"] / 1024, "peak memory, GB"),
    ):
        n = np.array([part.index[0], part.index[-1]], dtype=float)
        ax.plot(n, cost.iloc[-1] * n / n[-1], color="grey", linestyle=":", label="linear")
        ax.set(xscale="log", yscale="log", xlabel="cells", ylabel=label)
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].legend(fontsize=7, frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / "results.csv")
    options = parser.parse_args()
    table = pd.read_csv(options.results)
    cores = "/".join(str(number) for number in sorted(table["cores"].unique()))
    draw(table, options.results.with_name("scale.png"))
    text = f"""# Time and memory over size

Simulated cells, 300 genes, seven planted domains; `semst.pp.gene_semantics` and `semst.tl.cluster` with their
defaults and the number of domains given, on {cores} cores. Simulation says nothing about accuracy on real tissue; the
last column compares sizes alone. Up to 5000 cells networks are trained on the whole graph, above in tiles.

{whole(table)}
![Seconds and memory over the number of cells](scale.png)

## Exponent of cost over size

1 is linear. A line through all sizes mixes the two ways of training and takes in what every run pays (imports, 80
steps of training, mixtures of a sample); the second column is what a larger tissue adds.

{exponents(table)}
## Seconds of each stage

{stages(table, "seconds", ".1f")}
## Processor seconds of each stage

What a busy machine changes less.

{stages(table, "cpu_seconds", ".1f")}
## Highest memory in each stage, MB

With all that was there before it.

{stages(table, "peak_mb", ".0f")}"""
    options.results.with_name("results.md").write_text(text)


if __name__ == "__main__":
    main()
