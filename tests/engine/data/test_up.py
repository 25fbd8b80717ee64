# SPDX-License-Identifier: GPL-3.0-or-later
"""Which way is up, by cameras that were held level."""

import numpy as np
from scipy.spatial.transform import Rotation

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
    for source in ("colmap", "llff", "nerfstudio"):
        np.testing.assert_allclose(up_of_capture(source, cameras), up, atol=1e-6)
    for source in ("blender", "nerf_synthetic"):
        assert up_of_capture(source, cameras).tolist() == [0, 0, 1]


def test_cameras_that_look_down_or_are_held_a_little_aslant_tell_up():
    rng = np.random.default_rng(0)
    turn = Rotation.from_rotvec((0.5, -0.3, 0.0)).as_matrix()

    def tilted(poses):
        return [Camera(80, 80, 90.0, 90.0, 40.0, 40.0, _posed(turn @ pose)) for pose in poses]

    # A drone that looks straight down, headed every way.
    down = Rotation.from_rotvec(rng.uniform(0, 2 * np.pi, (20, 1)) * [0, 0, 1]).as_matrix()
    np.testing.assert_allclose(up_of_capture("nerfstudio", tilted(down)), turn[:, 2], atol=1e-6)
    around = [level((np.cos(a), np.sin(a), 0.3), (0, 0, 1)).camera_to_world[:3, :3] for a in np.linspace(0, 6, 20)]
    rolls = Rotation.from_rotvec(np.radians(5) * rng.normal(size=(20, 1)) * [0, 0, 1]).as_matrix()
    assert up_of_capture("colmap", tilted(around @ rolls)) @ turn[:, 2] > np.cos(np.radians(4))


def test_where_cameras_do_not_agree_up_is_z():
    poses = Rotation.random(40, random_state=0).as_matrix()
    cameras = [Camera(80, 80, 90.0, 90.0, 40.0, 40.0, _posed(pose)) for pose in poses]
    assert up_of_cameras(cameras) is None and up_of_capture("nerfstudio", cameras).tolist() == [0, 0, 1]


def _posed(turn):
    pose = np.eye(4)
    pose[:3, :3] = turn
    return pose
