# SPDX-License-Identifier: GPL-3.0-or-later
"""Light and codes against numbers worked out by hand, and there and back."""

import pytest
import torch

from engine.fields import light
from engine.kernels.photometric.reference import srgb_decode, srgb_encode


@pytest.mark.parametrize("blend", ["linear", "srgb"])
def test_pixels_are_what_their_own_colours_show(blend):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (50, 4), generator=generator).byte()
    pixels[0, 3], pixels[1, 3] = 0, 255
    behind = torch.rand(50, 3, generator=generator)
    codes, alpha = pixels[:, :3] / 255, pixels[:, 3] / 255
    straight = srgb_decode(codes) if blend == "linear" else codes
    made = light.wanted(pixels, behind, blend)
    torch.testing.assert_close(made, light.shown(straight * alpha[:, None], alpha, behind, blend))
    torch.testing.assert_close(made[:2], torch.stack([behind[0], codes[1]]), atol=1e-5, rtol=0)
    # As a picture, [H, W], before one color.
    shape = light.shown((straight * alpha[:, None]).view(5, 10, 3), alpha.view(5, 10), behind[0], blend)
    torch.testing.assert_close(shape.view(50, 3), light.wanted(pixels, behind[0], blend))
    torch.testing.assert_close(light.wanted(pixels[:, :3], behind, blend), codes)


def test_half_covering_grey_before_white():
    half, white = torch.tensor([0.5]), torch.ones(3)
    linear = light.shown(torch.full((1, 3), 0.1), half, white, "linear")
    torch.testing.assert_close(linear, srgb_encode(torch.full((1, 3), 0.6)))
    torch.testing.assert_close(light.shown(torch.full((1, 3), 0.1), half, white, "srgb"), torch.full((1, 3), 0.6))


def test_colours_as_light_and_as_codes():
    alpha, straight = torch.tensor([0.25, 1.0, 0.0]), torch.tensor([[0.5, 0.2, 0.9], [0.1, 1.0, 0.0], [0.3, 0.3, 0.3]])
    color = straight * alpha[:, None]
    torch.testing.assert_close(light.as_light(color, alpha, "linear"), color)
    torch.testing.assert_close(light.as_light(color, alpha, "srgb"), srgb_decode(straight) * alpha[:, None])
    torch.testing.assert_close(light.as_codes(color, alpha, "srgb")[:2], straight[:2])
    torch.testing.assert_close(light.as_codes(color, alpha, "linear")[:2], srgb_encode(straight)[:2])
    assert light.as_codes(color, alpha, "srgb").isfinite().all()
    # Brighter than a screen can be.
    assert light.as_codes(torch.tensor([[3.0, 0.5, 0.0]]), torch.ones(1), "linear")[0, 0] == 1
