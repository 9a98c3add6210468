"""A run that was looked at once, and should come out the same until somebody changes the recipe on purpose.

The bytes may differ between processors; the domains may not. After a deliberate change, write it anew:
``SEMST_WRITE_GOLDEN=1 python -m pytest tests/golden``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

import semst

GOLDEN = Path(__file__).parent / "simulated.json"


def test_simulated_tissue():
    adata = semst.datasets.simulated(n_spots=400, n_genes=300, n_domains=4, random_state=7, progress=False)
    semst.pp.gene_semantics(adata)
    semst.tl.cluster(adata, n_clusters=4, progress=False)
    facts = adata.uns["semst"]
    run = {
        "semantics": np.asarray(adata.obsm["gene_semantics"][0, :5], dtype=float).round(5).tolist(),
        "labels": "".join(adata.obs["semst"]),
        "score": facts["score"],
        "first_loss": facts["history"]["total"][0],
        "last_loss": facts["history"]["total"][-1],
    }
    if os.environ.get("SEMST_WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps(run, indent=1) + "\n")
    golden = json.loads(GOLDEN.read_text())
    np.testing.assert_allclose(run["semantics"], golden["semantics"], atol=2e-5)
    assert run["first_loss"] == pytest.approx(golden["first_loss"], rel=1e-4)
    assert run["last_loss"] == pytest.approx(golden["last_loss"], rel=0.02)
    assert run["score"] == pytest.approx(golden["score"], rel=0.02)
    assert adjusted_rand_score(list(run["labels"]), list(golden["labels"])) > 0.97
