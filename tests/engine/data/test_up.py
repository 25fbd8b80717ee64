# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way is up, by cameras that were held level."""

import numpy as np

from engine.cameras import Camera
from engine.data.up import up_of_cameras, up_of_capture


def level(position, up) -> Camera:
    """A camera that looks at the origin, its pictures' rows square to ``up``."""
    back = np.asarray(position, float) / np.linalg.norm(position)
    right = np.cross(up, back) / np.linalg.norm(np.cross(up, back))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = np.stack([right, np.cross(back, right), back], axis=1), position
    return Camera(80, 80, 90.0, 90.0, 40.0, 40.0, pose)


def test_up_is_what_level_cameras_say():
    up = np.array([0.3, -0.8, 0.5]) / np.linalg.norm([0.3, -0.8, 0.5])
    cameras = [level(3 * place, up) for place in np.random.default_rng(0).normal(size=(12, 3))]
    np.testing.assert_allclose(up_of_cameras(cameras), up, atol=1e-6)
    same = level((3, 0, 2), (0, 0, 1))
    np.testing.assert_allclose(up_of_cameras([same, same]), same.camera_to_world[:3, 1], atol=1e-9)
    np.testing.assert_allclose(up_of_capture("colmap", cameras), up, atol=1e-6)
    assert up_of_capture("blender", cameras).tolist() == [0, 0, 1]
