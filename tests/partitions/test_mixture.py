from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.mixture import GaussianMixture

from semst.partitions._mixture import fit_mixture


def points(seed: int, *, n: int = 300, d: int = 6, spread: float = 1.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    centres = 3 * generator.normal(size=(4, d))
    turned = np.linalg.qr(generator.normal(size=(d, d)))[0] * np.linspace(0.3, 2, d)
    values = centres[generator.integers(0, 4, n)] + spread * generator.normal(size=(n, d)) @ turned
    return values.astype(np.float32)


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(2, 6), st.sampled_from([0.3, 1.0, 2.0]))
def test_labels_are_those_of_scikit_learn(seed, k, spread):
    x = points(seed, spread=spread).astype(np.float64)
    ridge = 1e-6 * x.var(axis=0).mean()
    peer = GaussianMixture(k, covariance_type="tied", random_state=seed, reg_covar=ridge).fit(x)
    rule = fit_mixture(x, k, random_state=seed)
    np.testing.assert_array_equal(rule(x), peer.predict(x))
    score = x @ rule.weights + rule.offsets
    posterior = np.exp(score - score.max(axis=1, keepdims=True))
    np.testing.assert_allclose(posterior / posterior.sum(axis=1, keepdims=True), peer.predict_proba(x), atol=1e-6)


def test_two_known_groups():
    """Two groups on a line, 3 to 1 in size: the border lies off the middle by the variance times log 3 over 8."""
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(4000, 1))
    x = (np.repeat([[-4.0], [4.0]], [3000, 1000], axis=0) + noise).astype(np.float32)
    rule = fit_mixture(x, 2, random_state=0)
    border = (rule.offsets[0] - rule.offsets[1]) / (rule.weights[0, 1] - rule.weights[0, 0])
    assert border == pytest.approx(np.log(3) / 8, abs=0.05)


def test_far_from_the_origin_and_in_any_unit():
    x = points(3)
    labels = fit_mixture(x, 4, random_state=0)(x)
    moved = (1e-3 * x + 7).astype(np.float32)
    assert (fit_mixture(moved, 4, random_state=0)(moved) == labels).mean() > 0.99


def test_a_feature_that_never_varies_and_groups_that_are_points():
    corners = np.repeat(np.eye(3, dtype=np.float32), 20, axis=0)
    x = np.hstack([corners, np.ones((60, 1), dtype=np.float32)])
    labels = fit_mixture(x, 3, random_state=0)(x)
    assert [np.unique(labels[i : i + 20]).size for i in (0, 20, 40)] == [1, 1, 1]
    assert np.unique(labels).size == 3


def test_fewer_points_than_groups():
    with pytest.raises(ValueError, match="n_samples=3 should be >= n_clusters=4"):
        fit_mixture(points(0, n=3), 4, random_state=0)
