# SPDX-License-Identifier: GPL-3.0-or-later
"""Job doctor: what this machine has, what will be used, and why."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil
import torch

from .. import __version__, devices, precision
from ..contract.settings import TrainSettings
from ..fields.measuring import measure
from ..kernels import CACHE, compiling
from ..methods import training_cost
from ..runs.reporter import Reporter, stage_progress

_LIBRARIES = ("torch", "numba", "numpy", "scipy", "safetensors")


def compile_kernels(reporter: Reporter) -> None:
    """Compiles the kernels where that was not done yet."""
    if not compiling.is_compiled():
        compiling.compile_all(stage_progress(reporter, "compile"))


def examine(method: str | None = None) -> dict[str, Any]:
    """The facts, as plain values for JSON; with what training by a method costs where one is named."""
    choices = {method: devices.choose(method, "auto") for method in devices.SUPPORTED}
    return {
        "engine": __version__,
        "processor": devices.processor(),
        "threads": devices.threads(0),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "devices": list(devices.devices()),
        "methods": {method: {"device": choice.device, "reason": choice.reason} for method, choice in choices.items()},
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "numbers": _numbers(choices["nerf"].device, full=method == "nerf"),
        **({} if method is None else {"cost": _cost(method)}),
        "kernels": {"compiled": compiling.is_compiled(), "cache": str(CACHE)},
    }


def plain(facts: dict[str, Any]) -> str:
    """The facts in words."""
    state = "compiled" if facts["kernels"]["compiled"] else "compiled at the first training, which takes a minute"
    rows = [
        ("Processor", f"{facts['processor']}; {facts['threads']} threads; {facts['memory_gib']} GiB of memory"),
        ("Devices", ", ".join(facts["devices"])),
        *((f"Method {name}", f"uses {choice['device']}: {choice['reason']}") for name, choice in facts["methods"].items()),
        ("Networks", facts["numbers"]["words"]),
        ("Libraries", ", ".join(f"{name} {number}" for name, number in facts["libraries"].items())),
        ("Kernels", f"{state}; {facts['kernels']['cache']}"),
    ]
    if "cost" in facts:
        rows.append(("Cost", facts["cost"]["words"]))
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join([f"Reconstruct engine {facts['engine']}", *(f"{name:{width}}{words}" for name, words in rows)])


def _numbers(device: str, full: bool) -> dict[str, Any]:
    """What networks compute with on a device, measured: float32 and bfloat16, with ``full`` also what takes half a minute to set up."""
    torch.set_num_threads(devices.threads(0))
    has_bfloat16 = devices.has_bfloat16(device)
    used = "bfloat16" if has_bfloat16 else "float32"
    rates, missing = measure(device, precision.NAMES if full else ("float32", "bfloat16"), has_bfloat16)
    does = "multiplies" if has_bfloat16 else "does not multiply"
    words = [
        f"{used}, because {'this processor' if device == 'cpu' else device} {does} bfloat16 itself: "
        f"it is {rates['bfloat16'] / rates['float32']:.1f} times as fast as float32."
    ]
    for name, purpose in (("ipex", "train with --nerf.precision ipex"), ("int8", "render with --precision int8")):
        if name in rates:
            words.append(f"{name} ({purpose}) looks through networks {rates[name] / rates[used]:.1f} times as fast as {used}.")
        else:
            missing.setdefault(name, precision.lacking(name, device))
            words.append(missing[name] or f"{name} is there ({purpose}); doctor --method nerf measures it.")
    return {"used": used, "multiply_adds_a_second": {name: round(rate) for name, rate in rates.items()}, "words": " ".join(words)}


def _cost(method: str) -> dict[str, Any]:
    cost = training_cost(TrainSettings(method=method))
    if cost is None:
        return {"method": method, "words": f"A step of method {method} takes a moment; how long depends on the scene."}
    large = cost.picture(1024, 1024)
    return {"method": method, **vars(cost), "words": f"{cost.plain(400, 400)} {large[0].upper()}{large[1:]}."}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
