# SPDX-License-Identifier: GPL-3.0-or-later
"""The loss of a rendered picture against a captured one, measured in displayed light whatever light the blending is in.

What shines through is compared as well: else dark things are learnt as holes, and white ones before white are, which show on any other
background.
"""

from __future__ import annotations

import numpy as np

from ..kernels.photometric import cpu as photometric

_NO_GAINS = np.ones(3, np.float32)
# Of the sum of a pixel's weighted normals.
_LEAST_LENGTH = np.float32(0.1)


def depth_loss(depth: np.ndarray, captured: np.ndarray, weight: float, unit: float) -> tuple[float, np.ndarray]:
    """L1 of depth in shares of ``unit``, where the captured picture has a depth.

    Both sides are taken as they composite, so that half-covered pixels count by half: sum of w z against (1 - T) times the captured depth.

    Args:
        depth: [2, H, W] float32, sum of w z, and T. captured: [H, W] float32 planar depth, 0 = none.
        weight: of the mean. unit: in the world's unit.

    Returns:
        The loss, and its gradient by ``depth``.
    """
    known = captured > 0
    scale = np.float32(weight / (unit * captured.size))
    difference = np.where(known, depth[0] - (1 - depth[1]) * captured, 0)
    sign = np.sign(difference) * scale
    return float(np.abs(difference).sum() * scale), np.stack([sign, sign * captured]).astype(np.float32)


def normal_loss(normals: np.ndarray, captured: np.ndarray, weight: float) -> tuple[float, np.ndarray]:
    """1 - cosine between composited and captured normals, times the opacity, where there is a captured normal.

    The opacity counts as given, and the composited normal's length does not count: what is turned wrongly has to turn, not to vanish.

    Args:
        normals: [4, H, W] float32, sum of w times the gaussians' normals, and T. captured: [3, H, W] float32 unit, 0 = none.
        weight: of the mean.

    Returns:
        The loss, and its gradient by ``normals``.
    """
    alpha = (1 - normals[3]) * captured.any(axis=0)
    # Where normals cancel out they have no direction to turn from.
    inverse = 1 / np.maximum(np.sqrt((normals[:3] * normals[:3]).sum(axis=0)), _LEAST_LENGTH)
    cosine = (normals[:3] * captured).sum(axis=0) * inverse
    scale = np.float32(weight / alpha.size)
    v_normals = np.zeros_like(normals)
    v_normals[:3] = (cosine * inverse * normals[:3] - captured) * (alpha * inverse * scale)
    return float((alpha * (1 - cosine)).sum(dtype=np.float64) * scale), v_normals


class PhotometricLoss:
    """(1 - weight) L1 + weight (1 - SSIM) + coverage · L1 of transmittance, and its gradient; keeps its buffers."""

    def __init__(self, weight: float, linear: bool, coverage: float = 0.0):
        self.weight, self.linear, self.coverage = weight, linear, coverage
        self._size = (0, 0)

    def __call__(
        self,
        image: np.ndarray,
        pixels: np.ndarray,
        background: np.ndarray,
        mask: np.ndarray | None = None,
        gains: np.ndarray = _NO_GAINS,
    ) -> tuple[float, np.ndarray]:
        """Compares.

        Args:
            image: [4, H, W] float32 as rendered over the background divided by the gains.
            pixels: [H, W, 3 or 4] uint8 as captured. background: [3] in the light of blending.
            mask: [H, W] uint8, 0 where nothing is to be learnt.
            gains: [3] float32, of red, green and blue: how much brighter the picture was taken than the model is.

        Returns:
            The loss, and its gradient by ``image`` [4, H, W].
        """
        _, height, width = image.shape
        if self._size != (height, width):
            self._size = (height, width)
            self._sums = np.zeros((3 * height, 2))
            self._v_image = np.zeros((4, height, width), np.float32)
        background = np.asarray(background, np.float32)
        photometric.forward_backward(image, pixels, background, gains, self.linear, self.weight, self._v_image, self._sums)
        difference, similarity = self._sums.sum(axis=0) / (3 * height * width)
        loss = (1 - self.weight) * difference + self.weight * (1 - similarity)
        if self.coverage and pixels.shape[2] == 4:
            difference = image[3] - (1 - pixels[..., 3] * np.float32(1 / 255))
            loss += self.coverage * float(np.abs(difference).mean())
            np.multiply(np.sign(difference), np.float32(self.coverage / (height * width)), out=self._v_image[3])
        elif self.coverage:
            loss += self.coverage * float(image[3].mean())
            self._v_image[3] = self.coverage / (height * width)
        if mask is not None:
            self._v_image *= mask != 0
        return float(loss), self._v_image
