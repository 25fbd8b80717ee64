# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of a network's weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from ..contract.errors import UserError, lacks_memory
from ..contract.parsing import parse_json
from ..contract.result import WEIGHTS, replacing
from ..data.checkpoint_arrays import reason
from .networks import new_network

# The weights that come with the program; docs/voxels.md says how they were made.
SHIPPED = Path(__file__).with_name("gru-3-small.safetensors")


def write_weights(file: Path, network: nn.Module, facts: dict[str, Any]) -> None:
    """Writes weights in half precision, which is half the size and no worse, whole or not at all. ``facts``: network, and what JSON can
    hold.
    """
    arrays = {name: value.detach().cpu().half().contiguous() for name, value in network.state_dict().items()}
    with replacing(file) as temporary:
        temporary.write_bytes(save(arrays, {"facts": json.dumps(facts)}))


def read_weights(file: Path, named: str = "") -> tuple[nn.Module, dict[str, Any]]:
    """The network of a file of weights, or of the result of a training, ready to predict, and its facts.

    Args:
        file: file or folder. named: the network that it has to be, any where empty.

    Raises:
        UserError: the file is missing, damaged, or not of a network of this program or not of that one.
    """
    file = file / WEIGHTS if file.is_dir() else file
    try:
        with safe_open(file, "pt") as tensors:
            facts = parse_json(tensors.metadata()["facts"], "its state")
            network = new_network(facts["network"])
            arrays = {name: tensors.get_tensor(name).float() for name in tensors.keys()}
            if not all(array.isfinite().all() for array in arrays.values()):
                raise ValueError("it holds a number that is not finite")
            network.load_state_dict(arrays)
    except FileNotFoundError:
        raise UserError(f"There are no weights {file}.", "Train some with: voxels train.") from None
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError, UserError) as error:
        if lacks_memory(error):
            raise
        hint = "Choose the result of another training of voxels, or its weights.safetensors."
        raise UserError(f"{file} does not hold weights of this program, or is damaged: {reason(error)}.", hint, "damaged") from None
    if named and facts["network"] != named:
        raise UserError(f"{file} holds weights of {facts['network']}, not of {named}.", f"Take --network {facts['network']}.")
    return network.eval(), facts
