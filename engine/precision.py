# SPDX-License-Identifier: GPL-3.0-or-later
"""Number types and libraries that make networks faster: what each needs, and how it is put to use."""

from __future__ import annotations

import copy
import os
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.util import find_spec

import torch
from torch import Tensor, nn

from .kernels import cache_root

# IPEX last: once it is loaded it replaces parts of torch, and Neural Compressor takes another way.
NAMES = ("float32", "bfloat16", "int8", "ipex")
_SET_UP = "python3 scripts/dev.py setup ipex brings it"
_PACKAGES = {
    "ipex": ("intel_extension_for_pytorch", "Intel Extension for PyTorch"),
    "int8": ("neural_compressor", "Intel Neural Compressor"),
}
# What libraries raise that are there but do not work: a compiler without its headers, a version that does not go with torch's.
UNUSABLE = (RuntimeError, ImportError, AttributeError)


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


def quantized(network: nn.Module, examples: Sequence[tuple[Tensor, ...]], precise: Sequence[str]) -> Callable:
    """A trained network's products in INT8, for predicting only: post-training static quantization by Intel Neural Compressor, compiled by
    torch. Weights are signed with a scale for each output, activations unsigned with one range for each layer.

    Args:
        network: stays as it is.
        examples: what it will be called with, all of one shape, which the compiled one knows alone; they tell the ranges.
        precise: names of the layers that stay float32.

    Raises:
        UNUSABLE: a library that is there does not work.
    """
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
        for name in precise:
            config.set_local(name, StaticQuantConfig(w_dtype="fp32", act_dtype="fp32"))
        observed = prepare(export(copy.deepcopy(network).eval(), examples[0]), config)
        for example in examples:
            observed(*example)
        compiled = torch.compile(convert(observed), dynamic=False)
        # Weights as constants, so that they are quantized once and not at each call. Two parts of torch look at this setting.
        with inductor.patch(freezing=True):
            compiled(*examples[0])
    return compiled
