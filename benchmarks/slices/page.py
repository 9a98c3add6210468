"""``results.md`` from ``joint.csv``: means over seeds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

HERE = Path(__file__).parent
WAYS = {"alone": "each slice alone", "pooled": "as one table, no `batch_key`", "batch_key": "`batch_key`"}
COLUMNS = {
    "ari_151673": "ARI 151673",
    "ari_151676": "ARI 151676",
    "ari_mean": "mean of the two",
    "ari_together": "ARI of both at once",
    "mixing": "mixing",
    "cpu_seconds": "CPU seconds",
}


def main() -> None:
    """Write the page."""
    rows = pd.read_csv(HERE / "joint.csv")
    lines = [
        f"| | seeds | {' | '.join(COLUMNS.values())} |",
        "|" + "---|" * (len(COLUMNS) + 2),
    ]
    for way, words in WAYS.items():
        runs = rows[rows["way"] == way]
        if len(runs):
            cells = [_cell(runs[name]) for name in COLUMNS]
            lines.append(f"| {words} | {len(runs)} | {' | '.join(cells)} |")
    (HERE / "results.md").write_text("\n".join(lines) + "\n")


def _cell(values: pd.Series) -> str:
    if values.isna().any():
        return ""
    if values.name == "cpu_seconds":
        return f"{values.mean():.0f}"
    digits = 4 if values.name == "mixing" else 3
    spread = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 and values.name != "mixing" else ""
    return f"{values.mean():.{digits}f}{spread}"


if __name__ == "__main__":
    main()
