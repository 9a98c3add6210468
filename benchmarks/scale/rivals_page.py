"""Write ``rivals.md`` from ``rivals.csv``, and from ``idle.csv`` what an idle machine took for semst and the floor.

python benchmarks/scale/rivals_page.py
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
OURS, FLOOR, DENSE, GRAPHST = "semst", "floor, 6 neighbours", "dense, as published", "GraphST"
SLICE, CELLS = "dlpfc_151673", "simulated_20000"
TITLES = {SLICE: "dlpfc_151673: 3 639 spots", CELLS: "Simulated: 20 000 spots, 300 genes"}
OVER = "> limit"
ASKED = [  # tissue; what is divided by what; and what was asked of it
    ("dense formulation / semst, slice", SLICE, DENSE, OURS, "at least 10"),
    ("GraphST / semst, slice", SLICE, GRAPHST, OURS, "at least 10"),
]
AT_MOST = "at most 10, aim 5"  # what was asked of semst / floor


def markdown(rows: list[list[str]]) -> str:
    head, *body = rows
    return "\n".join(["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *body]]) + "\n"


def means(table: pd.DataFrame) -> pd.DataFrame:
    """Mean costs of each method on one tissue, in the order of the rows."""
    costs = table.groupby("method", sort=False)[["seconds", "cpu_seconds", "peak_mb", "load"]].mean()
    cpu = table.groupby("method", sort=False)["cpu_seconds"]
    spread = pd.DataFrame({"runs": cpu.size(), "least": cpu.min(), "most": cpu.max()})
    return costs.join(spread).join(table.groupby("method", sort=False)[["status", "error"]].first())


def ratio(above: pd.Series, below: pd.Series, cost: str) -> str:
    """Divide two costs; what ran into its limit gives a bound, what has no cost a dash."""
    if pd.isna(above[cost]) or pd.isna(below[cost]):
        return "-"
    sign = "> " if above["status"] == OVER else "< " if below["status"] == OVER else ""
    value = above[cost] / below[cost]
    return f"{sign}{value:.0f}" if value >= 10 else f"{sign}{value:.2g}"


def number(row: pd.Series, cost: str) -> str:
    """Show a cost; what ran into its limit took more than that."""
    if pd.isna(row[cost]):
        return "-"
    sign = "> " if row["status"] == OVER else ""
    return sign + format(row[cost], ".0f" if row[cost] >= 100 else ".3g")


def costs(table: pd.DataFrame) -> str:
    rows = [["method", "processor seconds", "x semst", "seconds", "x semst", "peak MB", "load", "note"]]
    found = means(table)
    for name, row in found.iterrows():
        cells = [str(name)]
        for cost in ("cpu_seconds", "seconds"):
            cells.append(number(row, cost))
            cells.append(ratio(row, found.loc[OURS], cost) if OURS in found.index else "-")
        cells += ["-" if pd.isna(row["peak_mb"]) else f"{row['peak_mb']:.0f}", f"{row['load']:.1f}"]
        said = [row["error"]] if row["error"].startswith(row["status"]) else [row["status"], row["error"]]
        note = "" if row["status"] == "ok" else ": ".join(filter(None, said))
        if row["runs"] > 1:
            note = f"{row['runs']} runs, processor {row['least']:.3g} to {row['most']:.3g}; {note}".rstrip("; ")
        rows.append([*cells, note.replace("|", "/")])
    return markdown(rows)


def asked(table: pd.DataFrame) -> str:
    """What was asked, and what was found."""
    rows = [["processor seconds", "found", "asked"]]
    for title, data, above, below, wanted in ASKED:
        found = means(table[table["data"] == data])
        there = above in found.index and below in found.index
        value = ratio(found.loc[above], found.loc[below], "cpu_seconds") if there else "not run"
        rows.append([title, value, wanted])
    return markdown(rows)


def idle(table: pd.DataFrame) -> str:
    """Costs of semst beside the floor on an idle machine, where the clock tells what a user waits."""
    rows = [["semst / floor", "seconds on the clock", "ratio", "processor seconds", "ratio", "runs", "asked"]]
    for data, part in table.groupby("data", sort=False):
        ours, floor = (part[part["method"] == name].set_index("seed") for name in (OURS, FLOOR))
        cells = []
        for cost in ("seconds", "cpu_seconds"):
            quotient = ours[cost] / floor[cost]
            cells.append(f"{ours[cost].mean():.3g} / {floor[cost].mean():.2g}")
            cells.append(f"{quotient.mean():.1f} ± {quotient.std():.1f}")
        rows.append([TITLES[data], *cells, str(len(ours)), AT_MOST])
    return markdown(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=HERE / "rivals.csv")
    parser.add_argument("--idle", type=Path, default=HERE / "idle.csv")
    options = parser.parse_args()
    table = pd.read_csv(options.results).fillna({"error": ""})
    low, high = table["load"].min(), table["load"].max()
    parts = [f"## {TITLES[data]}\n\n{costs(part)}" for data, part in table.groupby("data", sort=False)]
    text = f"""# Cost beside others

Runs one after the other, one thread each, seed 0 (and 1 where two runs are noted; costs are means), the number of
domains given. `semst` is `gene_semantics` and `cluster` with their defaults; peers run as in the accuracy benchmark.
Each has its own documented preparation, which is part of its time. Two cores were shared with
other work (`load`: mean of the machine's one-minute load before and after a run, {low:.1f} to {high:.1f}). Compare
processor seconds: seconds on the clock also hold the time a run waited for others, which differs from row to row.
Processor seconds are not free of the load either, and one seed gives no interval, so small differences mean nothing.
semst trains its networks and cuts its partitions on both cores at once, which shortens its clock alone.

{asked(table)}
On the same machine with nothing else on it, semst and the floor in turn, which is what a user waits:

{idle(pd.read_csv(options.idle))}
The dense formulation is our own writing of it (`dense.py`): a few epochs are timed after two of warm-up, and the rest
of its 200 is reckoned from them. Its prompts and the partition after each epoch are left out, in favour of it.
`> limit`: stopped at that many processor seconds, so that ratios are bounds. A method without a row has not been run
yet; a second call of `rivals.py` goes on there.

{chr(10).join(parts)}"""
    options.results.with_name("rivals.md").write_text(text.rstrip() + "\n")


if __name__ == "__main__":
    main()
