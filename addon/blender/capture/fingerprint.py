# SPDX-License-Identifier: GPL-3.0-or-later
"""A digest of what a scene's renders depend on, so that an unfinished capture is only continued with the scene that it began with.

It hashes the evaluated geometry, and every value of the data-blocks that can show in a render, whatever it means. A difference that does
not show costs time; one that is missed would mix two scenes in one capture.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from typing import Any

import bpy
import numpy as np

from .space import world_triangles

_KINDS = (
    *("objects", "collections", "meshes", "lights", "materials", "node_groups", "worlds", "images", "textures", "volumes"),
    *("pointclouds", "hair_curves", "particles"),
)
_GEOMETRY = (bpy.types.Mesh, bpy.types.PointCloud, bpy.types.Curves)
# What changes without being changed, or belongs to the interface.
_SKIPPED = {
    *("rna_type", "tag", "preview", "asset_data", "original", "use_fake_user", "is_runtime_data", "animation_data", "motion_path"),
    *("pixels", "filepath_raw"),
    *("select", "mode", "hide_viewport", "hide_select", "show_viewport", "show_expanded", "show_in_editmode", "is_active", "dimensions"),
    *("active_material", "active_material_index", "active_shape_key_index", "active_index", "paint_active_slot", "reconstruct"),
}
# The partner of a zone's node is a link of a kind; asking for one that is missing crashes Blender 4.5.
_SKIPPED_OF_NODES = _SKIPPED | {"location", "location_absolute", "width", "height", "hide", "color", "use_custom_color", "label", "parent"}
_SKIPPED_OF_NODES |= {"paired_output", "internal_links"}
_SKIPPED_ATTRIBUTES = (".select", ".hide", ".uv_select", ".vs.", ".es.", ".pn.")
_DEPTH = 6


def fingerprint(scene: bpy.types.Scene) -> str:
    """A digest of the scene at its current frame; the same in another process that has opened the same file.

    Args:
        scene: the scene. The file's other scenes count as well, as far as they hold data-blocks.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for array in world_triangles(scene):
        digest.update(array.tobytes())
    # What the capture sets itself is the same every time.
    for line in (scene.frame_current, scene.unit_settings.scale_length, _reference(scene.world), *_values(scene.cycles, 1)):
        digest.update(repr(line).encode("utf-8", "surrogatepass"))
    for kind in _KINDS:
        for block in getattr(bpy.data, kind, ()):
            if not _can_show(block):
                continue
            for line in (_reference(block), *_values(block, 0)):
                digest.update(repr(line).encode("utf-8", "surrogatepass"))
            for data in _bulk(block):
                digest.update(data)
    return digest.hexdigest()


def _can_show(block: bpy.types.ID) -> bool:
    """Whether a block is an input of captures: neither the result of a render nor the compositor, which they do without."""
    return getattr(block, "source", "") != "VIEWER" and getattr(block, "bl_idname", "") != "CompositorNodeTree"


def _values(owner: bpy.types.bpy_struct, depth: int) -> Iterator[Any]:
    """Names and plain values of a block and of the parts that belong to it. Other blocks are named only."""
    skipped = _SKIPPED_OF_NODES if isinstance(owner, bpy.types.Node) else _SKIPPED
    for prop in owner.bl_rna.properties:
        name = prop.identifier
        if name in skipped or isinstance(owner, _GEOMETRY) and prop.type in ("POINTER", "COLLECTION") and name != "materials":
            continue
        try:
            value = getattr(owner, name)
        except Exception:
            # Add-ons give properties getters of their own.
            continue
        if prop.type in ("POINTER", "COLLECTION"):
            for part in value if prop.type == "COLLECTION" else (value,):
                yield name, _reference(part)
                if part is not None and depth < _DEPTH and _belongs(owner, part):
                    yield from _values(part, depth + 1)
        elif not prop.is_readonly:
            if prop.type == "STRING" and prop.subtype in ("FILE_PATH", "DIR_PATH"):
                value = _file(owner, value)
            yield name, tuple(np.ravel(value).tolist()) if getattr(prop, "is_array", False) else _sorted(value)
    # Shaders read custom properties of blocks, and before 5.2 Geometry Nodes modifiers keep their inputs in their own.
    if isinstance(owner, bpy.types.ID) or isinstance(owner, bpy.types.NodesModifier) and not hasattr(owner, "properties"):
        for name in sorted(set(owner.keys()) - {"reconstruct"}):
            value = owner[name]
            yield name, value.to_dict() if hasattr(value, "to_dict") else value.to_list() if hasattr(value, "to_list") else str(value)


def _belongs(owner: bpy.types.bpy_struct, part: bpy.types.bpy_struct) -> bool:
    """Whether a part is the owner's own, and not only known to it: links and sockets know their nodes."""
    if isinstance(part, bpy.types.ID):
        return part.is_embedded_data
    if isinstance(part, bpy.types.NodeSocket):
        return isinstance(owner, bpy.types.Node)
    return not isinstance(part, bpy.types.Node) or isinstance(owner, bpy.types.NodeTree)


def _reference(part: Any) -> str:
    """What a pointer points at, by name."""
    if isinstance(part, bpy.types.ID):
        return f"{part.rna_type.identifier} {part.name_full}"
    if isinstance(part, bpy.types.NodeSocket):
        return f"{part.node.name} {part.identifier}"
    return f"{type(part).__name__} {getattr(part, 'name', '')}"


def _sorted(value: Any) -> Any:
    """Sets have no order."""
    return sorted(value) if isinstance(value, set) else value


def _file(owner: bpy.types.bpy_struct, path: str) -> tuple:
    """A file by its absolute path, its size and when it was changed: a copy of the .blend elsewhere names it differently."""
    if not path:
        return ()
    full = os.path.normpath(bpy.path.abspath(path, library=getattr(owner.id_data, "library", None)))
    try:
        found = os.stat(full)
    except OSError:
        return (full,)
    return full, found.st_size, found.st_mtime_ns


def _bulk(block: bpy.types.ID) -> Iterator[bytes]:
    """Large values of a block: attributes of its points, edges, corners and faces, or a packed file."""
    if isinstance(block, bpy.types.Image):
        yield from (part.packed_file.data or b"" for part in block.packed_files)
    if not isinstance(block, _GEOMETRY):
        return
    for attribute in block.attributes:
        if attribute.name.startswith(_SKIPPED_ATTRIBUTES) or not len(attribute.data) or attribute.data_type == "STRING":
            continue
        yield f"{attribute.name} {attribute.domain} {attribute.data_type}".encode("utf-8", "surrogatepass")
        name = next(name for name in ("value", "vector", "color") if hasattr(attribute.data[0], name))
        size = np.size(getattr(attribute.data[0], name))
        values = np.empty(size * len(attribute.data), np.float32 if attribute.data_type.startswith(("FLOAT", "BYTE", "QUAT")) else np.int32)
        attribute.data.foreach_get(name, values)
        yield values.tobytes()
