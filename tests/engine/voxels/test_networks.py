# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks: sizes as published, any number of views, what the order of views changes, and that all weights learn."""

import pytest
import torch
from torch.nn import functional as F

from engine.voxels.networks import VARIANTS, RecurrentNetwork, Variant, _pool, _spread, _Widen, new_network

TINY = {"encoder": (4, 4, 6, 6, 6, 8), "features": 12, "decoder": (6, 6, 6, 4, 4)}
NETWORKS = {
    "small": Variant(False, "gru", 3, **{**TINY, "decoder": (6, 6, 6, 4)}, level=True),
    "lstm": Variant(False, "lstm", 1, **TINY),
    "gru": Variant(False, "gru", 3, **TINY),
    "residual": Variant(True, "gru", 3, **TINY),
}


def weights(network):
    return sum(part.numel() for part in network.parameters())


def published(residual, gates, kernel):
    """Weights of the published layers, counted from their sizes."""
    encoder, decoder = (3, 96, 128, 256, 256, 256, 256), (128, 128, 128, 64, 32)
    flat = lambda a, b, k: a * b * k * k + b  # noqa: E731
    deep = lambda a, b, k=3: a * b * k**3 + b  # noqa: E731
    total = 256 * 3 * 3 * 1024 + 1024
    total += gates * (1024 * 128 * 64 + deep(128, 128, kernel))
    for index, (a, b) in enumerate(zip(encoder, encoder[1:], strict=False)):
        total += flat(a, b, 3 if index else 7)
        if residual:
            total += flat(b, b, 3) + (flat(a, b, 1) if index in (1, 2, 4) else 0)
    total += sum(deep(a, b) for a, b in zip(decoder, decoder[1:], strict=False)) + deep(32, 2)
    if residual:
        total += sum(deep(b, b) for b in decoder[1:4]) + deep(128, 64, 1) + 2 * deep(32, 32)
    return total


@pytest.mark.parametrize("name, parts", [("lstm-1", (False, 3, 1)), ("gru-3", (False, 3, 3)), ("residual-gru-3", (True, 3, 3))])
def test_published_sizes(name, parts):
    with torch.device("meta"):
        network = RecurrentNetwork(VARIANTS[name])
    assert weights(network) == published(*parts)
    if name == "residual-gru-3":
        # What comparisons with other networks give as its size, in millions.
        assert round(weights(network) / 1e6, 2) == 35.97


@pytest.mark.parametrize("name", [*(name for name in VARIANTS if name.endswith("-small")), "simple"])
def test_small_networks_are_small(name):
    with torch.device("meta"):
        assert weights(new_network(name)) <= 12_000_000


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("views", [1, 2, 5])
def test_shapes_and_gradients(name, views):
    torch.manual_seed(0)
    network = RecurrentNetwork(NETWORKS[name])
    pictures = torch.rand(2, views, 3, 127, 127)
    logits = network(pictures)
    assert logits.shape == (2, 2, 32, 32, 32) and torch.isfinite(logits).all()
    F.cross_entropy(logits, torch.randint(0, 2, (2, 32, 32, 32))).backward()
    for part, values in network.named_parameters():
        # With one view there is nothing to remember, so what remembers has no say.
        learns = values.grad is not None and bool((values.grad != 0).any())
        assert learns or (views == 1 and part in ("cell.around.weight", "cell.new.weight")), part


def test_shapes_of_the_simple_network():
    network = new_network("simple")
    logits = network(torch.rand(2, 3, 3, 127, 127))
    assert logits.shape == (2, 2, 32, 32, 32)


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_of_a_batch_do_not_touch_each_other(name):
    torch.manual_seed(0)
    network = RecurrentNetwork(NETWORKS[name]).eval()
    pictures = torch.rand(3, 2, 3, 127, 127)
    torch.testing.assert_close(network(pictures)[1:2], network(pictures[1:2]), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_views_are_remembered_and_the_last_counts_most(name):
    """The order changes little but something, as in the paper, which trains it away; a view more changes the result."""
    torch.manual_seed(0)
    network = RecurrentNetwork(NETWORKS[name]).eval()
    pictures = torch.rand(1, 3, 3, 127, 127) * torch.tensor([1.0, 0.2, 2.0])[None, :, None, None, None]
    with torch.no_grad():
        straight, turned, two = network(pictures), network(pictures.flip(1)), network(pictures[:, 1:])
        state = None
        for features in network.features(pictures[0] - 0.5):
            state = network.cell(features[None], state)
        one_by_one = network.decoder(state[0])
    torch.testing.assert_close(straight, one_by_one, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(straight, turned) and not torch.allclose(straight, two)


def test_level_features_do_not_fill_the_cells_up():
    torch.manual_seed(0)
    network = RecurrentNetwork(NETWORKS["small"]).eval()
    pictures = torch.rand(1, 2, 3, 127, 127)
    with torch.no_grad():
        before = network(pictures)
        network.encoder.dense.weight *= 1000
        network.encoder.dense.bias *= 1000
        torch.testing.assert_close(network(pictures), before, rtol=1e-3, atol=1e-4)


def test_the_simple_network_knows_no_order():
    torch.manual_seed(0)
    network, pictures = new_network("simple"), torch.rand(1, 3, 3, 127, 127)
    torch.testing.assert_close(network(pictures), network(pictures.flip(1)))


def test_widening_is_filling_up_with_zeros_and_convolving():
    torch.manual_seed(0)
    widen, cells = _Widen(3, 5), torch.randn(2, 3, 4, 4, 4)
    slow = F.conv3d(_spread(cells), widen.weight.flip(2, 3, 4).transpose(0, 1), widen.bias, padding=1)
    torch.testing.assert_close(widen(cells), slow, rtol=1e-4, atol=1e-5)


def test_sides_halve_as_published():
    x, sides = torch.zeros(1, 1, 127, 127), []
    for _ in range(6):
        x = _pool(x, 1.0)
        sides.append(x.shape[-1])
    assert sides == [64, 33, 17, 9, 5, 3]


def test_bfloat16_is_near():
    torch.manual_seed(0)
    network, pictures = RecurrentNetwork(NETWORKS["residual"]).eval(), torch.rand(2, 2, 3, 127, 127)
    with torch.no_grad():
        exact = network(pictures).softmax(dim=1)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(pictures).float().softmax(dim=1)
    assert (exact - half).abs().max() < 0.1 and (exact - half).abs().mean() < 0.01 and half.dtype == torch.float32
