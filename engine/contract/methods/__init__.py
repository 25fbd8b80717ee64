# SPDX-License-Identifier: GPL-3.0-or-later
"""The methods. Each has one file here, with its settings and its MethodSpec, and its code in engine/methods."""

from . import nerf, ngp, splat
from .spec import MethodSpec

METHODS: dict[str, MethodSpec] = {spec.name: spec for spec in (splat.SPEC, ngp.SPEC, nerf.SPEC)}
