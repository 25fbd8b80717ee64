# SPDX-License-Identifier: GPL-3.0-or-later
"""Number types and libraries that make networks faster: what each needs, how it is put to use, and what it brings on this machine."""

from __future__ import annotations

import copy
import os
import shutil
import sys
import warnings
from collections.abc import Sequence
from importlib.util import find_spec

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ..kernels import cache_root
from .cost import measured_rate, multiply_adds
from .nerf import NerfField

# IPEX last: once it is loaded it replaces parts of torch, and Neural Compressor takes another way.
NAMES = ("float32", "bfloat16", "int8", "ipex")
_SET_UP = "python3 scripts/dev.py setup ipex brings it"
_PACKAGES = {
    "ipex": ("intel_extension_for_pytorch", "Intel Extension for PyTorch"),
    "int8": ("neural_compressor", "Intel Neural Compressor"),
}
# What libraries raise that are there but do not work: a compiler without its headers, a version that does not go with torch's.
UNUSABLE = (RuntimeError, ImportError, AttributeError)
# Samples that a quantised network takes at a time: compiled code of torch 2.8 knows one number only. Small, so that few are wasted.
_ROWS = 2048
# So many times as many samples tell its ranges.
_CALIBRATED = 32
# Samples that are looked through at once while measuring; about as many as renderers take.
_MEASURED = 16_384


def compiler() -> str | None:
    """The C++ compiler that torch would call; None where this machine has none."""
    usual = {"win32": "cl", "darwin": "clang++"}.get(sys.platform, "g++")
    return shutil.which(os.environ.get("CXX") or usual)


def lacking(name: str, device: str = "cpu") -> str:
    """Why an acceleration cannot be used here, in a sentence; "" where it can.

    Args:
        name: one of NAMES. device: where the networks are.
    """
    if name not in _PACKAGES:
        return ""
    module, title = _PACKAGES[name]
    if device != "cpu":
        return f"{name} is for processors, and the networks are on {device}."
    if find_spec(module) is None:
        return f"{name} needs {title}, which is not installed; {_SET_UP}."
    if name == "int8" and compiler() is None:
        return "int8 is compiled for each network, and this machine has no C++ compiler on its PATH."
    if name == "int8" and _PACKAGES["ipex"][0] in sys.modules:
        return "int8 and ipex do not go together in one process."
    return ""


def unusable(name: str, error: Exception) -> str:
    """Why an acceleration that is installed cannot be used, in a sentence. error: one of UNUSABLE."""
    return f"{name} does not work here ({(str(error) or type(error).__name__).splitlines()[0]})."


def with_ipex(model: nn.Module, optimizer: torch.optim.Optimizer, bfloat16: bool) -> None:
    """Has Intel Extension for PyTorch train a model: weights laid out as its kernels want them, with ``bfloat16`` in that type beside
    what is missing to float32; one pass for each update. ``state_dict`` of both still speaks of plain float32.
    """
    # It warns at import of what it replaces in torch, and of the end of its own options.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import intel_extension_for_pytorch as ipex

        model.train()
        ipex.optimize(model, dtype=torch.bfloat16 if bfloat16 else torch.float32, optimizer=optimizer, inplace=True)


class Quantised(nn.Module):
    """A trained network for pictures only, its products in INT8: post-training static quantisation by Intel Neural Compressor, compiled
    by torch.

    Weights are signed with a scale for each output, activations unsigned with one range for each layer. The first layer, which sees the
    encoding, and the last ones, which give density and colour, stay float32. The network that it is made of stays as it is.

    Args:
        network: has ``PRECISE``, the names of the layers that stay.
        positions, directions: [S, 3], samples as the network will see them; they tell the ranges.
    """

    def __init__(self, network: nn.Module, positions: Tensor, directions: Tensor):
        super().__init__()
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_root() / "inductor"))
        # No processes that stay behind, with half a gigabyte.
        os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")
        # Of Neural Compressor, which else tells all that it does.
        os.environ.setdefault("LOGLEVEL", "ERROR")
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            from neural_compressor.torch.export import export
            from neural_compressor.torch.quantization import StaticQuantConfig, convert, prepare
            from torch._inductor import config as inductor

            config = StaticQuantConfig()
            for name in network.PRECISE:
                config.set_local(name, StaticQuantConfig(w_dtype="fp32", act_dtype="fp32"))
            chosen = torch.randperm(max(len(positions), _ROWS), generator=torch.Generator().manual_seed(0)) % len(positions)
            parts = [(positions[some], directions[some]) for some in chosen.split(_ROWS)[:_CALIBRATED] if len(some) == _ROWS]
            observed = prepare(export(copy.deepcopy(network).eval(), parts[0]), config)
            for part in parts:
                observed(*part)
            self._compiled = torch.compile(convert(observed), dynamic=False)
            # Weights as constants, so that they are quantised once and not at each call. Two parts of torch look at this setting.
            with inductor.patch(freezing=True):
                self._compiled(*parts[0])

    def forward(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """See :meth:`engine.fields.nerf.NerfField.forward`; without gradients."""
        count = positions[..., 0].numel()
        given = (pad(one.reshape(-1, 3), (0, 0, 0, -count % _ROWS)).split(_ROWS) for one in (positions, directions))
        with torch.no_grad():
            parts = [self._compiled(*part) for part in zip(*given, strict=True)]
        raw, colors = (torch.cat(part)[:count] for part in zip(*parts, strict=True))
        return raw.view(positions.shape[:-1]), colors.view(positions.shape)


def measure(device: str, names: Sequence[str] = NAMES, bfloat16: bool = False) -> tuple[dict[str, float], dict[str, str]]:
    """Multiply-adds a second of the published network by those of the accelerations that can be used here, in one run.

    A second for float32 and bfloat16; half a minute where INT8 is compiled.

    Args:
        device: where. names: some of NAMES. bfloat16: whether IPEX takes it.

    Returns:
        The rates by name, and why others of the names have none.
    """
    network = NerfField().to(device).eval()
    per_sample = multiply_adds(network)
    places = (2 * torch.rand((_MEASURED, 3), generator=torch.Generator().manual_seed(0), device="cpu") - 1).to(device)
    rates: dict[str, float] = {}
    missing: dict[str, str] = {}
    for name in (name for name in NAMES if name in names):
        looked, reason = network, lacking(name, device)
        try:
            if name == "int8" and not reason:
                looked = Quantised(network, places, places)
            elif name == "ipex" and not reason:
                looked = copy.deepcopy(network)
                with_ipex(looked, torch.optim.Adam(looked.parameters()), bfloat16)
        except UNUSABLE as error:
            reason = unusable(name, error)
        if reason:
            missing[name] = reason
            continue
        narrow = name == "bfloat16" or (name == "ipex" and bfloat16)

        def look(*given: Tensor, looked: nn.Module = looked, narrow: bool = narrow) -> object:
            with torch.autocast(device, dtype=torch.bfloat16, enabled=narrow):
                return looked(*given)

        rates[name] = measured_rate(look, per_sample, _MEASURED, device)
    return rates, missing
