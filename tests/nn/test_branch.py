from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from semst.nn import GraphBranch, normalised_adjacency

N = 9


def graph(seed=0):
    return sparse.csr_matrix(np.random.default_rng(seed).random((N, N)) < 0.2)


def features(width=5, seed=0):
    return torch.randn(N, width, generator=torch.Generator().manual_seed(seed))


def shaken(*widths, seed=0, **options):
    branch = GraphBranch(*widths, **options)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in branch.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return branch


def mean_of_neighbourhood(adjacency):
    edges = (adjacency.to_dense() > 0).float()
    return edges / edges.sum(dim=1, keepdim=True)


def test_symmetric_product_has_the_gradient_of_the_dense_product():
    from semst.nn._gcn import SymmetricProduct

    adjacency = normalised_adjacency(graph()).to(torch.float64)
    x = features().double().requires_grad_()
    weights = torch.arange(N * 5, dtype=torch.float64).reshape(N, 5)
    product = SymmetricProduct.apply(adjacency, x)
    (gradient,) = torch.autograd.grad((product * weights).sum(), x)
    dense = adjacency.to_dense()
    torch.testing.assert_close(product, dense @ x)
    torch.testing.assert_close(gradient, torch.autograd.grad((dense @ x * weights).sum(), x)[0])
    assert torch.autograd.gradcheck(lambda values: SymmetricProduct.apply(adjacency, values), (x,))


@pytest.mark.parametrize("shortcut", [False, True])
def test_gcn_is_the_dense_formula_with_its_gradients(shortcut):
    adjacency = normalised_adjacency(graph())
    dense, x = adjacency.to_dense(), features()
    branch = shaken(5, 7, 5, shortcut=shortcut)
    w1, b1 = branch.first.lin.weight, branch.first.bias
    w2, b2 = branch.second.lin.weight, branch.second.bias
    expected = dense @ (dense @ (x @ w1.T) + b1).relu() @ w2.T + b2
    if shortcut:
        expected = expected + dense @ x
    got = branch(x, adjacency)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    parameters = [w1, b1, w2, b2]
    for ours, dense_gradient in zip(
        torch.autograd.grad(got.square().sum(), parameters),
        torch.autograd.grad(expected.square().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(ours, dense_gradient, rtol=1e-3, atol=1e-2)


def test_sage_takes_the_plain_mean_of_the_neighbourhood():
    adjacency = normalised_adjacency(graph())
    x = features()
    branch = shaken(5, 7, 4, convolution="sage")
    mean = mean_of_neighbourhood(adjacency)

    def layer(conv, values):
        return mean @ values @ conv.lin_l.weight.T + conv.lin_l.bias + values @ conv.lin_r.weight.T

    expected = layer(branch.second, layer(branch.first, x).relu())
    got = branch(x, adjacency)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    weight = branch.first.lin_l.weight
    (ours,) = torch.autograd.grad(got.square().sum(), weight)
    (dense_gradient,) = torch.autograd.grad(expected.square().sum(), weight)
    torch.testing.assert_close(ours, dense_gradient, rtol=1e-3, atol=1e-2)


def test_gat_attends_to_the_neighbourhood_with_weights_that_sum_to_one():
    adjacency = normalised_adjacency(graph())
    branch = shaken(5, 6, 4, convolution="gat")
    conv, x = branch.first, features()
    h = x @ conv.lin.weight.T
    score = (h * conv.att_dst[0, 0]).sum(1)[:, None] + (h * conv.att_src[0, 0]).sum(1)[None, :]
    score = torch.nn.functional.leaky_relu(score, 0.2).masked_fill(adjacency.to_dense() == 0, -torch.inf)
    expected = score.softmax(dim=1) @ h + conv.bias
    torch.testing.assert_close(conv(x, adjacency), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("convolution", ["gcn", "gat", "sage"])
@pytest.mark.parametrize("shortcut", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_permuting_spots_permutes_the_output(convolution, shortcut, seed):
    edges, x = graph(seed), features(seed=seed)
    branch = shaken(5, 7, 5, convolution=convolution, shortcut=shortcut)
    order = np.random.default_rng(seed).permutation(N)
    straight = branch(x, normalised_adjacency(edges))
    permuted = branch(x[order], normalised_adjacency(edges[order][:, order]))
    torch.testing.assert_close(permuted, straight[order], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(permuted, straight, atol=1e-2)


@pytest.mark.parametrize("convolution", ["gcn", "gat", "sage"])
def test_two_layers_see_two_steps_and_no_further(convolution):
    path = sparse.diags([np.ones(N - 1)], [1])
    adjacency, x = normalised_adjacency(path), features()
    branch = shaken(5, 64, 5, convolution=convolution)
    moved = x.clone()
    moved[0] += 10
    changed = ~torch.isclose(branch(x, adjacency), branch(moved, adjacency)).all(dim=1)
    assert changed.tolist() == [True, True, True] + [False] * (N - 3)


@pytest.mark.parametrize("convolution", ["gcn", "gat", "sage"])
def test_with_shortcut_an_untrained_branch_is_a_smoother_that_can_learn(convolution):
    adjacency, x = normalised_adjacency(graph()), features()
    branch = GraphBranch(5, 7, 5, convolution=convolution, shortcut=True)
    got = branch(x, adjacency)
    torch.testing.assert_close(got, adjacency.to_dense() @ x)
    got.square().sum().backward()
    weights = [p for name, p in branch.second.named_parameters() if "weight" in name]
    assert all(weight.grad.abs().sum() > 0 for weight in weights)


def test_widths_and_names_are_checked():
    with pytest.raises(ValueError, match="a shortcut needs out_features equal to in_features, got 4 and 5"):
        GraphBranch(5, 7, 4, shortcut=True)
    with pytest.raises(ValueError, match="convolution must be 'gcn', 'gat' or 'sage', got 'gin'"):
        GraphBranch(5, 7, 4, convolution="gin")
