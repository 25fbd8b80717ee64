# SPDX-License-Identifier: GPL-3.0-or-later
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import cameras
from engine.cameras import Camera

seeds = st.integers(0, 2**32 - 1)
PLAIN = {
    "lens": 50.0,
    "sensor_width": 36.0,
    "sensor_height": 24.0,
    "sensor_fit": "AUTO",
    "shift_x": 0.0,
    "shift_y": 0.0,
    "resolution_x": 1920,
    "resolution_y": 1080,
    "resolution_percentage": 100,
    "pixel_aspect_x": 1.0,
    "pixel_aspect_y": 1.0,
}


def random_pose(rng: np.random.Generator, far: float = 3.0) -> np.ndarray:
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation, rng.normal(size=3) * far
    return pose


def random_camera(rng: np.random.Generator, far: float = 3.0) -> Camera:
    width, height = rng.integers(8, 200, 2)
    fx, fy = rng.uniform(0.4, 3, 2) * width
    return Camera(int(width), int(height), fx, fy, *(rng.uniform(-0.2, 1.2, 2) * (width, height)), random_pose(rng, far))


# The expected values were read off Blender 4.5's camera matrix, to which blender_intrinsics agrees within 0.001 px.
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, (1920, 1080, 2666.6667, 2666.6667, 960, 540)),
        ({"resolution_x": 1080, "resolution_y": 1920}, (1080, 1920, 2666.6667, 2666.6667, 540, 960)),
        ({"sensor_fit": "HORIZONTAL", "resolution_x": 1080, "resolution_y": 1920}, (1080, 1920, 1500, 1500, 540, 960)),
        ({"sensor_fit": "VERTICAL"}, (1920, 1080, 2250, 2250, 960, 540)),
        ({"shift_x": 0.1, "shift_y": 0.25}, (1920, 1080, 2666.6667, 2666.6667, 768, 1020)),
        ({"pixel_aspect_y": 2.0}, (1920, 1080, 3000, 1500, 960, 540)),
        ({"pixel_aspect_x": 2.0, "shift_y": 0.1}, (1920, 1080, 2666.6667, 5333.3333, 960, 924)),
        ({"resolution_x": 101, "resolution_y": 77, "resolution_percentage": 33}, (33, 25, 45.8333, 45.8333, 16.5, 12.5)),
    ],
)
def test_blender_intrinsics(change, expected):
    assert cameras.blender_intrinsics(**{**PLAIN, **change}) == pytest.approx(expected, abs=1e-3)


def test_a_square_picture_is_fitted_horizontally():
    square = {**PLAIN, "resolution_x": 100, "resolution_y": 100, "shift_x": 0.5}
    assert cameras.blender_intrinsics(**square) == cameras.blender_intrinsics(**{**square, "sensor_fit": "HORIZONTAL"})


@given(seeds, st.sampled_from([1.0, 5000.0]))
@settings(max_examples=50, deadline=None)
def test_project_and_unproject_are_inverse(seed, far):
    rng = np.random.default_rng(seed)
    camera = random_camera(rng, far)
    depth = rng.uniform(0.1, 20, (camera.height, camera.width))
    pixels, back = cameras.project(camera, cameras.unproject(camera, depth).reshape(-1, 3))
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    assert np.abs(pixels - np.stack([x.ravel(), y.ravel()], axis=1)).max() < 1e-5
    assert np.abs(back - depth.ravel()).max() < 1e-8


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_projection_equals_the_kernels_convention(seed):
    rng = np.random.default_rng(seed)
    camera = random_camera(rng)
    points = rng.normal(size=(20, 3)) * 5
    x, y, z, _ = camera.viewmat @ np.c_[points, np.ones(20)].T
    pixels, depth = cameras.project(camera, points)
    assert np.allclose(depth, z)
    assert np.allclose(pixels, np.c_[camera.fx * x / z + camera.cx, camera.fy * y / z + camera.cy])


def test_a_camera_looks_along_minus_z_and_right_is_right():
    camera = Camera(100, 80, 50.0, 50.0, 50.0, 40.0, np.eye(4))
    pixels, depth = cameras.project(camera, [[0, 0, -2], [1, 0, -2], [0, 1, -2], [0, 0, 3]])
    assert pixels[:3].tolist() == [[50, 40], [75, 40], [50, 15]]
    assert depth.tolist() == [2, 2, 2, -3]
    assert camera.direction.tolist() == [0, 0, -1]


@given(seeds)
@settings(max_examples=30, deadline=None)
def test_resized_and_cropped_see_the_same(seed):
    rng = np.random.default_rng(seed)
    camera = random_camera(rng)
    points = camera.position - camera.camera_to_world[:3, 2] * 4 + rng.normal(size=(9, 3)) * 0.3
    pixels, _ = cameras.project(camera, points)
    assert np.allclose(cameras.project(camera.resized(camera.width * 2, camera.height * 3), points)[0], pixels * (2, 3))
    assert np.allclose(cameras.project(camera.cropped(5, -7, 20, 30), points)[0], pixels - (5, -7))


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_rigid_pose_ignores_scale(seed):
    rng = np.random.default_rng(seed)
    pose = random_pose(rng, 5000)
    scaled = pose @ np.diag([*rng.uniform(1e-3, 1e3, 3), 1])
    assert np.allclose(cameras.rigid_pose(scaled), pose, atol=1e-9)


@given(seeds)
@settings(max_examples=50, deadline=None)
def test_rigid_pose_of_shear_and_mirror_keeps_the_view_direction(seed):
    rng = np.random.default_rng(seed)
    matrix = np.eye(4)
    matrix[:3] = rng.normal(size=(3, 4))
    pose = cameras.rigid_pose(matrix)
    assert np.allclose(pose[:3, :3].T @ pose[:3, :3], np.eye(3)) and np.linalg.det(pose[:3, :3]) > 0
    assert np.allclose(pose[:3, 2], matrix[:3, 2] / np.linalg.norm(matrix[:3, 2]))
    assert abs(np.cross(pose[:3, 2], matrix[:3, 1]) @ pose[:3, 1]) < 1e-9


@pytest.mark.parametrize("matrix", [np.zeros((4, 4)), np.diag([1, 1, 0, 1]), np.full((4, 4), np.nan), np.ones((4, 4))])
def test_rigid_pose_refuses_matrices_without_direction(matrix):
    with pytest.raises(ValueError):
        cameras.rigid_pose(matrix)


lenses = st.tuples(st.floats(-0.15, 0.15), st.floats(-0.05, 0.05), st.floats(-0.01, 0.01), st.floats(-0.01, 0.01))


terms = st.floats(-0.02, 0.02)
rational = st.builds(lambda lens, *more: (*lens, *more), lenses, terms, terms, terms, terms)
fisheyes = st.tuples(st.floats(-0.05, 0.1), terms, st.floats(-0.005, 0.005), st.floats(-0.001, 0.001))


@given(lenses | rational, seeds)
@settings(max_examples=50, deadline=None)
def test_undistort_is_the_inverse_of_distort(lens, seed):
    points = np.random.default_rng(seed).uniform(-0.8, 0.8, (5, 7, 2))
    assert np.allclose(cameras.undistort(cameras.distort(points, lens), lens), points, atol=1e-8)


@given(fisheyes, seeds)
@settings(max_examples=50, deadline=None)
def test_undistort_is_the_inverse_of_a_fisheye_lens(lens, seed):
    rng = np.random.default_rng(seed)
    theta, phi = rng.uniform(0, np.radians(80), 50), rng.uniform(0, 2 * np.pi, 50)
    points = np.tan(theta)[:, None] * np.stack([np.cos(phi), np.sin(phi)], axis=1)
    points[0] = 0
    shown = cameras.distort(points, lens, fisheye=True)
    # OpenCV's definition: the radius is a polynomial of the angle, the direction stays.
    radius = theta * (1 + sum(k * theta ** (2 * power + 2) for power, k in enumerate(lens)))
    assert np.allclose(np.linalg.norm(shown[1:], axis=1), radius[1:])
    assert np.allclose(cameras.undistort(shown, lens, fisheye=True), points, rtol=1e-7, atol=1e-9)


def test_the_rational_model_is_opencvs():
    k1, k2, p1, p2, k3, k4, k5, k6 = lens = (0.1, -0.02, 0.003, -0.004, 0.05, 0.06, -0.07, 0.008)
    x, y = 0.3, -0.5
    r2 = x * x + y * y
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    expected = (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y)
    assert np.allclose(cameras.distort(np.array([x, y]), lens), expected)
    assert np.allclose(cameras.distort(np.array([x, y]), lens[:4]), cameras.distort(np.array([x, y]), (*lens[:4], 0, 0, 0, 0)))


def test_a_fisheye_image_becomes_a_perspective_one_of_at_most_twice_its_size():
    """180 degrees across: what lies beyond 86 from the axis is cut off, as no perspective image holds it."""
    camera = Camera(320, 320, 320 / np.pi, 320 / np.pi, 160.0, 160.0, np.eye(4))
    ideal = cameras.undistorted_camera(camera, (0, 0, 0, 0), fisheye=True)
    assert (ideal.width, ideal.height, ideal.cx, ideal.fx) == (640, 640, 320, camera.fx)
    corner = cameras.distort(np.array([320.0, 320.0]) / ideal.fx, (0, 0, 0, 0), fisheye=True) * camera.fx + 160
    assert (corner < 320).all()
    with pytest.raises(ValueError, match="folds"):
        cameras.undistorted_camera(camera, (-0.3, 0, 0, 0), fisheye=True)


def test_undistort_tells_where_the_lens_has_nothing_to_show():
    lens = (-0.5, 0.0, 0.0, 0.0)
    # r (1 - r²/2) never exceeds 0.5443.
    assert np.isfinite(cameras.undistort(np.array([0.54, 0.0]), lens)).all()
    assert np.isnan(cameras.undistort(np.array([0.56, 0.0]), lens)).all()


@given(lenses, seeds)
@settings(max_examples=40, deadline=None)
def test_the_undistorted_picture_lies_inside_the_distorted_one_and_fills_it(lens, seed):
    rng = np.random.default_rng(seed)
    camera = Camera(320, 240, 300.0, 310.0, *(rng.uniform(0.45, 0.55, 2) * (320, 240)), np.eye(4))
    ideal = cameras.undistorted_camera(camera, lens)

    def looked_up(x, y):
        rays = np.stack([(x - ideal.cx) / ideal.fx, (y - ideal.cy) / ideal.fy], axis=-1)
        return cameras.distort(rays, lens) * (camera.fx, camera.fy) + (camera.cx, camera.cy)

    x, y = np.meshgrid(np.arange(ideal.width) + 0.5, np.arange(ideal.height) + 0.5)
    pixels = looked_up(x, y)
    assert (pixels > -0.1).all() and (pixels < (320.1, 240.1)).all()
    wider = [looked_up(np.full(ideal.height, at), np.arange(ideal.height) + 0.5)[:, 0] for at in (-1.5, ideal.width + 1.5)]
    assert wider[0].min() < 0.5 and wider[1].max() > 319.5


def test_no_distortion_leaves_the_camera_as_it_is():
    camera = Camera(320, 240, 300.0, 310.0, 150.0, 125.0, np.eye(4))
    ideal = cameras.undistorted_camera(camera, (0, 0, 0, 0))
    assert (ideal.width, ideal.height, ideal.cx, ideal.cy) == (320, 240, 150, 125)


def test_impossible_distortion_is_refused():
    with pytest.raises(ValueError):
        cameras.undistorted_camera(Camera(320, 240, 100.0, 100.0, 160.0, 120.0, np.eye(4)), (-2.0, 0, 0, 0))


@given(seeds)
@settings(max_examples=80, deadline=None)
def test_colmap_poses_round_trip(seed):
    rng = np.random.default_rng(seed)
    pose = random_pose(rng, 5000)
    qvec, tvec = cameras.pose_to_colmap(pose)
    assert qvec[0] >= 0 and math.isclose(np.linalg.norm(qvec), 1)
    assert np.allclose(cameras.colmap_to_pose(-3 * qvec, tvec), pose, atol=1e-8)


def test_colmaps_own_camera_looks_along_its_z():
    pose = cameras.colmap_to_pose((1, 0, 0, 0), (0, 0, 5))
    assert pose[:3, 3].tolist() == [0, 0, -5]
    assert (-pose[:3, 2]).tolist() == [0, 0, 1] and pose[:3, 1].tolist() == [0, -1, 0]
    half = cameras.colmap_to_pose((0, 1, 0, 0), (0, 0, 0))
    assert np.allclose(half, np.eye(4))


def test_a_quaternion_without_length_is_refused():
    with pytest.raises(ValueError):
        cameras.colmap_to_pose((0, 0, 0, 0), (0, 0, 0))


@given(st.floats(1, 179), st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_half_turns_are_found(angle, axis):
    """Half turns have w = 0, where formulas from the trace break."""
    vector = np.eye(3)[axis] if axis < 3 else np.ones(3) / math.sqrt(3)
    half = math.radians(180 - angle * 1e-9) / 2
    qvec = np.array([math.cos(half), *(vector * math.sin(half))])
    pose = cameras.colmap_to_pose(qvec, (1, 2, 3))
    assert np.allclose(cameras.colmap_to_pose(*cameras.pose_to_colmap(pose)), pose, atol=1e-9)


def test_the_average_of_poses_stands_and_looks_between_them():
    left, right = np.eye(4), np.eye(4)
    turn = np.radians(20)
    for pose, sign in ((left, 1), (right, -1)):
        pose[:3, :3] = [[np.cos(turn), 0, sign * np.sin(turn)], [0, 1, 0], [-sign * np.sin(turn), 0, np.cos(turn)]]
        pose[:3, 3] = (sign, 2, 3)
    middle = cameras.average_pose(np.stack([left, right]))
    assert np.allclose(middle[:3, :3], np.eye(3)) and np.allclose(middle[:3, 3], (0, 2, 3))
    behind = np.diag([-1.0, 1, -1, 1])
    with pytest.raises(ValueError):
        cameras.average_pose(np.stack([np.eye(4), behind]))


@given(seeds)
def test_uprighted_takes_any_direction_up_by_the_shortest_way(seed):
    rng = np.random.default_rng(seed)
    for up in (*np.vstack([np.eye(3), -np.eye(3)]), rng.normal(size=3), np.array([1e-9, 0, -1])):
        up = up / np.linalg.norm(up)
        turn = cameras.uprighted(up)
        np.testing.assert_allclose(turn @ up, (0, 0, 1), atol=1e-6)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-6)
        assert np.linalg.det(turn) > 0
        # The angle of the turn is that between the directions.
        assert (np.trace(turn) - 1) / 2 == pytest.approx(up[2], abs=1e-6)
