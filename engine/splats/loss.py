# SPDX-License-Identifier: GPL-3.0-or-later
"""The loss of a rendered picture against a captured one, measured in displayed light whatever light the blending is in.

Where views are opaque, what shines through is penalised as well: else dark things are learnt as holes, which show on any other background.
"""

from __future__ import annotations

import numpy as np

from ..kernels.photometric import cpu as photometric


class PhotometricLoss:
    """(1 - weight) L1 + weight (1 - SSIM) + coverage · transmittance, with its gradient; keeps its buffers between pictures of one size."""

    def __init__(self, weight: float, linear: bool, coverage: float = 0.0):
        self.weight, self.linear, self.coverage = weight, linear, coverage
        self._size = (0, 0)

    def __call__(self, image: np.ndarray, pixels: np.ndarray, background: np.ndarray) -> tuple[float, np.ndarray]:
        """Compares.

        Args:
            image: [4, H, W] float32 as rendered over the background.
            pixels: [H, W, 3 or 4] uint8 as captured. background: [3] in the light of blending.

        Returns:
            The loss, and its gradient by ``image`` [4, H, W].
        """
        _, height, width = image.shape
        if self._size != (height, width):
            self._size = (height, width)
            self._sums = np.zeros((3 * height, 2))
            self._v_image = np.zeros((4, height, width), np.float32)
            self._v_image[3] = self.coverage / (height * width)
        background = np.asarray(background, np.float32)
        photometric.forward_backward(image, pixels, background, self.linear, self.weight, self._v_image, self._sums)
        difference, similarity = self._sums.sum(axis=0) / (3 * height * width)
        loss = (1 - self.weight) * difference + self.weight * (1 - similarity)
        if self.coverage:
            loss += self.coverage * float(image[3].mean())
        return float(loss), self._v_image
