# SPDX-License-Identifier: GPL-3.0-or-later
"""Which device computes, and why."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from .contract.errors import UserError
from .contract.methods import METHODS
from .contract.voxels import METHOD as VOXELS

# Devices on which every operation of a method has a kernel. A method joins a device when its last kernel is there.
SUPPORTED = {name: method.devices for name, method in METHODS.items()} | {VOXELS: ("cpu", "xpu", "cuda")}


@dataclass(frozen=True)
class Choice:
    """A device and the sentence that explains it."""

    device: str
    reason: str


def choose(method: str, wanted: str) -> Choice:
    """Picks the device for a method.

    Args:
        method: its name. wanted: auto, cpu, xpu or cuda.

    Raises:
        UserError: the wanted device is not there, or the method has no kernels for it.
    """
    present = devices()
    able = SUPPORTED[method]
    if wanted != "auto":
        if wanted not in present:
            raise UserError(f"This machine has no device {wanted} that torch can use.", "Use --device auto or cpu.", "device")
        if wanted not in able:
            raise UserError(f"Method {method} has no kernels for {wanted} yet.", "Use --device auto or cpu.", "device_of_method")
        return Choice(wanted, f"{wanted} was asked for.")
    best = next((device for device in ("xpu", "cuda") if device in present and device in able), "cpu")
    unused = [device for device in present if device != "cpu" and device not in able]
    if unused:
        return Choice(best, f"{best}, because method {method} has no kernels for {' or '.join(unused)} yet.")
    return Choice(
        best, "cpu is the only device here." if present == ("cpu",) else f"{best} is the fastest device here that {method} supports."
    )


def devices() -> tuple[str, ...]:
    """The devices that torch can use here, the processor first."""
    import torch

    found = ["cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        found.append("xpu")
    return tuple(found)


def has_bfloat16(device: str) -> bool:
    """Whether the device multiplies bfloat16 itself. A processor without it makes up for it at a third of the speed of float32."""
    if device == "cuda":
        import torch

        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device != "cpu":
        return True
    import llvmlite.binding as llvm

    features = llvm.get_host_cpu_features()
    return any(features.get(name) for name in ("avx512bf16", "amx-bf16", "bf16"))


def threads(wanted: int) -> int:
    """How many threads to use: ``wanted``, or all that this process may run on where it is 0."""
    if hasattr(os, "sched_getaffinity"):
        there = len(os.sched_getaffinity(0))
    else:
        there = os.cpu_count() or 1
    return min(wanted, there) if wanted else there


def processor() -> str:
    """The processor's name, and its widest vectors."""
    import llvmlite.binding as llvm

    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        name = os.environ.get("PROCESSOR_IDENTIFIER", name)
    features = llvm.get_host_cpu_features()
    widest = next(
        (label for flag, label in (("avx512f", "AVX-512"), ("avx2", "AVX2"), ("neon", "NEON")) if features.get(flag)), "no wide vectors"
    )
    return f"{name}, {widest}"
