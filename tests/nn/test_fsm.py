from __future__ import annotations

import pytest
import torch
from torch import nn

from semst.nn import FSM


def seeded(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shake(module, seed=0):
    """Give every parameter a random value, so that nothing is at its start any more."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return module


def test_identity_at_the_start():
    z, s = seeded(5, 3), seeded(5, 4, seed=1)
    assert torch.equal(FSM(3, 4)(z, s), z)


def test_formula_with_weights_set_by_hand():
    fsm = FSM(2, 1, hidden_features=1)
    head_in, head_out, last = fsm.head[0], fsm.head[2], fsm.mlp[1]
    with torch.no_grad():
        for layer, weight, bias in (
            (head_in, [[2.0]], [1.0]),
            (head_out, [[0.5]], [-1.0]),
            (last, [[1.0], [2.0], [-1.0], [3.0]], [0.0, 0.1, 0.2, 0.3]),
        ):
            layer.weight.copy_(torch.tensor(weight))
            layer.bias.copy_(torch.tensor(bias))
    s = torch.tensor([[3.0], [-5.0]])
    z = torch.tensor([[10.0, 20.0], [10.0, 20.0]])
    # Spot 0: relu(2 * 3 + 1) = 7, h = 0.5 * 7 - 1 = 2.5. Spot 1: relu(-9) = 0, h = -1, which the MLP cuts to 0.
    alpha = torch.tensor([[2.5, 5.1], [0.0, 0.1]])
    beta = torch.tensor([[-2.3, 7.8], [0.2, 0.3]])
    torch.testing.assert_close(fsm.coefficients(s), (alpha, beta))
    torch.testing.assert_close(fsm(z, s), (1 + alpha) * z + beta)


def test_each_spot_is_modulated_by_its_own_semantics():
    fsm = shake(FSM(3, 4, hidden_features=8))
    z, s = seeded(6, 3), seeded(6, 4, seed=1)
    before = fsm(z, s)
    order = torch.tensor([4, 0, 5, 1, 3, 2])
    torch.testing.assert_close(fsm(z[order], s[order]), before[order])
    s[2] += 1
    changed = ~torch.isclose(fsm(z, s), before).all(dim=1)
    assert changed.tolist() == [False, False, True, False, False, False]


def test_gradients_reach_semantics_features_and_weights():
    fsm = shake(FSM(3, 4, hidden_features=8))
    z, s = seeded(6, 3).requires_grad_(), seeded(6, 4, seed=1).requires_grad_()
    fsm(z, s).square().sum().backward()
    assert z.grad.abs().sum() > 0
    assert s.grad.abs().sum() > 0
    for parameter in fsm.parameters():
        assert parameter.grad.abs().sum() > 0


def test_the_published_width():
    assert FSM(256, 384).head[2].out_features == 128


class SemanticGAT(nn.Module):
    def __init__(self, genes, semantics):
        from torch_geometric.nn import GATConv

        super().__init__()
        self.encode = GATConv(genes, 32)
        self.modulate = FSM(32, semantics)
        self.decode = GATConv(32, genes)

    def forward(self, x, s, edges):
        return self.decode(self.modulate(self.encode(x, edges).relu(), s), edges)


@pytest.fixture
def ring():
    spots = torch.arange(12)
    return torch.cat([torch.stack([spots, spots.roll(1)]), torch.stack([spots.roll(1), spots])], dim=1)


def test_plugs_into_a_plain_gat_autoencoder(ring):
    """Semantics that hold what the input lacks: the loss falls below what the same model reaches with none."""
    s = seeded(12, 4, seed=1)
    target = s @ seeded(4, 20, seed=2)

    def train(semantics):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            model = SemanticGAT(20, 4)
        x = torch.ones(12, 20)  # tells nothing of a spot
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
        for step in range(80):
            optimiser.zero_grad()
            loss = (model(x, semantics, ring) - target).square().mean()
            loss.backward()
            optimiser.step()
            if step == 1 and semantics.any():  # at step 0 the last layer of FSM is zero and passes nothing back
                assert all(p.grad.abs().sum() > 0 for p in model.modulate.parameters())
        return loss.item()

    # Neighbourhood means are all that two attention layers can tell, so the fit is not perfect.
    blind = train(torch.zeros(12, 4))
    assert train(s) < 0.6 * blind
