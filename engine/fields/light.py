# SPDX-License-Identifier: GPL-3.0-or-later
"""From what fields blend (light, or codes where captures were blended so) to what pictures show, and back from pixels."""

from __future__ import annotations

from torch import Tensor

from ..kernels.photometric.reference import srgb_decode, srgb_encode


def shown(color: Tensor, alpha: Tensor, behind: Tensor, blend: str) -> Tensor:
    """sRGB codes of colors over a background.

    Args:
        color: [..., 3], multiplied by alpha [...]. behind: codes, [3] or [..., 3]. blend: linear or srgb.

    Returns:
        [..., 3].
    """
    rest = (1 - alpha)[..., None]
    return color + rest * behind if blend == "srgb" else srgb_encode(color + rest * srgb_decode(behind))


def wanted(pixels: Tensor, behind: Tensor, blend: str) -> Tensor:
    """The codes [R, 3] that pixels [R, 3 or 4] uint8 show over a background; the other arguments as for :func:`shown`."""
    codes = pixels.float() / 255
    if codes.shape[1] == 3:
        return codes
    alpha = codes[:, 3]
    straight = srgb_decode(codes[:, :3]) if blend == "linear" else codes[:, :3]
    return shown(straight * alpha[:, None], alpha, behind, blend)


def as_light(color: Tensor, alpha: Tensor, blend: str) -> Tensor:
    """Light times alpha of colors, as for :func:`shown`."""
    if blend == "linear":
        return color
    # Codes stand for light once they no longer hold the share that shines through.
    return srgb_decode(color / alpha.clamp_min(1e-6)[..., None]) * alpha[..., None]


def as_codes(color: Tensor, alpha: Tensor, blend: str) -> Tensor:
    """Codes from 0 to 1 of what is there, without what shines through; arguments as for :func:`shown`."""
    straight = color / alpha.clamp_min(1e-6)[..., None]
    return (srgb_encode(straight) if blend == "linear" else straight).clamp(0, 1)
