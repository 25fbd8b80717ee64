# SPDX-License-Identifier: GPL-3.0-or-later
"""Camera models and every change of axes: the only place where axes are changed. NumPy only.

Files and Blender use OpenGL cameras (look along -Z, Y up) as camera-to-world; kernels use OpenCV cameras (x right, y down, z forward)
as world-to-camera. Pixel (0, 0) has its center at (0.5, 0.5). Everything is float64: kilometers from the origin, float32 has no
millimeters left.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

# Between an OpenGL and an OpenCV camera: y and z change sign. Its own inverse.
_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])

# What turns worlds of others into ours: Z up, x right, y away. The names are what --from-axes and --to-axes take.
WORLD_AXES = {
    "z-up": np.eye(3),
    "y-up": np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]),  # glTF, SPZ, OpenGL: x right, y up, z towards the viewer
    "y-down": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),  # COLMAP, OpenCV: x right, y down, z away
}

# OpenCV's k1 k2 p1 p2 k3 k4 k5 k6, of which trailing zeros may be missing; of a fisheye lens k1 k2 k3 k4.
Distortion = Sequence[float]

# Fisheye lenses may see behind themselves; a perspective image ends at this angle from the axis.
_FISHEYE_LIMIT = np.radians(86.0)


@dataclass(frozen=True, eq=False)
class Camera:
    """A perspective camera without distortion.

    ``camera_to_world``: [4, 4] float64, OpenGL axes, rigid. The rest is in pixels.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    camera_to_world: np.ndarray

    @property
    def viewmat(self) -> np.ndarray:
        """World-to-camera with OpenCV axes, [4, 4] float64."""
        return np.linalg.inv(np.asarray(self.camera_to_world, dtype=np.float64) @ _FLIP)

    @property
    def position(self) -> np.ndarray:
        """Where the camera stands in the world, [3]."""
        return self.camera_to_world[:3, 3]

    @property
    def direction(self) -> np.ndarray:
        """Where the camera looks, unit [3]."""
        return -self.camera_to_world[:3, 2]

    def resized(self, width: int, height: int) -> Camera:
        """The same view in another number of pixels."""
        sx, sy = width / self.width, height / self.height
        return replace(self, width=width, height=height, fx=self.fx * sx, fy=self.fy * sy, cx=self.cx * sx, cy=self.cy * sy)

    def cropped(self, left: int, top: int, width: int, height: int) -> Camera:
        """The part of the view that starts at pixel (left, top); it may reach outside the picture."""
        return replace(self, width=width, height=height, cx=self.cx - left, cy=self.cy - top)


def turned_about_up(degrees: float) -> np.ndarray:
    """The rotation about Z, counter-clockwise seen from above, [3, 3] float64."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def uprighted(up: Sequence[float]) -> np.ndarray:
    """The rotation by the shortest way that takes a direction, unit [3], to +Z: [3, 3] float64."""
    cross, cosine = np.cross(up, (0.0, 0.0, 1.0)), float(up[2])
    if cosine < -1 + 1e-12:
        return np.diag([1.0, -1.0, -1.0])
    skew = np.array([[0, -cross[2], cross[1]], [cross[2], 0, -cross[0]], [-cross[1], cross[0], 0]])
    return np.eye(3) + skew + skew @ skew / (1 + cosine)


def blender_intrinsics(
    *,
    lens: float,
    sensor_width: float,
    sensor_height: float,
    sensor_fit: str,
    shift_x: float,
    shift_y: float,
    resolution_x: int,
    resolution_y: int,
    resolution_percentage: int,
    pixel_aspect_x: float,
    pixel_aspect_y: float,
) -> tuple[int, int, float, float, float, float]:
    """What a perspective camera of Blender sees, in pixels of the rendered picture.

    Args:
        lens, sensor_width, sensor_height: millimeters; ``sensor_fit`` is AUTO, HORIZONTAL or VERTICAL.
        shift_x, shift_y: lens shift, in shares of the fitted side.
        the rest: as in the scene's render settings.

    Returns:
        width, height, fx, fy, cx, cy.
    """
    # Blender cuts, it does not round.
    width = max(1, int(resolution_x) * int(resolution_percentage) // 100)
    height = max(1, int(resolution_y) * int(resolution_percentage) // 100)
    aspect = pixel_aspect_y / pixel_aspect_x
    wide = sensor_fit == "HORIZONTAL" or (sensor_fit == "AUTO" and pixel_aspect_x * width >= pixel_aspect_y * height)
    # AUTO fits the sensor's width to the longer side, even where that is the height.
    sensor = sensor_height if sensor_fit == "VERTICAL" else sensor_width
    fitted = width if wide else aspect * height
    fx = lens / sensor * fitted
    cx = width / 2 - shift_x * fitted
    cy = height / 2 + shift_y * fitted / aspect
    return width, height, fx, fx / aspect, cx, cy


def rigid_pose(matrix_world: np.ndarray) -> np.ndarray:
    """The rigid camera pose in an object's world matrix.

    Blender renders with the columns normalized, so scale makes no difference. Shear (a turned camera below an unevenly scaled parent)
    and mirroring do reach Blender's picture, and no rigid camera has them: here the view direction stays, then the upright, and the
    right side follows from both. To get pictures that fit, render from an unparented camera whose matrix_world is this pose.

    Args:
        matrix_world: [4, 4], OpenGL axes.

    Returns:
        [4, 4] float64 camera-to-world, orthonormal and right-handed.

    Raises:
        ValueError: a number is not finite, or the matrix has no direction (scale 0).
    """
    matrix = np.array(matrix_world, dtype=np.float64)
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    if not np.isfinite(matrix).all() or lengths[1] <= 0 or lengths[2] <= 0:
        raise ValueError("the camera's matrix is not finite or has scale 0")
    back = matrix[:3, 2] / lengths[2]
    up = matrix[:3, 1] / lengths[1]
    up = up - back * (up @ back)
    if np.linalg.norm(up) < 1e-9:
        raise ValueError("the camera's matrix is flat")
    up /= np.linalg.norm(up)
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = np.cross(up, back), up, back, matrix[:3, 3]
    return pose


def project(camera: Camera, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where world points lie in the picture.

    Args:
        camera: the view.
        points: [N, 3] world.

    Returns:
        pixels [N, 2] float64 (meaningless where depth is not positive), depth [N]: planar z, in the world's unit.
    """
    points = np.asarray(points, dtype=np.float64).reshape(-1, 3)
    # Subtracting first keeps the precision that a product with a far translation loses.
    local = (points - camera.position) @ (camera.camera_to_world[:3, :3] @ _FLIP[:3, :3])
    depth = local[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = local[:, :2] / depth[:, None] * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    return pixels, depth


def unproject(camera: Camera, depth: np.ndarray) -> np.ndarray:
    """The world points of a depth picture.

    Args:
        camera: the view; its size is the picture's.
        depth: [H, W] planar z at the pixels' centers.

    Returns:
        [H, W, 3] float64 world; where depth is 0 the camera's own place.
    """
    depth = np.asarray(depth, dtype=np.float64)
    x = (np.arange(depth.shape[1]) + 0.5 - camera.cx) / camera.fx
    y = (np.arange(depth.shape[0]) + 0.5 - camera.cy) / camera.fy
    local = np.stack([depth * x[None, :], depth * y[:, None], depth], axis=-1)
    return local @ (camera.camera_to_world[:3, :3] @ _FLIP[:3, :3]).T + camera.position


def distort(points: np.ndarray, distortion: Distortion, fisheye: bool = False) -> np.ndarray:
    """Applies OpenCV's lens distortion: the rational model of calibrateCamera, or the equidistant one of its fisheye module.

    Args:
        points: [..., 2] ideal directions as x/z, y/z.
        distortion: the coefficients.
        fisheye: which of the two models they belong to.

    Returns:
        [..., 2] where the lens puts them.
    """
    x, y = points[..., 0], points[..., 1]
    if fisheye:
        r = np.hypot(x, y)
        theta = np.arctan(r)
        scale = np.where(r > 1e-9, _fisheye_radius(theta, distortion)[0] / np.maximum(r, 1e-9), 1.0)
        return points * scale[..., None]
    _, _, p1, p2, *_ = _coefficients(distortion)
    r2 = x * x + y * y
    radial, _ = _radial(r2, distortion)
    return np.stack([x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y], axis=-1)


def undistort(points: np.ndarray, distortion: Distortion, fisheye: bool = False) -> np.ndarray:
    """Undoes :func:`distort` by Newton's method.

    Args:
        points: [..., 2] directions as the lens puts them.
        distortion, fisheye: as in :func:`distort`.

    Returns:
        [..., 2] ideal directions, NaN where the lens model has none (it folds over for strong distortion far from the middle). What a
        fisheye lens sees beyond 86° from its axis comes back at 86°.
    """
    points = np.asarray(points, dtype=np.float64)
    if fisheye:
        return _undistort_fisheye(points, distortion)
    _, _, p1, p2, *_ = _coefficients(distortion)
    ideal = points.copy()
    with np.errstate(all="ignore"):
        for _ in range(30):
            x, y = ideal[..., 0], ideal[..., 1]
            radial, slope = _radial(x * x + y * y, distortion)
            a = radial + slope * x * x + 2 * p1 * y + 6 * p2 * x
            b = slope * x * y + 2 * p1 * x + 2 * p2 * y
            d = radial + slope * y * y + 6 * p1 * y + 2 * p2 * x
            error = distort(ideal, distortion) - points
            determinant = a * d - b * b
            step = np.stack([d * error[..., 0] - b * error[..., 1], a * error[..., 1] - b * error[..., 0]], axis=-1)
            step = step / determinant[..., None]
            ideal = ideal - step
            if not (np.abs(step) > 1e-13).any():
                break
        # Past the fold the model still has solutions, but no lens shows them: there the picture would turn inside out.
        missed = np.abs(distort(ideal, distortion) - points).max(axis=-1)
        lost = ~((missed < 1e-9) & (determinant > 0) & (a > 0))
    ideal[lost] = np.nan
    return ideal


def _coefficients(distortion: Distortion) -> tuple[float, ...]:
    """k1 k2 p1 p2 k3 k4 k5 k6."""
    return (*distortion, *(0.0,) * (8 - len(distortion)))


def _radial(r2: np.ndarray, distortion: Distortion) -> tuple[np.ndarray, np.ndarray]:
    """The rational model's radial factor, and twice its derivative by r²."""
    k1, k2, _, _, k3, k4, k5, k6 = _coefficients(distortion)
    above, below = 1 + r2 * (k1 + r2 * (k2 + r2 * k3)), 1 + r2 * (k4 + r2 * (k5 + r2 * k6))
    above_slope, below_slope = k1 + r2 * (2 * k2 + r2 * 3 * k3), k4 + r2 * (2 * k5 + r2 * 3 * k6)
    radial = above / below
    return radial, 2 * (above_slope - radial * below_slope) / below


def _fisheye_radius(theta: np.ndarray, distortion: Distortion) -> tuple[np.ndarray, np.ndarray]:
    """How far from the middle a fisheye lens shows an angle from its axis, in focal lengths, and the derivative."""
    k1, k2, k3, k4 = (*distortion, *(0.0,) * 4)[:4]
    t2 = theta * theta
    radius = theta * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    return radius, 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))


def _undistort_fisheye(points: np.ndarray, distortion: Distortion) -> np.ndarray:
    radius = np.hypot(points[..., 0], points[..., 1])
    monotone = (_fisheye_radius(np.linspace(0, _FISHEYE_LIMIT, 200), distortion)[1] > 0).all()
    seen = np.minimum(radius, _fisheye_radius(_FISHEYE_LIMIT, distortion)[0]) if monotone else radius
    theta = np.minimum(seen, _FISHEYE_LIMIT)
    with np.errstate(all="ignore"):
        for _ in range(30):
            shown, slope = _fisheye_radius(theta, distortion)
            step = (shown - seen) / slope
            theta = theta - step
            if not (np.abs(step) > 1e-13).any():
                break
        shown, slope = _fisheye_radius(theta, distortion)
        lost = ~((np.abs(shown - seen) < 1e-9) & (slope > 0) & (theta >= 0) & (theta < _FISHEYE_LIMIT + 1e-9))
        ideal = points * np.where(radius > 1e-9, np.tan(theta) / np.maximum(radius, 1e-9), 1.0)[..., None]
    ideal[lost] = np.nan
    return ideal


def undistorted_camera(camera: Camera, distortion: Distortion, fisheye: bool = False) -> Camera:
    """The camera of the largest upright picture that a distorted one fills once it is undistorted.

    The focal lengths stay, so the middle keeps its sharpness; the picture is cropped where the lens bent its edges inwards, and grows
    (to twice its size at most) where it bent them outwards.

    Args:
        camera: the intrinsics of the distorted picture, and its pose.
        distortion, fisheye: as in :func:`distort`.

    Returns:
        The camera of the undistorted picture.

    Raises:
        ValueError: the distortion leaves no picture.
    """
    w, h = camera.width, camera.height
    # Samples lie on the edge pixels' centers, so that looking the picture up needs nothing from outside.
    across = np.linspace(0.5, w - 0.5, max(w, 2))
    down = np.linspace(0.5, h - 0.5, max(h, 2))

    def ideal(x: np.ndarray | float, y: np.ndarray | float) -> np.ndarray:
        x, y = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
        rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy], axis=-1)
        return undistort(rays, distortion, fisheye) * (camera.fx, camera.fy) + (camera.cx, camera.cy)

    left, right = ideal(0.5, down)[:, 0].max(), ideal(w - 0.5, down)[:, 0].min()
    top, bottom = ideal(across, 0.5)[:, 1].max(), ideal(across, h - 0.5)[:, 1].min()
    if not np.isfinite([left, right, top, bottom]).all():
        raise ValueError("the lens distortion folds the picture over")
    x0, y0 = int(np.ceil(max(left, -w / 2) - 0.5)), int(np.ceil(max(top, -h / 2) - 0.5))
    x1, y1 = int(np.floor(min(right, 1.5 * w) + 0.5)), int(np.floor(min(bottom, 1.5 * h) + 0.5))
    if x1 - x0 < 1 or y1 - y0 < 1:
        raise ValueError("the lens distortion leaves no picture")
    cropped = camera.cropped(x0, y0, x1 - x0, y1 - y0)
    if fisheye:
        # The corners lie farther from the axis than any edge that was looked at: the lens model must not fold before it reaches them.
        corners = np.array([(x, y) for x in (0, cropped.width) for y in (0, cropped.height)])
        rays = (corners - (cropped.cx, cropped.cy)) / (cropped.fx, cropped.fy)
        if not np.allclose(undistort(distort(rays, distortion, True), distortion, True), rays):
            raise ValueError("the lens distortion folds the picture over")
    return cropped


def colmap_to_pose(qvec: Sequence[float], tvec: Sequence[float]) -> np.ndarray:
    """A pose of COLMAP as camera-to-world with OpenGL axes; the world's own axes and scale stay.

    Args:
        qvec: quaternion w, x, y, z of the world-to-camera rotation, any length above 0.
        tvec: its translation, OpenCV axes.

    Returns:
        [4, 4] float64.

    Raises:
        ValueError: the quaternion has no length.
    """
    quaternion = np.asarray(qvec, dtype=np.float64)
    length = np.linalg.norm(quaternion)
    if not np.isfinite(length) or length < 1e-12:
        raise ValueError("the quaternion has no length")
    w, x, y, z = quaternion / length
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )
    pose = np.eye(4)
    pose[:3, :3] = rotation.T
    pose[:3, 3] = -rotation.T @ np.asarray(tvec, dtype=np.float64)
    return pose @ _FLIP


def pose_to_colmap(camera_to_world: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The inverse of :func:`colmap_to_pose`: qvec [4] (w, x, y, z; w not negative) and tvec [3]."""
    pose = np.asarray(camera_to_world, dtype=np.float64) @ _FLIP
    rotation = pose[:3, :3].T
    # The eigenvector of the largest eigenvalue is the quaternion, without the cases that a square root of the trace needs.
    r = rotation
    symmetric = np.array(
        [
            [r[0, 0] + r[1, 1] + r[2, 2], r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]],
            [r[2, 1] - r[1, 2], r[0, 0] - r[1, 1] - r[2, 2], r[0, 1] + r[1, 0], r[0, 2] + r[2, 0]],
            [r[0, 2] - r[2, 0], r[0, 1] + r[1, 0], r[1, 1] - r[0, 0] - r[2, 2], r[1, 2] + r[2, 1]],
            [r[1, 0] - r[0, 1], r[0, 2] + r[2, 0], r[1, 2] + r[2, 1], r[2, 2] - r[0, 0] - r[1, 1]],
        ]
    )
    qvec = np.linalg.eigh(symmetric)[1][:, -1]
    if qvec[0] < 0:
        qvec = -qvec
    return qvec, -rotation @ pose[:3, 3]


def ray_matrix(camera: Camera) -> np.ndarray:
    """What turns places in the picture into directions: ``matrix @ (x, y, 1)`` reaches planar depth 1.

    Returns:
        [3, 3] float64, from pixels to the world's axes.
    """
    inverse = np.array([[1 / camera.fx, 0, -camera.cx / camera.fx], [0, 1 / camera.fy, -camera.cy / camera.fy], [0, 0, 1]])
    return np.asarray(camera.camera_to_world, dtype=np.float64)[:3, :3] @ _FLIP[:3, :3] @ inverse


def llff_to_pose(matrix: np.ndarray) -> np.ndarray:
    """A pose of LLFF, whose axes are down, right and back, as camera-to-world with OpenGL axes.

    Args:
        matrix: [3, 4].

    Returns:
        [4, 4] float64.
    """
    pose = np.eye(4)
    pose[:3, 0], pose[:3, 1], pose[:3, 2:] = matrix[:, 1], -matrix[:, 0], matrix[:, 2:]
    return pose


def average_pose(poses: np.ndarray) -> np.ndarray:
    """The pose in the middle of others: the mean place, looking the mean way, as upright as they are on the whole.

    Args:
        poses: [N, 4, 4] camera-to-world.

    Returns:
        [4, 4] float64.

    Raises:
        ValueError: they look every way, so that there is none.
    """
    back, up = poses[:, :3, 2].mean(axis=0), poses[:, :3, 1].mean(axis=0)
    if np.linalg.norm(back) < 0.1 or np.linalg.norm(np.cross(up, back)) < 0.1 * np.linalg.norm(back):
        raise ValueError("the cameras look every way")
    pose = np.eye(4)
    pose[:3, 2] = back / np.linalg.norm(back)
    right = np.cross(up, pose[:3, 2])
    pose[:3, 0] = right / np.linalg.norm(right)
    pose[:3, 1] = np.cross(pose[:3, 2], pose[:3, 0])
    pose[:3, 3] = poses[:, :3, 3].mean(axis=0)
    return pose
