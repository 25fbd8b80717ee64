# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes of others: axes, colors, and what is open, broken or no mesh at all."""

import numpy as np
import pytest

from engine.contract.errors import UserError
from engine.voxels.meshes import read_shape
from engine.voxels.shapes import voxelized

MTL = "newmtl red\nKd 1 0 0\nnewmtl blue\nKd 0 0 1\n"
OBJ = """mtllib a.mtl
v 0 0 0
v 1 0 0
v 1 2 0
v 0 2 0
v 0 0 3
usemtl red
f 1 2 3 4
usemtl blue
f 1 2 5
"""


def test_obj_with_materials(tmp_path):
    (tmp_path / "a.mtl").write_text(MTL)
    (tmp_path / "a.obj").write_text(OBJ)
    shape, notes = read_shape(tmp_path / "a.obj")
    assert not notes and len(shape.triangles) == 3
    # Its y is up, its z towards the viewer.
    np.testing.assert_allclose(shape.bounds, [(0, -3, 0), (1, 0, 2)])
    found = {tuple(color) for color in shape.colors.reshape(-1, 3).round(3).tolist()}
    assert found == {(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)}


def test_glb_with_a_texture_and_a_moved_node(tmp_path):
    import trimesh
    from PIL import Image

    picture = Image.fromarray(np.array([[[255, 0, 0], [0, 255, 0]]], np.uint8))
    box = trimesh.creation.box((1, 1, 1))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=picture)
    box.visual = trimesh.visual.TextureVisuals(uv=np.where(box.vertices[:, :2] > 0, 0.9, 0.1), material=material)
    scene = trimesh.Scene()
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix((0, 5, 0)))
    (tmp_path / "a.glb").write_bytes(scene.export(file_type="glb"))
    shape, _ = read_shape(tmp_path / "a.glb")
    np.testing.assert_allclose(shape.bounds, [(-0.5, -0.5, 4.5), (0.5, 0.5, 5.5)], atol=1e-6)
    right = shape.triangles[..., 0] > 0
    assert shape.colors[right][:, 1].mean() > 0.9 and shape.colors[~right][:, 0].mean() > 0.9


def test_a_missing_material_or_picture_is_grey(tmp_path):
    (tmp_path / "a.obj").write_text(OBJ)
    shape, _ = read_shape(tmp_path / "a.obj")
    assert len(shape.triangles) == 3 and np.ptp(shape.colors) < 0.5
    (tmp_path / "a.mtl").write_text("newmtl red\nmap_Kd none.png\n")
    assert len(read_shape(tmp_path / "a.obj")[0].triangles) == 3


def test_corners_at_no_place_are_left_out_and_told(tmp_path):
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nv nan 0 0\nv 1e300 0 0\nf 1 2 3\nf 1 2 4\nf 1 2 5\n")
    shape, notes = read_shape(tmp_path / "a.obj")
    assert len(shape.triangles) == 1 and "2 of 3" in notes[0]


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.obj", b""),
        ("a.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n"),
        ("a.obj", b"v 0 0 0\nf 1 2 3\n"),
        ("a.obj", b"v 1 1 1\nf 1 1 1\n"),
        ("a.obj", b"v nan nan nan\nv 0 0 0\nv 0 1 0\nf 1 2 3\n"),
        ("a.obj", bytes(range(256)) * 4),
        ("a.glb", b""),
        ("a.glb", b"glTF\x02\x00\x00\x00\xff\xff\xff\xff"),
        ("a.glb", b"no mesh at all"),
        ("a.gltf", b"{"),
        ("a.gltf", b'{"asset": {"version": "2.0"}, "meshes": [{"primitives": [{"attributes": {"POSITION": 99}}]}]}'),
    ],
)
def test_what_is_no_mesh_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        read_shape(tmp_path / name)


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="none.obj"):
        read_shape(tmp_path / "none.obj")


@pytest.mark.parametrize("name", ["kenney_furniture/chair.obj", "kenney_furniture/loungeSofa.obj", "meshes/cow.obj", "meshes/teapot.obj"])
def test_real_meshes(shared_data, name):
    file = shared_data(name)
    shape, notes = read_shape(file)
    assert not notes
    grid = voxelized(shape)
    assert 0.01 < grid.cells.mean() < 0.6
    # They touch the cube's sides along their longest axis.
    assert any(grid.cells.any(axis=tuple({0, 1, 2} - {axis}))[[0, -1]].all() for axis in range(3))
    assert np.ptp(shape.colors.reshape(-1, 3), axis=0).max() > 0 or "kenney" not in name or "chair" in name
