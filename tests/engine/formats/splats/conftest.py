# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from engine.formats.splats import Splats
from engine.formats.splats.gaussians import unit_quats
from engine.rotations import quaternions


def draw_splats(seed: int, count: int, degree: int, **facts) -> Splats:
    """Splats within the ranges that every format holds."""
    rng = np.random.default_rng(seed)
    f = np.float32
    sh = rng.uniform(-0.95, 0.95, (count, (degree + 1) ** 2, 3)).astype(f)
    return Splats(
        rng.normal(0, 5, (count, 3)).astype(f),
        rng.uniform(-9, 3, (count, 3)).astype(f),
        rng.normal(size=(count, 4)).astype(f),
        rng.uniform(-5, 5, count).astype(f),
        sh,
        **facts,
    )


@pytest.fixture(scope="session")
def random_splats():
    return draw_splats


@pytest.fixture(scope="session")
def quat_errors():
    """The largest difference of a part between the rotations of two sets of quaternions, each [N, 4]: q and -q are the same."""

    def compare(a, b):
        a, b = unit_quats(a), unit_quats(b)
        return np.minimum(np.abs(a - b).max(axis=1), np.abs(a + b).max(axis=1))

    return compare


@pytest.fixture(scope="session")
def covariances():
    """[N, 3, 3] of splats: what is seen of sizes and rotations, whichever way round a file names the axes."""

    def of(splats):
        w, x, y, z = unit_quats(splats.quats).T
        rows = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        axes = np.stack([np.stack(row, -1) for row in rows], -2) * np.exp(splats.log_scales.astype(np.float64))[:, None]
        return axes @ axes.transpose(0, 2, 1)

    return of


@pytest.fixture(scope="session")
def any_rotation():
    """A random rotation matrix and its quaternion wxyz."""

    def draw(seed):
        left, _, right = np.linalg.svd(np.random.default_rng(seed).normal(size=(3, 3)))
        matrix = left @ right
        matrix *= np.linalg.det(matrix)
        return matrix, quaternions(matrix[None])[0]

    return draw
