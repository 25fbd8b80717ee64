# SPDX-License-Identifier: GPL-3.0-or-later
"""Points and surfaces as parts of a result: clouds, meshes with colored vertices, and proxies."""

from __future__ import annotations

import numpy as np

from ....engine.color import srgb_to_linear
from ....engine.formats.meshes import Mesh
from ....engine.formats.points import PointCloud
from ....engine.formats.proxies import Proxy
from .materials import mesh_material, proxy_material
from .parts import MESH, POINTS, PROXY, RADIUS, Part, smooth_normals

_GRAY = 0.5


def cloud_part(cloud: PointCloud, origin: np.ndarray, unit: float) -> Part:
    """Points as large as what lies between them. ``origin`` and ``unit`` as for :func:`~.splats.splat_part`."""
    positions = (cloud.positions - origin) / unit
    radii = np.full(len(cloud), 0.5 * spacing(positions))
    return Part(POINTS, positions, _light(cloud), attributes={RADIUS: ("FLOAT", radii)})


def mesh_part(mesh: Mesh, origin: np.ndarray, unit: float) -> Part:
    """A mesh with colored vertices."""
    positions = (mesh.vertices.positions - origin) / unit
    normals = mesh.vertices.normals
    if normals is None:
        normals = smooth_normals(positions, mesh.triangles)
    return Part(MESH, positions, _light(mesh.vertices), mesh.triangles, normals[mesh.triangles.ravel()], material=mesh_material())


def proxy_part(name: str, proxy: Proxy, origin: np.ndarray, unit: float) -> Part:
    """A proxy. Vertices that are split for the texture are one again, so that its surface is closed in Blender too."""
    places, corner = np.unique(proxy.positions, axis=0, return_inverse=True)
    corners = proxy.triangles.ravel()
    placement = np.eye(4) if proxy.placement is None else proxy.placement
    return Part(
        PROXY,
        (places @ placement[:3, :3].T + placement[:3, 3] - origin) / unit,
        np.full((len(places), 3), _GRAY),
        corner.ravel()[corners].reshape(-1, 3),
        (proxy.normals.astype(np.float64) @ placement[:3, :3].T)[corners],
        proxy.uvs[corners],
        proxy_material(name, proxy.captured, proxy.albedo, proxy.normal_map),
    )


def spacing(positions: np.ndarray) -> float:
    """A distance between neighbors that makes points of half that radius close up, for points spread over surfaces."""
    low, high = np.percentile(positions, (2, 98), axis=0) if len(positions) else (np.zeros(3), np.zeros(3))
    width, depth, height = high - low
    area = 2 * (width * depth + depth * height + height * width)
    return float(np.sqrt(max(area, 1e-12) / max(len(positions), 1)))


def _light(cloud: PointCloud) -> np.ndarray:
    """Scene-linear colors [N, 3]."""
    return np.full((len(cloud), 3), _GRAY) if cloud.colors is None else srgb_to_linear(cloud.colors / 255.0)
