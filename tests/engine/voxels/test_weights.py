# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of weights are read back or refused."""

import json

import pytest
import torch
from safetensors.torch import save

from engine.contract.errors import UserError
from engine.voxels import networks
from engine.voxels.weights import read_weights, write_weights

TINY = {"encoder": (8, 8, 12, 12, 16, 16), "features": 48, "decoder": (16, 16, 12, 8, 8)}


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch):
    monkeypatch.setitem(networks.VARIANTS, "gru-3-small", networks.Variant(False, "gru", 3, **TINY))


def test_weights_are_read_back(tmp_path):
    torch.manual_seed(0)
    network = networks.new_network("gru-3-small")
    write_weights(tmp_path / "w.safetensors", network, {"network": "gru-3-small", "steps": 3})
    read, facts = read_weights(tmp_path / "w.safetensors")
    pictures = torch.rand(1, 1, 3, 127, 127)
    torch.testing.assert_close(read(pictures), network(pictures), rtol=0.02, atol=0.02)
    assert facts["steps"] == 3 and not read.training


def test_damaged_weights_are_refused(tmp_path):
    file = tmp_path / "w.safetensors"
    with pytest.raises(UserError, match="no weights"):
        read_weights(file)
    arrays = {name: value.half().contiguous() for name, value in networks.new_network("gru-3-small").state_dict().items()}
    whole = save(arrays, {"facts": json.dumps({"network": "gru-3-small"})})
    first = next(iter(arrays))
    bad = [
        whole[:-100],
        b"no weights",
        save(arrays),
        save(arrays, {"facts": "{"}),
        save(arrays, {"facts": json.dumps({"network": "other"})}),
        save({name: value for name, value in arrays.items() if name != first}, {"facts": json.dumps({"network": "gru-3-small"})}),
        save({**arrays, first: arrays[first].flatten()}, {"facts": json.dumps({"network": "gru-3-small"})}),
        save({**arrays, first: arrays[first] * torch.nan}, {"facts": json.dumps({"network": "gru-3-small"})}),
        save({**arrays, first: arrays[first] + torch.inf}, {"facts": json.dumps({"network": "gru-3-small"})}),
        save(arrays, {"facts": "[" * 50_000}),
        save(arrays, {"facts": json.dumps({"network": ["gru-3-small"]})}),
        save(arrays, {"facts": "[]"}),
    ]
    for content in bad:
        file.write_bytes(content)
        with pytest.raises(UserError, match="w.safetensors"):
            read_weights(file)
