"""Who speaks when torchrun started several processes."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest

import semst  # noqa: F401 (puts the filter on the logger)
from semst._log import FirstProcessSpeaks, quiet_other_processes

LOGGER = logging.getLogger("semst")


def lines(caplog):
    with caplog.at_level(logging.INFO, logger="semst"):
        LOGGER.info("%d genes", 7)
        LOGGER.warning("%s is low on memory: 100 %%", "cuda:1")
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("environment", [{}, {"RANK": "1"}, {"RANK": "0", "TORCHELASTIC_RUN_ID": "x"}])
def test_a_process_alone_and_the_first_of_several_say_everything(monkeypatch, caplog, environment):
    for name in ("RANK", "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert lines(caplog) == ["7 genes", "cuda:1 is low on memory: 100 %"]


def test_the_others_only_warn_and_say_who_they_are(monkeypatch, caplog):
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    assert lines(caplog) == ["process 3: cuda:1 is low on memory: 100 %"]


def test_there_is_one_filter_however_often_it_is_asked_for():
    quiet_other_processes()
    assert sum(isinstance(each, FirstProcessSpeaks) for each in LOGGER.filters) == 1


def test_two_processes_that_torchrun_started(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import logging, semst\n"
        "logging.basicConfig(level=logging.INFO, format='%(message)s')\n"
        "adata = semst.datasets.simulated(n_spots=200, n_genes=100, progress=False)\n"
        "semst.pp.gene_semantics(adata, progress=False)\n"
        "logging.getLogger('semst').warning('of mine')\n",
        encoding="utf-8",
    )
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*torchrun, script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("gene_semantics: 100 of 100 genes") == 1
    assert sorted(line for line in done.stderr.splitlines() if "of mine" in line) == ["of mine", "process 1: of mine"]
