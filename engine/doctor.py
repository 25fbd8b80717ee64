# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine has, what will be used, and why."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from . import __version__, devices
from .contract.settings import TrainSettings
from .kernels import CACHE, compiling
from .methods import training_cost

_LIBRARIES = ("torch", "numba", "numpy", "scipy", "safetensors")


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
        **({} if method is None else {"cost": _cost(method)}),
        "kernels": {"compiled": compiling.is_compiled(), "cache": str(CACHE)},
    }


def plain(facts: dict[str, Any]) -> str:
    """The facts in words."""
    state = "compiled" if facts["kernels"]["compiled"] else "compiled at the first training, which takes a minute"
    lines = [
        f"Reconstruct engine {facts['engine']}",
        f"Processor   {facts['processor']}; {facts['threads']} threads; {facts['memory_gib']} GiB of memory",
        f"Devices     {', '.join(facts['devices'])}",
        *(f"Method {name:5}uses {choice['device']}: {choice['reason']}" for name, choice in facts["methods"].items()),
        f"Libraries   {', '.join(f'{name} {number}' for name, number in facts['libraries'].items())}",
        f"Kernels     {state}; {facts['kernels']['cache']}",
    ]
    if "cost" in facts:
        lines.append(f"Cost        {facts['cost']['words']}")
    return "\n".join(lines)


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
