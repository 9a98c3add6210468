"""One run of one method, in a process of its own: its seconds and its memory are of this run alone.

    python one.py peers/graphst.py find tissue.h5ad out.npz --n-domains 7 --seed 0

The first two arguments name a file and a function in it, ``f(tissue, n_domains, seed)``, which gives the labels (n,)
and the embedding (n, d) or None. Runs in the environment of the method, so that nothing of semst is imported here.
"""

from __future__ import annotations

import argparse
import importlib.util
import random
import resource
import sys
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np


def load(file: Path, function: str):  # noqa: ANN201 (a method)
    """Load a function from a file, though the file may be called like the package that it imports."""
    sys.path[:] = [folder for folder in sys.path if Path(folder or ".").resolve() != Path(__file__).resolve().parent]
    spec = importlib.util.spec_from_file_location(f"method_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return getattr(module, function)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="file with the method")
    parser.add_argument("function", help="its function")
    parser.add_argument("tissue", type=Path, help="counts and places, no labels")
    parser.add_argument("out", type=Path, help="where labels, embedding, seconds and memory go (.npz)")
    parser.add_argument("--n-domains", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--labels", type=Path, help="experts' labels, only for a method that is marked to use them")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    method = load(arguments.file, arguments.function)
    extra = {"truth": np.load(arguments.labels, allow_pickle=False)} if arguments.labels else {}
    tissue = ad.read_h5ad(arguments.tissue)
    random.seed(arguments.seed)
    np.random.seed(arguments.seed)  # noqa: NPY002 (several peers read the global state)
    start, start_cpu = time.perf_counter(), time.process_time()
    labels, embedding = method(tissue, arguments.n_domains, arguments.seed, **extra)
    found = {
        "labels": np.unique(np.asarray(labels).astype(str), return_inverse=True)[1],
        "seconds": time.perf_counter() - start,
        "cpu_seconds": time.process_time() - start_cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if embedding is not None:
        found["embedding"] = np.asarray(embedding, dtype=np.float32)
    np.savez(arguments.out, **found)


if __name__ == "__main__":
    main()
