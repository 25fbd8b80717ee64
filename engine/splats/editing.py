# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to finished splats: parts cut away, their number lowered. Splats in, splats out."""

from __future__ import annotations

import numpy as np

from ..formats.splats.gaussians import Splats, opacities

_NEIGHBOURS = 16
_DEVIATIONS = 3.0
_LEAST_SPARSENESS = 4.0


def crop(splats: Splats, low: np.ndarray, high: np.ndarray) -> Splats:
    """Those whose centers lie in a box, its faces included; low and high are [3], in world units."""
    return splats.select(((splats.means >= np.asarray(low)) & (splats.means <= np.asarray(high))).all(axis=1))


def at_least_opaque(splats: Splats, opacity: float) -> Splats:
    """Those of an opacity (0 to 1) or more."""
    return splats.select(opacities(splats) >= opacity)


def without_floaters(splats: Splats) -> Splats:
    """Those that are not alone in empty space.

    A floater is far from its neighbors, for this scene and for its own size. The first is the statistical outlier removal of Rusu et
    al. 2008 (Towards 3D point cloud based object maps): the mean distance to the 16 nearest, here of its logarithm, since scenes are
    dense where cameras looked and sparse outdoors; beyond the median by more than three standard deviations, estimated by the median
    absolute deviation, which the floaters themselves do not move, and by no less than a factor of 4. The second spares the large splats
    of skies and bare walls: whatever reaches its neighbors with three times its own largest standard deviation stays.

    Args:
        splats: the splats; with fewer than 18 nobody is an outlier.

    Returns:
        The others, in their order.
    """
    from scipy.spatial import cKDTree

    if len(splats) < _NEIGHBOURS + 2:
        return splats
    distances = cKDTree(splats.means).query(splats.means, k=_NEIGHBOURS + 1, workers=-1)[0][:, 1:].mean(axis=1)
    sparseness = np.log(np.maximum(distances, np.finfo(float).tiny))
    middle = np.median(sparseness)
    deviation = 1.4826 * np.median(np.abs(sparseness - middle))
    far = sparseness > middle + max(_DEVIATIONS * deviation, np.log(_LEAST_SPARSENESS))
    reach = 3 * np.exp(splats.log_scales.max(axis=1).astype(np.float64))
    return splats.select(~(far & (distances > reach)))


def decimate(splats: Splats, count: int) -> Splats:
    """The splats that matter most: the ``count`` largest in opacity times the root of their largest standard deviation, in their order.

    What is kept is not changed to make up for what goes. On trained scenes this measure loses least, see docs/formats.md: opacity alone
    forgets walls, opacity times area forgets everything fine.
    """
    if len(splats) <= count:
        return splats
    importance = np.log(np.maximum(opacities(splats), 1e-300)) + 0.5 * splats.log_scales.max(axis=1).astype(np.float64)
    # Stable, so that of equals the first are kept, on every machine.
    return splats.select(np.sort(np.argsort(-importance, kind="stable")[:count]))
