# SPDX-License-Identifier: GPL-3.0-or-later
"""What the copy of an open file lacks is said."""

import bpy
import numpy as np
import pytest
from reconstruct.addon.blender.scene_copy import missing_in_copy


@pytest.fixture(autouse=True)
def cube(tmp_path):
    """The object of a saved file."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    return cube


def test_what_the_copy_lacks_is_said(cube):
    assert missing_in_copy() == ""
    image = bpy.data.images.new("Painted", 8, 8)
    image.use_fake_user = True
    image.pixels = np.ones(8 * 8 * 4, np.float32)
    image.update()
    assert "Painted" in missing_in_copy()
    bpy.data.images.remove(image)
    modifier = cube.modifiers.new("Cloth", "CLOTH")
    assert missing_in_copy() == ""
    modifier.point_cache.use_disk_cache = True
    assert "Cube" in missing_in_copy()
    modifier.point_cache.use_disk_cache = False
    assert missing_in_copy() == ""


def test_an_image_in_use_that_is_saved_is_not_said_to_be_lost(tmp_path):
    image = bpy.data.images.new("Wood", 8, 8)
    image.filepath_raw, image.file_format = str(tmp_path / "wood.png"), "PNG"
    image.save()
    image.use_fake_user = True
    assert missing_in_copy() == ""
    image.pixels = np.ones(8 * 8 * 4, np.float32)
    image.update()
    assert "Wood" in missing_in_copy()
