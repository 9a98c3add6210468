from __future__ import annotations

import numpy as np
import pytest
import torch

from semst.nn import FSM, _modulation
from semst.nn._modulation import modulation


class Linear:
    """Coefficients that can be worked out on paper: alpha is the first half of the semantics, beta the second."""

    def coefficients(self, s):
        return s.chunk(2, dim=-1)


Z = torch.tensor([[1.0, 0.0], [-1.0, 2.0]])
S = torch.tensor([[0.3, 0.2, 0.5, 0.0], [0.1, -0.2, -0.1, 0.4]])


@pytest.fixture
def trained():
    """An FSM whose last layer is not zero, and features and semantics in double precision."""
    torch.manual_seed(0)
    fsm = FSM(6, 5).double()
    torch.nn.init.normal_(fsm.mlp[1].weight, std=0.1)
    torch.nn.init.normal_(fsm.mlp[1].bias, std=0.3)
    return fsm, torch.randn(40, 6, dtype=torch.float64), torch.randn(40, 5, dtype=torch.float64)


def test_by_hand():
    # Mean squares of the features: 1 and 2. Means of alpha: 0.2 and 0; of beta: 0.2 and 0.2.
    found = modulation(Linear(), Z, S)
    alpha = np.sqrt((0.1**2 * 1 + 0.2**2 * 2) / 3)
    np.testing.assert_allclose(found.alpha, [alpha, alpha], rtol=1e-6)
    beta = np.sqrt((0.3**2 + 0.2**2) / 3)
    np.testing.assert_allclose(found.beta, [beta, beta], rtol=1e-6)
    # Together: 0.1 * 1 + 0.3 and 0.2 * 0 - 0.2; -0.1 * -1 - 0.3 and -0.2 * 2 + 0.2.
    np.testing.assert_allclose(found.size, np.sqrt([(0.4**2 + 0.2**2) / 3, (0.2**2 + 0.2**2) / 3]), rtol=1e-6)
    assert found.constant_alpha == pytest.approx(np.sqrt(0.2**2 * 1 / 3))
    assert found.constant_beta == pytest.approx(np.sqrt((0.2**2 + 0.2**2) / 3))
    # Twice each part, times the feature for alpha and one for beta.
    expected = np.array([[0.4 * 1, -0.2 * 0, 0.4, -0.2], [-0.2 * -1, -0.2 * 2, -0.2, -0.2]]) * 2 / 3
    np.testing.assert_allclose(found.gradient, expected, atol=1e-6)


def test_what_all_spots_have_in_common_is_no_modulation():
    fsm = FSM(4, 3)
    torch.nn.init.constant_(fsm.mlp[1].bias, 0.5)
    found = modulation(fsm, torch.randn(30, 4), torch.randn(30, 3))
    for each in (found.alpha, found.beta, found.size, found.gradient):
        np.testing.assert_allclose(each, 0, atol=1e-6)
    assert found.constant_alpha == pytest.approx(0.5)
    assert found.constant_beta > 0


def test_the_gradient_is_that_of_the_squared_size(trained):
    fsm, z, s = trained
    found = modulation(fsm, z, s)
    with torch.no_grad():
        mean_alpha, mean_beta = (each.mean(dim=0) for each in fsm.coefficients(s))
        total = z.square().mean(dim=0).sum()

        def squared(meaning):
            alpha, beta = fsm.coefficients(meaning)
            return ((alpha - mean_alpha) * z + beta - mean_beta).square().sum(dim=1) / total

        for feature in range(s.shape[1]):
            step = torch.zeros_like(s)
            step[:, feature] = 1e-6
            slope = (squared(s + step) - squared(s - step)) / 2e-6
            np.testing.assert_allclose(found.gradient[:, feature], slope, atol=1e-7)
    np.testing.assert_allclose(found.size.square(), squared(s).detach(), rtol=1e-10)


def test_chunks_change_nothing(trained, monkeypatch):
    whole = modulation(*trained)
    monkeypatch.setattr(_modulation, "_CHUNK", 7)
    parts = modulation(*trained)
    for name in ("alpha", "beta", "size", "gradient"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name), rtol=1e-10)
    assert parts.constant_alpha == pytest.approx(whole.constant_alpha)


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_the_unit_of_the_features_does_not_matter(trained, unit):
    fsm, z, s = trained
    scaled = FSM(6, 5).double()
    scaled.load_state_dict(fsm.state_dict())
    with torch.no_grad():
        for parameter in (scaled.mlp[1].weight, scaled.mlp[1].bias):
            parameter[6:] *= unit  # beta is in the unit of the features
    first, second = modulation(fsm, z, s), modulation(scaled, unit * z, s)
    for name in ("alpha", "beta", "size", "gradient"):
        np.testing.assert_allclose(getattr(second, name), getattr(first, name), rtol=1e-8)


def test_the_network_is_left_as_it_was(trained):
    fsm, z, s = trained
    before = {name: value.clone() for name, value in fsm.state_dict().items()}
    found = modulation(fsm, z.requires_grad_(), s)
    assert all(torch.equal(before[name], value) for name, value in fsm.state_dict().items())
    assert all(parameter.grad is None for parameter in fsm.parameters())
    assert z.grad is None
    assert not any(getattr(found, name).requires_grad for name in ("alpha", "beta", "size", "gradient"))
