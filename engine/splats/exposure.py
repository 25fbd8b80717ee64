# SPDX-License-Identifier: GPL-3.0-or-later
"""How much brighter or darker, redder or bluer, each training view was taken than the model is: a gain for each color channel."""

from __future__ import annotations

import numpy as np

from ..contract.errors import UserError
from ..data.checkpoint_arrays import saved_array
from ..kernels.adam.reference import BETA1, BETA2, EPSILON
from ..kernels.photometric import cpu as photometric

# Learning rate of the logarithms at the start, and the share to which it falls.
_RATE, _FALL = 0.02, 0.1


class Exposure:
    """Gains of V views, learnt by Adam with the model. Their geometric mean stays 1, so the model keeps the exposure that views share.

    ``logs`` [V, 3] are the gains' logarithms.
    """

    def __init__(self, views: int):
        self.logs, self._first, self._second = (np.zeros((views, 3)) for _ in range(3))
        self._times = np.zeros(views, np.int64)

    def gains(self, view: int) -> np.ndarray:
        """Gains of red, green and blue of a view, in the light of blending. [3] float32."""
        return np.exp(self.logs[view]).astype(np.float32)

    def step(self, view: int, image: np.ndarray, v_image: np.ndarray, background: np.ndarray, progress: float) -> None:
        """Learns from one picture.

        Args:
            view: which it is. image: [4, H, W], as rendered. v_image: [4, H, W], the loss's gradient by it.
            background: [3], what it was rendered over. progress: share of the run, 0 to 1.
        """
        sums = np.empty((3, image.shape[1]))
        photometric.gain_slopes(image, v_image, np.asarray(background, np.float32), sums)
        gradient = sums.sum(axis=1)
        self._times[view] += 1
        self._first[view] = BETA1 * self._first[view] + (1 - BETA1) * gradient
        self._second[view] = BETA2 * self._second[view] + (1 - BETA2) * gradient**2
        first, second = (moment[view] / (1 - beta ** self._times[view]) for moment, beta in ((self._first, BETA1), (self._second, BETA2)))
        self.logs[view] -= _RATE * _FALL**progress * first / (np.sqrt(second) + EPSILON)
        self.logs -= self.logs.mean(axis=0)

    def state(self) -> dict[str, np.ndarray]:
        """What a checkpoint keeps."""
        return {"exposure": self.logs, "exposure_first": self._first, "exposure_second": self._second, "exposure_times": self._times}

    def load_state(self, arrays: dict[str, np.ndarray]) -> None:
        """Takes back what :meth:`state` gave.

        Raises:
            UserError: an array is missing or does not fit.
        """
        held = [saved_array(arrays, name, own.shape, own.dtype).copy() for name, own in self.state().items()]
        if (held[-1] < 0).any():
            raise UserError("exposure_times counts below zero.", code="damaged")
        self.logs, self._first, self._second, self._times = held
