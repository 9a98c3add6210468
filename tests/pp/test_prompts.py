from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from semst.pp._prompts import INSTRUCTION, default_min_spots, prompts


def genes_of(text: str) -> str:
    instruction, _, genes = text.partition("\nHighly expressed genes: ")
    assert instruction == INSTRUCTION
    return genes


def test_order_is_by_scaled_value_not_by_counts():
    # The first gene has the most counts in every spot; what sets the first spot apart is the second.
    counts = np.array([[50, 9, 1], [60, 0, 1], [70, 0, 1], [40, 0, 1]], dtype=np.float32)
    scaled = 1e4 * counts / counts.sum(axis=1, keepdims=True)
    scaled /= scaled.std(axis=0, ddof=1)
    assert scaled.max() > 10  # so that values tie at 10 and the order of genes decides
    expected = np.argsort(-np.minimum(scaled, 10), axis=1, kind="stable")
    named = prompts(sparse.csr_matrix(counts), ["ACTB", "MBP", "GAPDH"], n_top=1)
    assert [genes_of(text) for text in named] == [["ACTB", "MBP", "GAPDH"][gene] for gene in expected[:, 0]]


def test_only_expressed_genes_are_named():
    counts = np.random.default_rng(3).integers(20, 150, size=(40, 3)).astype(np.float32)
    counts[4:, 2] = 0
    named = [genes_of(text).split(", ") for text in prompts(sparse.csr_matrix(counts), ["ACTB", "GAPDH", "MBP"])]
    assert all(set(genes) == {"ACTB", "GAPDH", "MBP"} for genes in named[:4])
    assert all(set(genes) == {"ACTB", "GAPDH"} for genes in named[4:])


def test_ties_go_by_the_order_of_genes():
    same = sparse.csr_matrix(np.ones((3, 4), dtype=np.float32))
    assert [genes_of(text) for text in prompts(same, list("DCBA"), n_top=3)] == ["D, C, B"] * 3


def test_rare_genes_are_not_named():
    counts = np.array([[9, 1, 0], [0, 1, 3], [0, 2, 4]], dtype=np.float32)
    named = [genes_of(text) for text in prompts(sparse.csr_matrix(counts), ["RARE", "B", "C"], min_spots=2)]
    assert named[0] == "B"
    assert all("RARE" not in genes for genes in named)


def test_spot_without_common_gene_says_none():
    counts = np.array([[5, 0], [0, 1], [0, 2]], dtype=np.float32)
    assert genes_of(prompts(sparse.csr_matrix(counts), ["RARE", "B"], min_spots=2)[0]) == "none"


@pytest.mark.parametrize(("n_spots", "expected"), [(1, 1), (20, 1), (295, 14), (2000, 100), (50_000, 100)])
def test_default_min_spots(n_spots, expected):
    assert default_min_spots(n_spots) == expected


def test_many_spots_go_through_in_chunks(monkeypatch):
    counts = sparse.csr_matrix(np.random.default_rng(2).poisson(1.0, size=(50, 12)).astype(np.float32))
    whole = prompts(counts, [f"G{gene}" for gene in range(12)], n_top=4)
    monkeypatch.setattr("semst.pp._prompts._CHUNK", 7)
    assert prompts(counts, [f"G{gene}" for gene in range(12)], n_top=4) == whole
