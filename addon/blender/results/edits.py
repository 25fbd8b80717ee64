# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians follow their positions through the changes that Blender's own tools make to a mesh.

Blender moves vertices and leaves other attributes as they are, so Apply Transform, Join, Set Origin and turning or scaling in Edit Mode
would leave each gaussian with the size and direction that it had. The attribute CENTER holds the position that the other attributes of a
point belong to. Where positions differ from it, the affine map between the two is found and applied to the gaussians.
"""

from __future__ import annotations

import bpy
import numpy as np

from ....engine.harmonics import band_rotation
from ....engine.rotations import matrices, quaternions
from ..tagging import kind_of, tagged, update_tag
from .parts import CENTER, PART, POINTS, RADIUS, set_values, values_of

# Largest deviation of a position from the common map, in extents of what moved, and where that is far away, in distances from the origin.
_TOLERANCE, _ROUNDING = 1e-4, 1e-6
# Vertices that a map is fitted to, and maps that are looked for in one mesh.
_FITTED, _MAPS = 64, 32
# Any four vertices have a map in common; fewer than this tell nothing where others stayed.
_FEWEST = 8


def captured_pose(item: bpy.types.Object) -> np.ndarray:
    """The pose of an imported result, [4, 4] float64: from the axes in which it was captured to the world, both in Blender units.

    It is the object's matrix until a transform is applied to the mesh, and stays the same then.
    """
    # What a script moved just now has its old matrix_world until the scene is evaluated.
    free = item.parent is None and not item.constraints
    return np.array(item.matrix_basis if free else item.matrix_world, dtype=np.float64) @ applied_transform(item)


def real_scale(item: bpy.types.Object) -> float:
    """How many times larger a result is than when it was imported, in Blender units."""
    return max(float(np.cbrt(abs(np.linalg.det(captured_pose(item)[:3, :3])))), 1e-9)


def applied_transform(item: bpy.types.Object) -> np.ndarray:
    """What was applied to the mesh of a result since it was imported, [4, 4] float64."""
    return _applied(item.data) if item.type == "MESH" else np.eye(4)


def follow_edits(mesh: bpy.types.Mesh) -> None:
    """Gives the gaussians of a result's mesh the size and direction that belong to where their points are now.

    Points that moved each in its own way, as by sculpting, keep their size and direction.
    """
    if kind_of(mesh) not in ("looks", "voxels") or not mesh.is_editable or mesh.is_editmode or not len(mesh.vertices):
        return
    positions = values_of(mesh, "position").astype(np.float64)
    if CENTER not in mesh.attributes:
        # A file of an earlier version.
        set_values(mesh, CENTER, "FLOAT_VECTOR", positions)
        return
    centers = values_of(mesh, CENTER).astype(np.float64)
    # A position that is not finite is on no map.
    known = np.isfinite(positions).all(axis=1) & np.isfinite(centers).all(axis=1)
    rest = np.flatnonzero(known & (positions != centers).any(axis=1))
    if not len(rest):
        return
    skipped = _FITTED
    for _ in range(_MAPS):
        if len(rest) < min(_FEWEST, len(positions)):
            break
        found = _common_map(centers[rest], positions[rest])
        if found is None:
            # These are of a mesh that is none of ours, or moved each in its own way.
            rest, skipped = rest[skipped:], 2 * skipped
            continue
        linear, offset, moved = found
        if PART in mesh.attributes:
            _apply(mesh, rest[moved], linear)
        if moved.sum() == len(positions):
            transform = np.eye(4)
            transform[:3, :3], transform[:3, 3] = linear, offset
            update_tag(mesh, applied=(transform @ _applied(mesh)).ravel().tolist())
        rest = rest[~moved]
    set_values(mesh, CENTER, "FLOAT_VECTOR", positions)
    mesh.update_tag()


def _applied(mesh: bpy.types.Mesh) -> np.ndarray:
    return np.reshape(tagged(mesh).get("applied", np.eye(4)), (4, 4))


def _common_map(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The affine map that moved all vertices, else that which moved the first ones, as Join appends the vertices of each mesh in turn.

    Args:
        before, after: positions, [N, 3].

    Returns:
        The linear part [3, 3], the translation [3], and which vertices it moved, [N] bool; None where the first ones have no map in common.
    """
    count = len(before)
    tolerance = max(_TOLERANCE * float(np.ptp(after, axis=0).max()), _ROUNDING * float(np.abs(after).max()))
    for end in (count, min(_FITTED, count)):
        sample = _spread(np.arange(end))
        for _ in range(2):
            linear, offset = _fitted(before[sample], after[sample])
            moved = np.abs(before @ linear.T + offset - after).max(axis=1) <= tolerance
            if not moved[sample].all():
                break
            # Again with vertices from everywhere, which tell the map more exactly.
            sample = _spread(np.flatnonzero(moved))
        else:
            return linear, offset, moved
    return None


def _spread(indices: np.ndarray) -> np.ndarray:
    """Some of the indices, evenly spaced."""
    return indices[np.linspace(0, len(indices) - 1, _FITTED).astype(int)]


def _fitted(before: np.ndarray, after: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The affine map of least squares. Across points that lie in a plane or a line, it turns and scales as it does along them."""
    middle, target = before.mean(axis=0), after.mean(axis=0)
    left, sizes, right = np.linalg.svd(before - middle, full_matrices=False)
    known = sizes > 1e-5 * max(float(sizes[0]), 1e-30)
    spread = np.divide(1.0, sizes, out=np.zeros(3), where=known)
    linear = (after - target).T @ (left * spread) @ right
    if not known.all():
        turned, scales, axes = np.linalg.svd(linear)
        count = int(known.sum())
        scales[count:] = np.exp(np.log(np.maximum(scales[:count], 1e-30)).mean()) if count else 1.0
        turned[:, 2] *= np.sign(np.linalg.det(turned @ axes))
        linear = (turned * scales) @ axes
    return linear, target - linear @ middle


def _apply(mesh: bpy.types.Mesh, vertices: np.ndarray, linear: np.ndarray) -> None:
    """Turns and scales the gaussians among some vertices, by index, by a linear map [3, 3]."""
    if np.allclose(linear, np.eye(3), atol=_TOLERANCE):
        return
    chosen = vertices[values_of(mesh, PART)[vertices] == POINTS]
    left, sizes, right = np.linalg.svd(linear)
    _change(mesh, RADIUS, chosen, lambda radii: radii * np.cbrt(sizes.prod()))
    if "scale" in mesh.attributes and "rotation" in mesh.attributes:
        scales, quats = values_of(mesh, "scale").astype(np.float64), values_of(mesh, "rotation").astype(np.float64)
        scales[chosen], quats[chosen] = _deformed(scales[chosen], quats[chosen], linear)
        set_values(mesh, "scale", "FLOAT_VECTOR", scales)
        set_values(mesh, "rotation", "QUATERNION", quats)
    # What a gaussian shows to each side turns with it. The lowest of Blender's own harmonics is in radiance:base.
    for name, first in (("sh_{}", 0), ("radiance:sh_{}", 1)):
        for band in (1, 2, 3):
            names = [name.format(number - first) for number in range(band * band, (band + 1) ** 2)]
            if not all(one in mesh.attributes for one in names):
                break
            old = np.stack([values_of(mesh, one)[chosen] for one in names])
            for one, new in zip(names, np.tensordot(band_rotation(band, left @ right), old, 1), strict=True):
                _change(mesh, one, chosen, lambda _, new=new: new)


def _change(mesh: bpy.types.Mesh, name: str, chosen: np.ndarray, change) -> None:
    if name in mesh.attributes:
        values = values_of(mesh, name)
        values[chosen] = change(values[chosen])
        set_values(mesh, name, mesh.attributes[name].data_type, values)


def _deformed(scales: np.ndarray, quats: np.ndarray, linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sizes [N, 3] and unit quaternions wxyz [N, 4] of gaussians after a linear map: the principal axes of the mapped ellipsoids."""
    turns = matrices(quats)
    left, sizes, right = np.linalg.svd(linear)
    if sizes[0] - sizes[2] < _TOLERANCE * sizes[0] and np.linalg.det(linear) > 0:
        # Turned and scaled alike in all directions; the axes keep their order.
        return scales * np.cbrt(sizes.prod()), quaternions(left @ right @ turns)
    turned, sizes, _ = np.linalg.svd(linear @ turns * scales[:, None])
    turned[:, :, 2] *= np.sign(np.linalg.det(turned))[:, None]
    return sizes, quaternions(turned)


@bpy.app.handlers.persistent
def _after_update(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Meshes are among the updates when their data changed, also by undo; a camera that moves only has objects evaluated again."""
    for update in depsgraph.updates:
        if update.is_updated_geometry and isinstance(update.id, bpy.types.Mesh):
            follow_edits(update.id.original)


@bpy.app.handlers.persistent
def _after_loading(*_: object) -> None:
    """Meshes of version 0.1 have no CENTER until now."""
    for mesh in bpy.data.meshes:
        follow_edits(mesh)


def register() -> None:
    """Follows what Blender's tools do to imported results."""
    bpy.app.handlers.depsgraph_update_post.append(_after_update)
    bpy.app.handlers.load_post.append(_after_loading)


def unregister() -> None:
    """Stops following."""
    bpy.app.handlers.depsgraph_update_post.remove(_after_update)
    bpy.app.handlers.load_post.remove(_after_loading)
