# SPDX-License-Identifier: GPL-3.0-or-later
"""Fields in INT8: that they show what the trained network shows, and that what is not there or broken is left out."""

import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from engine import precision
from engine.contract.methods.nerf import NerfSettings
from engine.fields import measuring, renderer
from engine.fields.measuring import measure
from engine.fields.nerf import NerfField, SimpleField, initialize
from engine.fields.quantized import Quantized
from engine.fields.renderer import PaperRenderer, Rays
from engine.fields.skipping import SkippingRenderer
from engine.precision import compiler

profile = pytest.mark.skipif(
    find_spec("neural_compressor") is None or compiler() is None,
    reason="needs profile ipex (python3 scripts/dev.py setup ipex) and a C++ compiler",
)
SMALL = NerfSettings(width=32, depth=3, position_octaves=4, direction_octaves=2, coarse_samples=8, fine_samples=8)


def rays(count, toward=1.0):
    rng = np.random.default_rng(0)
    places = torch.from_numpy(rng.normal(size=(count, 3)).astype(np.float32))
    places = 2 * places / places.norm(dim=-1, keepdim=True)
    return Rays(places, -toward * places, torch.full((count,), 0.1), torch.full((count,), 1.9))


def samples(count, seed=0):
    made = torch.Generator().manual_seed(seed)
    directions = torch.randn((count, 3), generator=made)
    return 2 * torch.rand((count, 3), generator=made) - 1, directions / directions.norm(dim=-1, keepdim=True)


def installed(monkeypatch, *names):
    monkeypatch.setattr(precision, "find_spec", lambda name: object() if name in names else None)


def renderers():
    others = {"linear": False, "device": "cpu", "bfloat16": True, "rng": np.random.default_rng(0)}
    skipping = SkippingRenderer(SMALL, 1, **others)
    skipping.grid.update(lambda places: 100 * torch.ones(len(places)), np.random.default_rng(0), skipping.grid.thickness.numel())
    return [PaperRenderer(SMALL, None, False, **others), skipping]


@pytest.mark.parametrize("which", [0, 1], ids=["paper", "occupancy"])
def test_ranges_are_told_by_the_samples_that_pictures_take(monkeypatch, which):
    """Pictures by stand-ins for quantized networks that give what the trained ones give."""
    given = []

    class Same(torch.nn.Module):
        def __init__(self, network, positions, directions):
            super().__init__()
            given.append((positions, directions))
            self.network = [network]

        def forward(self, positions, directions):
            return self.network[0](positions, directions)

    monkeypatch.setattr(renderer, "Quantized", Same)
    looker = renderers()[which]
    trained = list(looker.networks)
    looker.bfloat16 = False
    before = looker.look(rays(40))
    looker.bfloat16 = True
    assert looker.quantize(rays(40)) and not looker.bfloat16
    assert all(torch.equal(one, other) for one, other in zip(before, looker.look(rays(40)), strict=True))
    assert [same.network[0] for same in looker.networks] == trained
    for positions, directions in given:
        assert positions.shape == directions.shape and len(positions) >= 40
        assert (positions.norm(dim=-1) < 2).all() and torch.allclose(directions.norm(dim=-1), torch.ones(len(directions)))
    if which == 0:
        assert [len(positions) for positions, _ in given] == [40 * 8, 40 * 16]


def test_rays_that_see_nothing_leave_the_networks_as_they_are():
    looker = renderers()[1]
    trained = list(looker.networks)
    assert not looker.quantize(rays(20, toward=-1.0))
    assert list(looker.networks) == trained and looker.bfloat16


def test_both_number_types_are_measured_and_the_missing_left_out(monkeypatch):
    installed(monkeypatch)
    rates, missing = measure("cpu")
    assert set(rates) == {"float32", "bfloat16"} and min(rates.values()) > 1e8
    assert set(missing) == {"int8", "ipex"} and "scripts/dev.py setup ipex" in missing["int8"]


@pytest.mark.parametrize("error", [RuntimeError("no header Python.h\nand so on"), ImportError("torchao"), AttributeError("no export")])
def test_what_is_installed_but_broken_is_left_out_and_says_why(monkeypatch, error):
    def broken(*_):
        raise error

    installed(monkeypatch, "neural_compressor")
    monkeypatch.delitem(sys.modules, "intel_extension_for_pytorch", raising=False)
    monkeypatch.setattr(precision, "compiler", lambda: "g++")
    monkeypatch.setattr(measuring, "Quantized", broken)
    rates, missing = measure("cpu", ("float32", "int8"))
    assert set(rates) == {"float32"} and missing == {"int8": f"int8 does not work here ({str(error).splitlines()[0]})."}


@profile
@pytest.mark.parametrize("network", [NerfField(64, 6, 6, 3), SimpleField(64, 6, 3)], ids=["published", "simple"])
def test_int8_gives_what_the_network_gives(network):
    initialize(network, np.random.default_rng(1))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    narrow = Quantized(network, *samples(10_000))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    for shape in ((1, 3), (50, 60, 3), (2048, 3)):
        positions, directions = (one.view(shape) for one in samples(int(np.prod(shape[:-1])), seed=2))
        with torch.no_grad():
            exact = network(positions, directions)
        found = narrow(positions, directions)
        for one, other in zip(exact, found, strict=True):
            assert one.shape == other.shape
            assert (one - other).norm() < 0.08 * one.norm()
    # It is quantized, and not some copy in float32.
    assert not torch.allclose(exact[0], found[0], atol=1e-6)


@profile
def test_first_layer_density_and_colour_stay_float32():
    network = NerfField(64, 6, 6, 3)
    quantized = Quantized(network, *samples(4096))
    # In the graph that is compiled, before each product stands where its weight comes from.
    products = [node for node in quantized._compiled._orig_mod.graph.nodes if node.target is torch.ops.aten.linear.default]
    assert len(products) == 6 + 4
    exact = [node.meta["val"].shape[-1] for node in products if node.args[1].op == "get_attr"]
    assert exact == [64, 1, 3]
