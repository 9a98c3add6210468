"""One tissue in one process: seconds and peak memory of every stage, as JSON.

python benchmarks/scale/one.py tissue.h5ad

The clock is put around functions of semst from outside; what runs is what a user runs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad

import semst
import semst.clustering._domains
import semst.clustering._run
from semst.metrics import agreement

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

STAGES = {  # of semst.tl.cluster: the function that does it, and the module that calls it
    "reading": (semst.clustering._run, "check"),
    "spatial graph": (semst.clustering._run, "spatial_graph"),
    "genes": (semst.clustering._run, "choose_genes"),
    "networks": (semst.clustering._run, "train"),
    "partitions": (semst.clustering._domains, "members"),
    "choice": (semst.clustering._domains, "choose"),
    "confidence": (semst.clustering._domains, "agreement"),
}


class Clock:
    """Seconds on the clock and of the processor, and the highest memory of each stage by looking ten times a second."""

    def __init__(self) -> None:
        self.stages: dict[str, dict[str, float]] = {}
        self._stage = "load"
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE") / 2**20
        peaks: dict[str, float] = {}
        while True:
            stage, now = self._stage, int(Path("/proc/self/statm").read_text().split()[1]) * page
            peaks[stage] = max(peaks.get(stage, 0.0), now)
            self.peaks = peaks
            time.sleep(0.1)

    def run(self, stage: str, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        outside, self._stage = self._stage, stage
        start, used = time.perf_counter(), time.process_time()
        try:
            return work(*args, **kwargs)
        finally:
            # A stage shorter than a look takes the memory that it ends with.
            page = os.sysconf("SC_PAGE_SIZE") / 2**20
            now = int(Path("/proc/self/statm").read_text().split()[1]) * page
            self.stages[stage] = {
                "seconds": time.perf_counter() - start,
                "cpu_seconds": time.process_time() - used,
                "peak_mb": max(self.peaks.get(stage, 0.0), now),
            }
            self._stage = outside

    def around(self, stage: str, caller: ModuleType, name: str) -> None:
        work = getattr(caller, name)
        setattr(caller, name, lambda *args, **kwargs: self.run(stage, work, *args, **kwargs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tissue", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    clock = Clock()
    tissue = clock.run("load", ad.read_h5ad, options.tissue)
    truth = tissue.obs.pop("ground_truth")  # scores alone see it again
    for stage, (caller, name) in STAGES.items():
        clock.around(stage, caller, name)
    clock.run("semantics", semst.pp.gene_semantics, tissue, progress=False)
    chosen = {"n_clusters": truth.nunique(), "random_state": options.seed, "progress": False}
    clock.run("cluster", semst.tl.cluster, tissue, **chosen)
    both = [clock.stages["semantics"], clock.stages["cluster"]]
    clock.stages["whole"] = {
        "seconds": sum(stage["seconds"] for stage in both),
        "cpu_seconds": sum(stage["cpu_seconds"] for stage in both),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps({"ari": agreement(truth, tissue.obs["semst"])["ari"], "stages": clock.stages}))


if __name__ == "__main__":
    main()
