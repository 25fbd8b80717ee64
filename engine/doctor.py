# SPDX-License-Identifier: GPL-3.0-or-later
"""What this machine has, what will be used, and why."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil

from . import __version__, devices
from .kernels import CACHE, compiling

_LIBRARIES = ("torch", "numba", "numpy", "scipy", "safetensors")


def examine() -> dict[str, Any]:
    """The facts, as plain values for JSON."""
    choices = {method: devices.choose(method, "auto") for method in devices.SUPPORTED}
    return {
        "engine": __version__,
        "processor": devices.processor(),
        "threads": devices.threads(0),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "devices": list(devices.devices()),
        "methods": {method: {"device": choice.device, "reason": choice.reason} for method, choice in choices.items()},
        "libraries": {name: _version(name) for name in _LIBRARIES},
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
    return "\n".join(lines)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
