# SPDX-License-Identifier: GPL-3.0-or-later
"""From gaussians to a picture and back to gradients: projection, tiles and compositing in one place."""

from __future__ import annotations

import numpy as np

from ..cameras import Camera
from ..kernels.math import aligned
from ..kernels.project import cpu as project
from ..kernels.rasterize import cpu as rasterize
from ..kernels.tiles import cpu as tiles
from .gaussians import Gaussians
from .normals import depth_slopes, facing_axes, facing_axes_backward

# The near plane's distance, as a share of the scene's radius.
NEAR_SHARE = 0.01


class Renderer:
    """Renders one picture at a time, keeping what its gradient needs.

    Attributes after :meth:`render`:
        order: [M] int32, the gaussians in the picture, nearest first.
        pairs: [E, 3] int32, pairs of gaussian and tile, see kernels/tiles.
    Attributes after :meth:`backward`:
        v_rows: [M, V_COLUMNS], gradients on the screen by rank and shares in pixels, see kernels/rasterize. After
            :meth:`backward_normals` four columns more, by the quaternions.
    """

    def __init__(self, workers: int):
        self.workers = workers
        self.order = np.zeros(0, np.int32)
        self.image = np.empty((4, 0, 0), np.float32)
        self._visible = np.zeros(0, bool)
        self.v_rows = np.zeros((0, rasterize.V_COLUMNS), np.float32)
        self._splats = np.zeros((0, tiles.COLUMNS), np.float32)
        self._scratch = np.zeros((0, rasterize.GRADIENTS), np.float32)

    def render(
        self, gaussians: Gaussians, camera: Camera, background: np.ndarray, *, degree: int, antialias: bool, near: float
    ) -> np.ndarray:
        """Renders a picture.

        Args:
            gaussians: what is seen. camera: from where, in the world. background: [3] in the light of blending.
            degree: of the harmonics used. antialias: whether opacities are compensated. near: distance of the near plane.

        Returns:
            [4, H, W] float32: red, green, blue in the light of blending, and the transmittance. The next picture is written over it.

        Raises:
            ValueError: the gaussians have no harmonics of this degree.
        """
        rows, count = gaussians.table.shape
        if not 3 <= 3 * (degree + 1) ** 2 <= rows - project.COLORS:
            raise ValueError(f"The gaussians have {(rows - project.COLORS) // 3} harmonics, too few for degree {degree}.")
        if len(self._visible) != count:
            self._splats = np.zeros((count, tiles.COLUMNS), np.float32)
            self._visible = np.zeros(count, bool)
        pose = camera.camera_to_world.copy()
        pose[:3, 3] -= gaussians.center
        viewmat = np.linalg.inv(pose @ np.diag([1.0, -1.0, -1.0, 1.0])).astype(np.float32)
        lens = np.array([camera.fx, camera.fy, camera.cx, camera.cy], np.float32)
        self._view = (viewmat, pose[:3, 3].astype(np.float32), lens, camera.width, camera.height)
        self._style = (antialias, degree)
        gaussians.settle(self._view, near)
        project.forward(gaussians.table, *self._view, np.float32(near), antialias, degree, self._splats, self._visible)
        self.order = tiles.depth_order(self._splats, self._visible)
        self._rows = tiles.gather_rows(self._splats, self.order)
        self._starts, self.pairs, *self._own = tiles.bin_pairs(self._rows, camera.width, camera.height)
        self._background = np.asarray(background, np.float32)
        # Fresh memory for every picture would cost more than clearing it: the system hands it out page by page.
        if self.image.shape[1:] != (camera.height, camera.width):
            self.image = np.empty((4, camera.height, camera.width), np.float32)
        self.composite()
        return self.image

    def composite(self) -> None:
        """Composites what :meth:`render` projected and sorted into tiles."""
        self._needed = rasterize.forward(self._rows, self._starts, self.pairs, self._background, self.image, self.workers)

    def expected_depth(self) -> np.ndarray:
        """Mean planar z of the last picture, weighted as its colors are. [H, W] float32 in the world's unit, 0 where nothing is."""
        z, through = self.composite_depth()
        alpha = 1 - through
        return np.divide(z, alpha, out=np.zeros_like(alpha), where=alpha > 0)

    def median_depth(self) -> np.ndarray:
        """Planar z at which the last picture's transmittance falls below a half, 0 where it does not. [H, W] float32, the world's unit."""
        depth = np.empty(self.image.shape[1:], np.float32)
        rasterize.median_depth(self._rows, self._starts, self.pairs, depth, self.workers)
        return depth

    def surface_depth(self, gaussians: Gaussians) -> np.ndarray:
        """As :meth:`median_depth`, but where each ray is deepest in the gaussian that brings the transmittance below a half, instead of at
        its middle: on the plane of a flat one (Zhang et al. 2024, RaDe-GS).

        Args:
            gaussians: the same as rendered.

        Returns:
            [H, W] float32, the world's unit, 0 where nothing is.
        """
        ranks = self._rows.copy()
        # Whole numbers up to 2^24 are exact.
        ranks[:, tiles.DEPTH] = np.arange(1, len(ranks) + 1)
        rank = np.empty(self.image.shape[1:], np.float32)
        rasterize.median_depth(ranks, self._starts, self.pairs, rank, self.workers)
        there = rank > 0
        # Only a few of the gaussians are met so.
        met, chosen = np.unique(rank[there].astype(np.int64) - 1, return_inverse=True)
        viewmat, position, lens, *_ = self._view
        means, log_scales, quats = (gaussians.values[name][self.order[met]] for name in ("means", "log_scales", "quats"))
        across, down, most = depth_slopes((means - position) @ viewmat[:3, :3].T, log_scales, quats, viewmat[:3, :3], lens)
        rows, (y, x) = self._rows[met][chosen], np.nonzero(there)
        middle = rows[:, tiles.DEPTH]
        off = across[chosen] * (x + 0.5 - rows[:, tiles.X]) + down[chosen] * (y + 0.5 - rows[:, tiles.Y])
        # One over the depth is what changes evenly over a plane.
        deepest = middle / np.maximum(1 - off / middle, 1e-3)
        depth = np.zeros_like(rank)
        depth[there] = np.maximum(np.clip(deepest, middle - most[chosen], middle + most[chosen]), 0)
        return depth

    def normals(self, gaussians: Gaussians) -> np.ndarray:
        """Normals of the last picture: each gaussian's shortest axis on the camera's side, blended as its colors are.

        Args:
            gaussians: the same as rendered.

        Returns:
            [3, H, W] float32 world, unit length, 0 where nothing is.
        """
        blended = self.composite_normals(gaussians)[:3]
        length = np.sqrt((blended * blended).sum(axis=0))
        return np.divide(blended, length, out=np.zeros_like(blended), where=length > 0)

    def _blended(self, colors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The last picture's rows with other colors [M, 3], by rank, and the picture they make over black, [4, H, W]."""
        rows = self._rows.copy()
        rows[:, tiles.RED : tiles.BLUE + 1] = colors
        image = np.empty_like(self.image)
        rasterize.forward(rows, self._starts, self.pairs, np.zeros(3, np.float32), image, self.workers)
        return rows, image

    @property
    def composited(self) -> tuple[np.ndarray, ...]:
        """What of the last picture tells its work, see rasterize.count_pairs."""
        return self._rows, self._starts, self.pairs, self._needed, self.image.shape[2]

    def backward(self, v_image: np.ndarray, absolute: bool = False) -> None:
        """Gradients of the last picture on the screen, by rank, into ``v_rows``.

        Args:
            v_image: [4, H, W] float32, the loss's gradient by the picture.
            absolute: whether the sums of magnitudes are wanted as well.
        """
        if len(self._scratch) < len(self.pairs):
            self._scratch = aligned(len(self.pairs) * 5 // 4 * rasterize.GRADIENTS).reshape(-1, rasterize.GRADIENTS)
        self.v_rows = np.empty((len(self._rows), rasterize.V_COLUMNS), np.float32)
        rasterize.backward(
            self._rows,
            self._starts,
            self.pairs,
            *self._own,
            self._needed,
            self.image,
            v_image,
            absolute,
            self._scratch,
            self.v_rows,
            self.workers,
        )

    def composite_depth(self) -> np.ndarray:
        """The last picture's planar depths, composited like a color: [2, H, W] float32, sum of weight times depth, and transmittance."""
        self._depth_rows, self._depth = self._blended(np.stack([self._rows[:, tiles.DEPTH]] * 3, axis=1))
        return self._depth[[0, 3]]

    def backward_depth(self, v_depth: np.ndarray) -> None:
        """Adds gradients of :meth:`composite_depth` to ``v_rows``; after :meth:`backward`.

        Args:
            v_depth: [2, H, W] float32, the loss's gradient by what composite_depth returned.
        """
        v_image = np.zeros_like(self.image)
        v_image[0], v_image[3] = v_depth
        self.v_rows[:, rasterize.V_DEPTH] += self._backward_blended(self._depth_rows, self._depth, v_image)[:, 0]

    def composite_normals(self, gaussians: Gaussians) -> np.ndarray:
        """The last picture's facing axes, composited like colors: [4, H, W] float32, sum of weight times axis, and transmittance.

        Args:
            gaussians: the same as rendered.
        """
        means, log_scales, quats = (gaussians.values[name][self.order] for name in ("means", "log_scales", "quats"))
        _, position, *_ = self._view
        self._shapes = (means - position, log_scales, quats)
        self._normal_rows, self._normals = self._blended(facing_axes(*self._shapes))
        return self._normals

    def backward_normals(self, v_normals: np.ndarray) -> None:
        """Adds gradients of :meth:`composite_normals` to ``v_rows``, with those by the quaternions as further columns; after
        :meth:`backward`.

        Args:
            v_normals: [4, H, W] float32, the loss's gradient by what composite_normals returned.
        """
        v_axes = self._backward_blended(self._normal_rows, self._normals, v_normals)
        self.v_rows = np.concatenate([self.v_rows, facing_axes_backward(*self._shapes, v_axes)], axis=1)

    def _backward_blended(self, rows: np.ndarray, image: np.ndarray, v_image: np.ndarray) -> np.ndarray:
        """Adds to ``v_rows`` what the gradient of a picture with other colors says of places and opacities. Returns the colors' own."""
        v_rows = np.empty((len(rows), rasterize.V_COLUMNS), np.float32)
        rasterize.backward(
            rows,
            self._starts,
            self.pairs,
            *self._own,
            self._needed,
            image,
            v_image,
            False,
            self._scratch,
            v_rows,
            self.workers,
        )
        self.v_rows[:, :6] += v_rows[:, :6]
        return v_rows[:, 6:9]

    def step(self, gaussians: Gaussians, rates: np.ndarray, time: int, opacity_weight: float = 0.0, scale_weight: float = 0.0) -> None:
        """From ``v_rows`` to gradients of the parameters, and a step of Adam on every gaussian; those out of view may owe it.

        Args:
            gaussians: the same as rendered, updated in place. rates: [rows], see optimizer.rates. time: number of the step, from 1.
            opacity_weight, scale_weight: of what each gaussian's opacity, and sum of scales, adds to the loss.
        """
        rank_of = np.full(gaussians.table.shape[1], -1, np.int32)
        rank_of[self.order] = np.arange(len(self.order), dtype=np.int32)
        project.backward_and_step(
            gaussians.table,
            *self._view,
            *self._style,
            rank_of,
            self.v_rows,
            gaussians.first,
            gaussians.second,
            *gaussians.begin_step(rates, time),
            time,
            gaussians.done,
            opacity_weight,
            scale_weight,
        )
