"""One size in one process: seconds and peak memory of every stage, as a line of JSON.

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
from typing import Any

import anndata as ad

import semst
import semst.tl._cluster as parts
from semst.metrics import agreement

STAGES = {  # of semst.tl.cluster: the function that does it
    "reading": "check",
    "spatial_graph": "spatial_graph",
    "genes": "choose_genes",
    "networks": "train",
    "partitions": "members",
    "choice": "choose",
    "confidence": "agreement",
}


class Clock:
    """Seconds, and the highest memory seen in each stage by looking ten times a second."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.peak_mb: dict[str, float] = {}
        self._stage = "start"
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        page = os.sysconf("SC_PAGE_SIZE") / 2**20
        while True:
            now = int(Path("/proc/self/statm").read_text().split()[1]) * page
            self.peak_mb[self._stage] = max(self.peak_mb.get(self._stage, 0.0), now)
            time.sleep(0.1)

    def run(self, stage: str, work: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        outside, self._stage = self._stage, stage
        start = time.perf_counter()
        try:
            return work(*args, **kwargs)
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
            self._stage = outside

    def around(self, stage: str, name: str) -> None:
        work = getattr(parts, name)
        setattr(parts, name, lambda *args, **kwargs: self.run(stage, work, *args, **kwargs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tissue", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    clock = Clock()
    tissue = clock.run("load", ad.read_h5ad, options.tissue)
    truth = tissue.obs.pop("ground_truth")  # scores alone see it again
    for stage, name in STAGES.items():
        clock.around(stage, name)
    clock.run("semantics", semst.pp.gene_semantics, tissue, progress=False)
    start, used = time.perf_counter(), time.process_time()
    chosen = {"n_clusters": truth.nunique(), "random_state": options.seed, "progress": False}
    clock.run("cluster", semst.tl.cluster, tissue, **chosen)
    facts = {
        "n": tissue.n_obs,
        "seed": options.seed,
        "seconds": clock.seconds["semantics"] + time.perf_counter() - start,
        "cpu_seconds_cluster": time.process_time() - used,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "ari": agreement(truth, tissue.obs["semst"])["ari"],
        **{f"{stage}_s": seconds for stage, seconds in clock.seconds.items()},
        **{f"{stage}_mb": memory for stage, memory in clock.peak_mb.items() if stage in clock.seconds},
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
