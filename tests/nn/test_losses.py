from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import nbinom

from semst.nn import (
    dicr,
    dropout_ridge,
    gaussian_negative_log_likelihood,
    nb_negative_log_likelihood,
    spatial_contrastive,
    zinb_negative_log_likelihood,
)

COUNTS = np.array([[0, 1, 7], [3, 0, 250]])
MEAN = np.array([[0.4, 2.0, 5.5], [1e-3, 40.0, 180.0]])
DISPERSION = np.array([0.3, 1.0, 25.0])
LOGIT = np.array([[-2.0, 0.0, 1.5], [4.0, -0.5, -6.0]])


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def scipy_log_pmf(counts, mean, dispersion):
    return nbinom.logpmf(counts, dispersion, dispersion / (dispersion + mean))


def test_nb_is_that_of_scipy():
    loss = nb_negative_log_likelihood(double(COUNTS), double(MEAN), double(DISPERSION))
    np.testing.assert_allclose(loss, -scipy_log_pmf(COUNTS, MEAN, DISPERSION), rtol=1e-9)


def test_zinb_is_the_mixture_of_the_formula():
    loss = zinb_negative_log_likelihood(double(COUNTS), double(MEAN), double(DISPERSION), double(LOGIT))
    pi = 1 / (1 + np.exp(-LOGIT))
    mixture = pi * (COUNTS == 0) + (1 - pi) * np.exp(scipy_log_pmf(COUNTS, MEAN, DISPERSION))
    np.testing.assert_allclose(loss, -np.log(mixture), rtol=1e-9)


def test_zinb_without_dropout_is_nb():
    nb = nb_negative_log_likelihood(double(COUNTS), double(MEAN), double(DISPERSION))
    never = torch.full((2, 3), -60.0, dtype=torch.float64)
    zinb = zinb_negative_log_likelihood(double(COUNTS), double(MEAN), double(DISPERSION), never)
    np.testing.assert_allclose(zinb, nb, rtol=1e-12)


@given(
    mean=st.floats(1e-3, 300),
    dispersion=st.floats(0.05, 50),
    logit=st.floats(-8, 8),
    data=st.sampled_from(["nb", "zinb"]),
)
@settings(max_examples=40)
def test_probabilities_sum_to_one(mean, dispersion, logit, data):
    counts = torch.arange(60_000, dtype=torch.float64)[None]
    mu = torch.full_like(counts, mean)
    theta = torch.full_like(counts, dispersion)
    if data == "nb":
        loss = nb_negative_log_likelihood(counts, mu, theta)
    else:
        loss = zinb_negative_log_likelihood(counts, mu, theta, torch.full_like(counts, logit))
    assert torch.exp(-loss).sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("logit", [-1e4, -50.0, 0.0, 50.0, 1e4])
@pytest.mark.parametrize("mean", [1e-8, 1.0, 1e6])
@pytest.mark.parametrize("dispersion", [5e-5, 1.0, 2e4])
def test_loss_and_gradients_are_finite_at_the_extremes(logit, mean, dispersion):
    counts = torch.tensor([[0.0, 1.0, 5000.0]])
    arguments = [torch.full((1, 3), value, requires_grad=True) for value in (mean, dispersion, logit)]
    loss = zinb_negative_log_likelihood(counts, *arguments)
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    for argument in arguments:
        assert torch.isfinite(argument.grad).all()


def test_gradients_of_the_likelihoods():
    counts = double(COUNTS)
    mean, theta, logit = (double(values).requires_grad_() for values in (MEAN + 0.5, DISPERSION, LOGIT))
    assert torch.autograd.gradcheck(lambda m, t: nb_negative_log_likelihood(counts, m, t), (mean, theta))
    assert torch.autograd.gradcheck(lambda *a: zinb_negative_log_likelihood(counts, *a), (mean, theta, logit))


def test_single_precision_is_close_to_double():
    for dispersion in (DISPERSION, np.array([200.0, 2e3, 2e4])):
        single = nb_negative_log_likelihood(*(double(a).float() for a in (COUNTS, MEAN, dispersion)))
        exact = nb_negative_log_likelihood(*(double(a) for a in (COUNTS, MEAN, dispersion)))
        np.testing.assert_allclose(single, exact, atol=0.06, rtol=1e-4)


def test_dropout_ridge_by_hand():
    # Logits of 0 and log 3 are probabilities of 1/2 and 3/4.
    assert dropout_ridge(double([[0.0, np.log(3)]])).item() == pytest.approx((0.25 + 0.5625) / 2)


def test_gaussian_by_hand():
    loss = gaussian_negative_log_likelihood(double([[1.0, -2.0]]), double([[4.0, -2.0]]))
    assert loss.tolist() == [[4.5, 0.0]]


def test_spatial_contrastive_by_hand():
    latent = double([[1, 0], [5, 0], [0, 2], [-3, 0]])  # cosines: 0-1: 1, 0-2: 0, 0-3: -1
    neighbours = torch.tensor([[0, 0], [1, 2]])
    strangers = torch.tensor([[0], [3]])

    def log_sigmoid(x):
        return np.log(1 / (1 + np.exp(-x)))

    pull = (log_sigmoid(1) + log_sigmoid(0)) / 2
    push = np.log(1 - 1 / (1 + np.exp(1)))  # similarity -1
    expected = -(pull + push) / 2
    assert spatial_contrastive(latent, neighbours, strangers).item() == pytest.approx(expected)


def test_spatial_contrastive_ignores_lengths_and_prefers_alike_neighbours():
    generator = torch.Generator().manual_seed(0)
    latent = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    neighbours, strangers = torch.tensor([[0, 1], [1, 2]]), torch.tensor([[3, 4], [5, 0]])
    loss = spatial_contrastive(latent, neighbours, strangers)
    lengths = torch.rand(6, 1, generator=generator, dtype=torch.float64) + 0.1
    torch.testing.assert_close(spatial_contrastive(latent * lengths, neighbours, strangers), loss)
    alike = latent.clone()
    alike[1] = alike[2] = alike[0]
    alike[[3, 4]] = -alike[[5, 0]]
    assert spatial_contrastive(alike, neighbours, strangers) < loss


def test_gradients_of_spatial_contrastive_and_dicr():
    generator = torch.Generator().manual_seed(1)
    first, second = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    neighbours, strangers = torch.tensor([[0, 1], [1, 2]]), torch.tensor([[3, 4], [4, 4]])
    assert torch.autograd.gradcheck(
        lambda z: spatial_contrastive(z, neighbours, strangers), (first.clone().requires_grad_(),)
    )
    assert torch.autograd.gradcheck(dicr, (first.requires_grad_(), second.requires_grad_()))


def test_a_spot_without_latent_has_finite_gradients():
    latent = torch.zeros(3, 2, requires_grad=True)
    spatial_contrastive(latent, torch.tensor([[0], [1]]), torch.tensor([[1], [2]])).backward()
    assert torch.isfinite(latent.grad).all()


def test_dicr_by_hand():
    first = double([[3, 0], [4, 1]])  # columns (3, 4) and (0, 1)
    second = double([[1, 0], [0, 2]])  # columns (1, 0) and (0, 2)
    # Cosines: (3, 4) with (1, 0): 0.6, with (0, 2): 0.8; (0, 1): 0 and 1.
    expected = ((0.6 - 1) ** 2 + 0.8**2 + 0**2 + (1 - 1) ** 2) / 4
    assert dicr(first, second).item() == pytest.approx(expected)


def test_dicr_is_zero_for_equal_views_with_orthogonal_features():
    view = torch.linalg.qr(torch.randn(7, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)).Q
    assert dicr(view * 5, view / 3).item() == pytest.approx(0, abs=1e-12)
    assert dicr(view, view[:, [1, 2, 0]]).item() == pytest.approx((3 + 3) / 9)


def test_no_pairs_of_a_kind_pull_and_push_nowhere():
    latent = torch.randn(4, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
    none = torch.zeros((2, 0), dtype=torch.int64)
    spatial_contrastive(latent, none, none).backward()
    assert torch.equal(latent.grad, torch.zeros_like(latent))
