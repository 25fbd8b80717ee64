# SPDX-License-Identifier: GPL-3.0-or-later
"""What training does, timed on named fixtures, with the machine named.

A fixture is the same everywhere: made from a seed, or from the real data with fixed settings. Times are the best of several runs: machines
are shared and noisy.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from .. import devices
from ..contract.errors import UserError
from ..kernels import peak, use_threads
from . import fields, splats
from .measuring import RUNS

FIXTURES: dict[str, Callable[[], Any]] = {**splats.FIXTURES, **fields.FIXTURES}


def fixture(name: str) -> Callable[[], Any]:
    """What makes the fixture of a name: one of FIXTURES, or shells of any size, as ``shells-1000k-1920x1080``.

    Raises:
        UserError: the name is not known.
    """
    size = re.fullmatch(r"shells-([1-9]\d{0,4})k-([1-9]\d{1,3})x([1-9]\d{1,3})", name)
    if size:
        thousands, width, height = map(int, size.groups())
        return partial(splats.shells, 1000 * thousands, width, height)
    if name not in FIXTURES:
        raise UserError(f"There is no fixture {name}.", f"There are: {', '.join(FIXTURES)}, and shells-THOUSANDSk-WIDTHxHEIGHT.")
    return FIXTURES[name]


def run(names: tuple[str, ...]) -> dict[str, Any]:
    """Times the named fixtures, all of FIXTURES where none is named.

    Raises:
        UserError: a name is not known.
    """
    makers = {name: fixture(name) for name in names or FIXTURES}
    workers = devices.threads(0)
    use_threads(workers)
    most = peak.operations_per_second(workers)
    rows = {name: _kind(name).measure(make(), workers, most) for name, make in makers.items()}
    return {"processor": devices.processor(), "threads": workers, "peak_vector_operations_per_second": round(most), "fixtures": rows}


def plain(facts: dict[str, Any]) -> str:
    """The figures in words."""
    lines = [
        f"{facts['processor']}; {facts['threads']} threads; best of {RUNS} runs; "
        f"{facts['peak_vector_operations_per_second'] / 1e9:.1f} G multiply-adds of 16 numbers a second at most"
    ]
    for name, row in facts["fixtures"].items():
        lines += _kind(name).words(name, row)
    return "\n".join(lines)


def _kind(name: str):
    return fields if name in fields.FIXTURES else splats
