# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands surface and proxy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from ..contract.result import MESH, PROXY
from ..contract.schema import check
from ..contract.settings import ProxySettings, SurfaceSettings
from .options import SETTINGS, Events, Positional, like, option, options_of
from .reporting import run_reported

_SurfaceSettings, _ProxySettings = options_of(SurfaceSettings), options_of(ProxySettings)


@dataclass(frozen=True)
class Surface:
    """Make the surface of a result, a mesh with colored vertices: RESULT/mesh.glb."""

    result: Annotated[str, Positional, option("Folder of the result.", "RESULT")]
    events: Events = False
    settings: Annotated[_SurfaceSettings, SETTINGS] = field(default_factory=_SurfaceSettings)  # type: ignore[valid-type]

    def run(self) -> int:
        """Returns the exit code."""
        settings = like(SurfaceSettings(), self.settings)
        check(settings)
        from ..jobs.surface import make_surface

        return _run(self, MESH, lambda folder, reporter: make_surface(folder, settings, reporter))


@dataclass(frozen=True)
class Proxy:
    """Make a light, textured mesh that stands for a result, of its surface: RESULT/proxy.glb. Without a surface, that is made first."""

    result: Annotated[str, Positional, option("Folder of the result.", "RESULT")]
    events: Events = False
    settings: Annotated[_ProxySettings, SETTINGS] = field(default_factory=_ProxySettings)  # type: ignore[valid-type]

    def run(self) -> int:
        """Returns the exit code."""
        settings = like(ProxySettings(), self.settings)
        check(settings)
        from ..jobs.proxy import make_proxy

        return _run(self, PROXY, lambda folder, reporter: make_proxy(folder, settings, reporter))


def _run(command: Surface | Proxy, file: str, job: Callable[[Path, Any], bool]) -> int:
    folder, begin = Path(command.result).resolve(), time.monotonic()

    def last_line(written: bool) -> str:
        return f"{folder / file} in {time.monotonic() - begin:.0f} s" if written else "Cancelled."

    return run_reported(command.events, lambda reporter: job(folder, reporter), last_line)
