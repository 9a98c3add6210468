"""The command line: what it promises about files, exit codes and messages."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import anndata
import geopandas
import numpy as np
import pandas as pd
import pytest
import spatialdata
from shapely.geometry import Point
from spatialdata.models import ShapesModel, TableModel

import semst
from semst.cli import main
from semst.cli._parser import build_parser

FAST = ["--epochs", "2", "--quiet"]


@pytest.fixture
def tissue():
    return semst.datasets.simulated(n_spots=120, n_genes=60, n_domains=3, progress=False)


@pytest.fixture
def h5ad(tissue, tmp_path):
    path = tmp_path / "in.h5ad"
    tissue.write_h5ad(path)
    return path


@pytest.fixture
def sdata(tissue):
    """The tissue as circles that a table annotates, with no coordinates in the table."""
    places = tissue.obsm["spatial"]
    circles = ShapesModel.parse(
        geopandas.GeoDataFrame({"radius": np.full(len(places), 40.0)}, geometry=[Point(*place) for place in places])
    )
    table = tissue.copy()
    del table.obsm["spatial"], table.uns["spatial"]
    table.obs["region"] = pd.Categorical(["spots"] * table.n_obs)
    table.obs["instance"] = np.arange(table.n_obs)
    table = TableModel.parse(table, region="spots", region_key="region", instance_key="instance")
    return spatialdata.SpatialData(shapes={"spots": circles}, tables={"table": table})


@pytest.fixture
def no_work(monkeypatch):
    """Fail the test where domains are sought: what can be refused must be refused before."""

    def work(*_, **__):
        pytest.fail("the long work began")

    monkeypatch.setattr(semst.tl, "cluster", work)
    monkeypatch.setattr(semst.pp, "gene_semantics", work)


@pytest.fixture
def quick(monkeypatch):
    """Let domains be found without work: bands of the tissue, two of them."""

    def bands(data, *, key_added="semst", **_):
        data.obs[key_added] = pd.Categorical(np.where(np.arange(data.n_obs) < 60, "1", "2"))
        data.obs[f"{key_added}_confidence"] = np.ones(data.n_obs, dtype=np.float32)

    monkeypatch.setattr(semst.tl, "cluster", bands)


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def run(*arguments):
    return main([str(argument) for argument in arguments])


# What comes out


def test_demo_leaves_a_picture_and_a_table(tmp_path, capfd):
    assert run("demo", "--out", tmp_path / "new", "--n-spots", 150, "--n-genes", 60, *FAST) == 0
    assert names_in(tmp_path / "new") == ["domains.h5ad", "domains.png"]
    assert (tmp_path / "new" / "domains.png").read_bytes().startswith(b"\x89PNG")
    adata = anndata.read_h5ad(tmp_path / "new" / "domains.h5ad")
    assert adata.obs["semst"].nunique() == adata.obs["ground_truth"].nunique() == 7
    assert adata.obsm["gene_semantics"].shape[0] == 150
    out, err = capfd.readouterr()
    ari = semst.metrics.agreement(adata.obs["ground_truth"], adata.obs["semst"])["ari"]
    assert f"ARI {ari:.2f}" in out
    assert "no evidence of accuracy" in out
    assert str(tmp_path / "new" / "domains.png") in out
    assert err == ""


def test_cluster_writes_the_results_and_leaves_the_input_alone(h5ad, tmp_path, capfd):
    before = h5ad.read_bytes()
    picture = tmp_path / "out.png"
    arguments = [h5ad, tmp_path / "out.h5ad", "--n-clusters", 3, "--plot", picture, "--reference", "ground_truth"]
    assert run("cluster", *arguments, *FAST) == 0
    assert h5ad.read_bytes() == before
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = anndata.read_h5ad(tmp_path / "out.h5ad")
    expected = anndata.read_h5ad(h5ad)
    semst.tl.cluster(expected, n_clusters=3, epochs=2, progress=False)
    pd.testing.assert_series_equal(found.obs["semst"], expected.obs["semst"])
    assert found.uns["semst"]["params"]["n_clusters"] == 3
    out, err = capfd.readouterr()
    sizes = found.obs["semst"].value_counts()
    rows = re.findall(r"^ +(\d) +(\d+) +[01]\.\d\d$", out, re.MULTILINE)
    assert rows == [(name, str(sizes[name])) for name in ("1", "2", "3")]
    assert "agreement with ground_truth: ARI" in out
    assert f"wrote {tmp_path / 'out.h5ad'}\nwrote {picture}\n" in out
    assert err == ""
    assert names_in(tmp_path) == ["in.h5ad", "out.h5ad", "out.png"]


def test_progress_and_remarks_go_to_stderr(h5ad, tmp_path, capfd):
    assert run("cluster", h5ad, tmp_path / "out.h5ad", "-k", 3, "--epochs", 2) == 0
    out, err = capfd.readouterr()
    assert "epoch" in err
    assert "semst: no semantics" in err
    assert "epoch" not in out
    assert out.startswith("120 spots x 60 genes, 3 domains\n")


@pytest.mark.parametrize("suffix", [".zarr", ".h5ad"])
def test_zarr_of_an_anndata_can_be_read_and_both_formats_written(tissue, tmp_path, suffix):
    tissue.write_zarr(tmp_path / "in.zarr")
    assert run("cluster", tmp_path / "in.zarr", tmp_path / f"out{suffix}", "-k", 3, *FAST) == 0
    read = anndata.read_zarr if suffix == ".zarr" else anndata.read_h5ad
    assert read(tmp_path / f"out{suffix}").obs["semst"].nunique() == 3


def test_spatialdata_is_recognised_and_written_whole(sdata, tmp_path):
    sdata.write(tmp_path / "in.zarr")
    arguments = [tmp_path / "in.zarr", tmp_path / "out.zarr", "-k", 3, "--plot", tmp_path / "out.png"]
    assert run("cluster", *arguments, *FAST) == 0
    found = spatialdata.read_zarr(tmp_path / "out.zarr")
    assert found["table"].obs["semst"].nunique() == 3
    assert len(found["spots"]) == 120
    assert "semst" not in spatialdata.read_zarr(tmp_path / "in.zarr")["table"].obs
    assert names_in(tmp_path) == ["in.zarr", "out.png", "out.zarr"]


@pytest.mark.parametrize("suffix", [".zarr", ".h5ad"])
def test_overwrite_replaces_an_output(h5ad, tmp_path, suffix):
    output = tmp_path / f"out{suffix}"
    for k in (3, 2):
        assert run("cluster", h5ad, output, "-k", k, "--overwrite", *FAST) == 0
    read = anndata.read_zarr if suffix == ".zarr" else anndata.read_h5ad
    assert read(output).obs["semst"].nunique() == 2
    assert names_in(tmp_path) == ["in.h5ad", output.name]


def test_own_vectors_are_used(h5ad, tissue, tmp_path):
    names = np.array(tissue.var_names, dtype=str)
    np.savez(tmp_path / "own.npz", genes=names, vectors=np.eye(len(names), dtype=np.float32))
    arguments = [h5ad, tmp_path / "out.h5ad", "-k", 3, "--vectors", tmp_path / "own.npz"]
    assert run("cluster", *arguments, *FAST) == 0
    assert anndata.read_h5ad(tmp_path / "out.h5ad").obsm["gene_semantics"].shape == (120, 60)


def test_a_reference_that_the_domains_replace_is_compared_as_it_was(tissue, tmp_path, capfd, monkeypatch, quick):
    from semst.cli import _cluster

    semst.tl.cluster(tissue)
    earlier = pd.Categorical(np.where(np.arange(120) % 2, "1", "2"))
    tissue.obs["semst"] = earlier
    tissue.write_h5ad(tmp_path / "in.h5ad")
    drawn = {}

    def draw(data, path, keys, **_):
        drawn.update({key: list(data.obs[key]) for key in keys})
        path.write_bytes(b"")

    monkeypatch.setattr(_cluster, "draw", draw)
    arguments = [tmp_path / "in.h5ad", tmp_path / "out.h5ad", "--reference", "semst", "--plot", tmp_path / "out.png"]
    assert run("cluster", *arguments) == 0
    found = anndata.read_h5ad(tmp_path / "out.h5ad").obs
    ari = semst.metrics.agreement(earlier, found["semst"])["ari"]
    assert ari < 0.1
    assert f"agreement with semst: ARI {ari:.2f}" in capfd.readouterr().out
    assert drawn["earlier semst"] == list(earlier)
    assert drawn["semst"] == list(found["semst"])
    assert "earlier semst" not in found


# What is refused, before any work and in one line


def refused(capfd, *arguments, match):
    assert run(*arguments) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert re.search(match, err), err
    assert err.startswith("semst: error: ")
    assert err.count("\n") == 1
    assert err.endswith("\n")


@pytest.mark.usefixtures("no_work")
class TestRefusals:
    def test_no_input(self, tmp_path, capfd):
        refused(capfd, "cluster", tmp_path / "no.h5ad", tmp_path / "out.h5ad", "-k", 3, match=r"there is no .*no\.h5ad")

    def test_something_else_as_input(self, tmp_path, capfd):
        (tmp_path / "in.csv").write_text("a,b\n")
        refused(capfd, "cluster", tmp_path / "in.csv", tmp_path / "out.h5ad", "-k", 3, match=r"neither a \.h5ad")

    def test_a_damaged_file(self, tmp_path, capfd):
        (tmp_path / "in.h5ad").write_bytes(b"not HDF5")
        refused(capfd, "cluster", tmp_path / "in.h5ad", tmp_path / "out.h5ad", "-k", 3, match="cannot be read")
        assert names_in(tmp_path) == ["in.h5ad"]

    @pytest.mark.parametrize("content", [{}, {"zarr.json": '{"zarr_format": 3, "node_type": "group"}'}])
    def test_a_zarr_of_something_else(self, tmp_path, capfd, content):
        (tmp_path / "in.zarr").mkdir()
        for name, text in content.items():
            (tmp_path / "in.zarr" / name).write_text(text)
        match = "holds neither" if content else "cannot be read as zarr"
        refused(capfd, "cluster", tmp_path / "in.zarr", tmp_path / "out.h5ad", "-k", 3, match=match)

    def test_the_input_as_output_even_with_overwrite(self, h5ad, tmp_path, capfd):
        (tmp_path / "link.h5ad").symlink_to(h5ad)
        for output in (h5ad, tmp_path / "." / "in.h5ad", tmp_path / "link.h5ad"):
            refused(capfd, "cluster", h5ad, output, "-k", 3, "--overwrite", match="is the input")

    def test_an_output_inside_the_input(self, tissue, tmp_path, capfd):
        tissue.write_zarr(tmp_path / "in.zarr")
        output = tmp_path / "in.zarr" / "out.zarr"
        refused(capfd, "cluster", tmp_path / "in.zarr", output, "-k", 3, "--overwrite", match="lies in it")

    def test_a_picture_in_place_of_the_output(self, h5ad, tmp_path, capfd):
        output = tmp_path / "out.png"
        refused(capfd, "cluster", h5ad, output, "-k", 3, "--plot", output, match=r"must end in \.h5ad or \.zarr")

    def test_an_output_that_exists(self, h5ad, tmp_path, capfd):
        (tmp_path / "out.h5ad").write_text("precious")
        refused(capfd, "cluster", h5ad, tmp_path / "out.h5ad", "-k", 3, match="exists already.*--overwrite")
        assert (tmp_path / "out.h5ad").read_text() == "precious"

    def test_a_picture_that_exists(self, h5ad, tmp_path, capfd):
        (tmp_path / "out.png").write_text("precious")
        arguments = [h5ad, tmp_path / "out.h5ad", "-k", 3, "--plot", tmp_path / "out.png"]
        refused(capfd, "cluster", *arguments, match="exists already")

    def test_a_picture_of_unknown_format(self, h5ad, tmp_path, capfd):
        arguments = [h5ad, tmp_path / "out.h5ad", "-k", 3, "--plot", tmp_path / "out.doc"]
        refused(capfd, "cluster", *arguments, match=r"pictures end in \.png, \.pdf, \.svg")

    def test_a_folder_that_is_no_zarr_is_not_replaced(self, h5ad, tmp_path, capfd):
        (tmp_path / "out.zarr").mkdir()
        (tmp_path / "out.zarr" / "thesis.txt").write_text("precious")
        refused(capfd, "cluster", h5ad, tmp_path / "out.zarr", "-k", 3, "--overwrite", match="holds no zarr")
        assert (tmp_path / "out.zarr" / "thesis.txt").exists()

    def test_a_folder_that_is_not_there(self, h5ad, tmp_path, capfd):
        refused(capfd, "cluster", h5ad, tmp_path / "no" / "out.h5ad", "-k", 3, match="there is no folder")

    def test_spatialdata_as_h5ad(self, sdata, tmp_path, capfd):
        sdata.write(tmp_path / "in.zarr")
        arguments = [tmp_path / "in.zarr", tmp_path / "out.h5ad", "-k", 3]
        refused(capfd, "cluster", *arguments, match=r"spatialdata zarr input must end in \.zarr")

    def test_a_reference_that_is_not_there(self, h5ad, tmp_path, capfd):
        arguments = [h5ad, tmp_path / "out.h5ad", "-k", 3, "--reference", "layers"]
        refused(capfd, "cluster", *arguments, match=r"no obs\['layers'\].*'ground_truth'")
        assert names_in(tmp_path) == ["in.h5ad"]

    @pytest.mark.parametrize(
        ("column", "match"),
        [
            (np.full(120, np.nan), "at least two labels, .* it has 0 in 0 spots"),
            (pd.Categorical([None] * 120, categories=["a", "b"]), "at least two labels, .* it has 0 in 0 spots"),
            (pd.Categorical(["a"] * 120, categories=["a", "b"]), "at least two labels, .* it has 1 in 120 spots"),
            ([f"spot {number}" for number in range(120)], "not one for each spot; it has 120 in 120 spots"),
            (np.linspace(0, 1, 120), "holds measured numbers; name a column of labels"),
        ],
        ids=["nothing", "unused", "one", "names", "measured"],
    )
    def test_a_reference_that_holds_no_labels(self, tissue, tmp_path, capfd, column, match):
        tissue.obs["mine"] = column
        tissue.write_h5ad(tmp_path / "in.h5ad")
        arguments = [tmp_path / "in.h5ad", tmp_path / "out.h5ad", "-k", 3, "--reference", "mine"]
        refused(capfd, "cluster", *arguments, match=match)
        assert names_in(tmp_path) == ["in.h5ad"]

    def test_a_demo_over_an_earlier_one(self, tmp_path, capfd):
        (tmp_path / "domains.h5ad").write_text("precious")
        refused(capfd, "demo", "--out", tmp_path, match="exists already")
        assert names_in(tmp_path) == ["domains.h5ad"]

    def test_a_demo_that_fails_leaves_no_empty_folder(self, tmp_path, capfd):
        refused(capfd, "demo", "--out", tmp_path / "new" / "deep", "--n-genes", 2, match="n_genes must be")
        assert names_in(tmp_path) == []
        (tmp_path / "kept").mkdir()
        refused(capfd, "demo", "--out", tmp_path / "kept", "--n-genes", 2, match="n_genes must be")
        assert names_in(tmp_path) == ["kept"]


def test_bad_data_give_one_line_and_no_file(tissue, tmp_path, capfd):
    tissue.X.data[:3] = -1
    tissue.obsm["spatial"][0, 0] = np.nan
    tissue.write_h5ad(tmp_path / "in.h5ad")
    refused(capfd, "cluster", tmp_path / "in.h5ad", tmp_path / "out.h5ad", "-k", 3, match="2 problems.*negative.*NaN")
    assert names_in(tmp_path) == ["in.h5ad"]


# What goes wrong on the way


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            RuntimeError("CUDA out of memory\n  at kernel"),
            1,
            "semst: error: RuntimeError: CUDA out of memory at kernel",
        ),
        (KeyError("counts"), 1, "semst: error: KeyError: counts"),
        (MemoryError(), 1, "semst: error: MemoryError"),
        (KeyboardInterrupt(), 130, "semst: interrupted; nothing was written."),
    ],
)
def test_a_run_that_fails_leaves_nothing_behind(h5ad, tmp_path, capfd, monkeypatch, error, code, message):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr(semst.tl, "cluster", fail)
    (tmp_path / "old.h5ad").write_bytes(b"old")
    assert run("cluster", h5ad, tmp_path / "old.h5ad", "-k", 3, "--overwrite") == code
    assert capfd.readouterr().err == f"{message}\n"
    assert names_in(tmp_path) == ["in.h5ad", "old.h5ad"]
    assert (tmp_path / "old.h5ad").read_bytes() == b"old"


def test_a_picture_that_fails_leaves_no_table_behind(h5ad, tmp_path, monkeypatch):
    def fail(*_, **__):
        message = "no ink"
        raise ValueError(message)

    monkeypatch.setattr(semst.pl, "domains", fail)
    arguments = ["cluster", h5ad, tmp_path / "out.h5ad", "-k", 3, "--plot", tmp_path / "out.png", *FAST]
    assert run(*arguments) == 1
    assert names_in(tmp_path) == ["in.h5ad"]
    with pytest.raises(ValueError, match="no ink"):
        run(*arguments, "--debug")


@pytest.mark.usefixtures("quick")
def test_a_comparison_that_fails_leaves_the_results(h5ad, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ZeroDivisionError

    monkeypatch.setattr(semst.metrics, "agreement", fail)
    assert run("cluster", h5ad, tmp_path / "out.h5ad", "--reference", "ground_truth") == 1
    assert names_in(tmp_path) == ["in.h5ad", "out.h5ad"]


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("suffix", [".zarr", ".h5ad"])
@pytest.mark.parametrize("stopped_at", [1, 2, 3, 4])
def test_an_interrupted_replacement_leaves_what_was_there(h5ad, tmp_path, monkeypatch, capfd, suffix, stopped_at):
    """Table and picture are replaced in four moves, and Ctrl-C may come at each."""
    from semst.cli import _cluster

    output, picture = tmp_path / f"out{suffix}", tmp_path / "out.png"
    monkeypatch.setattr(_cluster, "draw", lambda _, path, *__, **___: path.write_text("new"))
    assert run("cluster", h5ad, output) == 0
    picture.write_text("old")
    files = [picture, *(path for path in [output, *output.rglob("*")] if path.is_file())]
    before = {path: path.read_bytes() for path in files}
    moves, rename = 0, Path.rename

    def stop(self, target):
        nonlocal moves
        moves += tmp_path in {self.parent, Path(target).parent}
        if moves == stopped_at:
            moves += 1
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stop)
    capfd.readouterr()
    assert run("cluster", h5ad, output, "--plot", picture, "--overwrite", "--key-added", "new") == 130
    assert capfd.readouterr().err.endswith("semst: interrupted; nothing was written.\n")
    assert {path: path.read_bytes() for path in files} == before
    assert names_in(tmp_path) == sorted(["in.h5ad", output.name, "out.png"])


def test_an_interruption_after_the_training_names_what_can_be_gone_on_from(h5ad, tmp_path, monkeypatch, capfd):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("semst.clustering._run.find_domains", stop)
    kept = tmp_path / "kept"
    assert run("cluster", h5ad, tmp_path / "out.h5ad", "-k", 3, "--checkpoint", kept, *FAST) == 130
    told = f"no result was written. {kept} holds trained networks, from which the same command goes on.\n"
    assert capfd.readouterr().err == f"semst: interrupted; {told}"
    assert names_in(tmp_path) == ["in.h5ad", "kept"]
    monkeypatch.undo()
    assert run("cluster", h5ad, tmp_path / "out.h5ad", "-k", 3, "--checkpoint", kept, *FAST) == 0


@pytest.mark.usefixtures("quick")
def test_an_interruption_after_the_writing_says_that_it_was_written(h5ad, tmp_path, monkeypatch, capfd):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("semst.cli._cluster.report", stop)
    output = tmp_path / "out.h5ad"
    assert run("cluster", h5ad, output) == 130
    assert capfd.readouterr().err.endswith(f"semst: interrupted; {output} was written before.\n")
    assert output.exists()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("buffering", [-1, 1], ids=["at the end", "line by line"])
def test_a_reader_of_the_results_who_leaves_is_no_error(h5ad, tmp_path, monkeypatch, capfd, buffering):
    """As in ``semst cluster in.h5ad out.h5ad | true``."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w", buffering=buffering) as stdout:  # noqa: PTH123 (a path has no number)
        monkeypatch.setattr(sys, "stdout", stdout)
        assert run("cluster", h5ad, tmp_path / "out.h5ad", "--quiet") == 0
    monkeypatch.undo()
    assert capfd.readouterr().err == ""
    assert (tmp_path / "out.h5ad").exists()


def test_an_output_that_appears_meanwhile_is_kept(h5ad, tmp_path, monkeypatch, capfd):
    from semst.cli import _cluster

    def draw(*_, **__):
        (tmp_path / "out.h5ad").write_text("of someone else")

    monkeypatch.setattr(_cluster, "_find_domains", draw)
    refused(capfd, "cluster", h5ad, tmp_path / "out.h5ad", "-k", 3, match="exists already")
    assert (tmp_path / "out.h5ad").read_text() == "of someone else"


# How it is called


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["paint"],
        ["cluster", "in.h5ad"],
        ["cluster", "in.h5ad", "out.h5ad", "-k", "1"],
        ["cluster", "in.h5ad", "out.h5ad", "-k", "seven"],
        ["cluster", "in.h5ad", "out.h5ad", "-k", "7", "--likelihood", "poisson"],
        ["cluster", "in.h5ad", "out.h5ad", "-k", "7", "--no-semantics", "--vectors", "own.npz"],
        ["cluster", "in.h5ad", "out.h5ad", "-k", "7", "--no-semantics", "--species", "mouse"],
        ["cluster", "in.h5ad", "out.h5ad", "-k", "7", "--semantics-key", "mine", "--species", "mouse"],
        ["cluster", "in.h5ad", "out.h5ad", "-k", "7", "--likelihood", "gaussian", "--encoder", "all-MiniLM-L6-v2"],
        ["demo", "--n-spots", "-5"],
    ],
)
def test_wrong_usage_exits_with_2(arguments, capfd):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 2
    assert "usage: semst" in capfd.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["demo", "--help"], ["cluster", "--help"]])
def test_help_and_version_exit_with_0(arguments, capfd):
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    assert exit_info.value.code == 0
    assert "semst" in capfd.readouterr().out


def test_every_option_explains_itself():
    commands = next(action for action in build_parser()._actions if action.choices).choices
    for name, parser in commands.items():
        assert [action.dest for action in parser._actions if not action.help] == [], name


def options_of(command):
    commands = next(action for action in build_parser()._actions if action.choices).choices
    return {action.dest: action for action in commands[command]._actions}


def test_every_argument_of_cluster_is_an_option_with_the_same_default():
    elsewhere = {"data", "copy", "progress"}  # the files, and --quiet
    options = options_of("cluster")
    for name, parameter in inspect.signature(semst.tl.cluster).parameters.items():
        if name in elsewhere | {"semantics_key", "n_clusters"}:
            continue
        assert options[name].default == parameter.default, name


def test_choices_are_those_of_the_functions():
    from semst.datasets._simulated import Layout, Platform
    from semst.nn import Convolution, Likelihood
    from semst.semantics import Species
    from semst.training._recipe import Partition, Preset

    literals = {
        "convolution": Convolution,
        "likelihood": Likelihood,
        "partition": Partition,
        "preset": Preset,
        "species": Species,
    }
    cluster, demo = options_of("cluster"), options_of("demo")
    assert {name: tuple(cluster[name].choices) for name in literals} == {
        name: get_args(literal) for name, literal in literals.items()
    }
    assert tuple(demo["layout"].choices) == get_args(Layout)
    assert tuple(demo["platform"].choices) == get_args(Platform)


def test_options_arrive(h5ad, tmp_path, monkeypatch):
    received = {}

    def record(data, **options):
        received.update(options)
        data.obs["found"] = pd.Categorical(["1"] * data.n_obs)
        data.obs["found_confidence"] = np.ones(data.n_obs, dtype=np.float32)

    monkeypatch.setattr(semst.tl, "cluster", record)
    sent = {
        "n_clusters": 3,
        "preset": "published",
        "semantics_key": "mine",
        "layer": "raw",
        "likelihood": "nb",
        "convolution": "sage",
        "partition": "kmeans",
        "n_top_genes": 50,
        "n_neighbors": 4,
        "epochs": 7,
        "device": "cpu",
        "random_state": 5,
        "table_key": "cells",
        "spatial_key": "xy",
        "coordinate_system": "um",
        "batch_key": "slice",
        "checkpoint": "kept",
        "tiles_per_step": 2,
        "key_added": "found",
    }
    monkeypatch.setattr("semst.cli._cluster._table", lambda data, _: data)
    words = [word for name, value in sent.items() for word in (f"--{name.replace('_', '-')}", value)]
    assert run("cluster", h5ad, tmp_path / "out.h5ad", *words, "--refine", "--quiet") == 0
    assert received == {**sent, "refine": True, "progress": False}


def test_semantics_can_be_left_out(h5ad, tmp_path, monkeypatch):
    seen = []

    def record(data, *, semantics_key, **_):
        seen.append(semantics_key)
        data.obs["semst"] = pd.Categorical(["1"] * data.n_obs)
        data.obs["semst_confidence"] = np.ones(data.n_obs, dtype=np.float32)

    monkeypatch.setattr(semst.tl, "cluster", record)
    for number, words in enumerate([["--no-semantics"], []]):
        assert run("cluster", h5ad, tmp_path / f"{number}.h5ad", "-k", 3, *words, "--quiet") == 0
    assert seen == [None, "gene_semantics"]


def test_the_module_runs_as_a_program(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "semst", "cluster", tmp_path / "no.h5ad", tmp_path / "out.h5ad", "-k", "3"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"semst: error: there is no {tmp_path / 'no.h5ad'}.\n"
