# SPDX-License-Identifier: GPL-3.0-or-later
"""The loss and its gradient against torch, and the light that it is measured in."""

import numpy as np
import pytest
import torch

from engine.kernels.photometric import cpu, reference
from engine.splats.loss import PhotometricLoss


@pytest.mark.parametrize("size", [(50, 70), (3, 200), (1, 1), (33, 8)])
@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("linear", [False, True])
def test_loss_and_gradient(size, weight, linear):
    rng = np.random.default_rng(0)
    image = rng.uniform(0, 1.2, (4, *size)).astype(np.float32)
    pixels = rng.integers(0, 256, (*size, 4)).astype(np.uint8)
    background = rng.random(3).astype(np.float32)
    loss, v_image = PhotometricLoss(weight, linear)(image, pixels, background)
    leaf = torch.tensor(image, dtype=torch.float64, requires_grad=True)
    codes, alpha = torch.tensor(pixels[..., :3] / 255).permute(2, 0, 1), torch.tensor(pixels[..., 3] / 255)
    behind = torch.tensor(background, dtype=torch.float64)[:, None, None]
    if linear:
        target = reference.srgb_encode(reference.srgb_decode(codes) * alpha + (1 - alpha) * behind)
        display = reference.srgb_encode(leaf[:3])
    else:
        target, display = codes * alpha + (1 - alpha) * behind, leaf[:3]
    expected = reference.photometric(display, target, weight)
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=2e-5)
    largest = leaf.grad.abs().max().item()
    np.testing.assert_allclose(v_image, leaf.grad.numpy(), atol=2e-3 * largest)


def test_buffers_serve_views_of_different_sizes():
    loss = PhotometricLoss(0.2, False)
    rng = np.random.default_rng(1)
    for size in ((20, 30), (40, 10), (20, 30)):
        image, pixels = rng.random((4, *size)).astype(np.float32), rng.integers(0, 256, (*size, 3)).astype(np.uint8)
        fresh = PhotometricLoss(0.2, False)(image, pixels, np.zeros(3))
        value, gradient = loss(image, pixels, np.zeros(3))
        assert value == fresh[0] and np.array_equal(gradient, fresh[1])


def test_same_pictures_have_similarity_one_and_no_gradient():
    picture = np.random.default_rng(2).random((3, 30, 30)).astype(np.float32)
    assert reference.ssim(torch.from_numpy(picture), torch.from_numpy(picture)).min() == pytest.approx(1, abs=1e-4)
    sums, v = np.zeros((90, 2)), np.empty_like(picture)
    moments, slopes = np.zeros((5, 3, 40, 30), np.float32), np.zeros((3, 3, 40, 30), np.float32)
    cpu.forward_backward(picture, picture.copy(), 0.2, moments, slopes, v, sums)
    assert sums[:, 0].sum() == 0 and sums[:, 1].sum() == pytest.approx(picture.size, rel=1e-4) and np.abs(v).max() < 1e-6


def test_what_shines_through_opaque_views_is_penalised():
    image = np.random.default_rng(3).random((4, 20, 30)).astype(np.float32)
    pixels = np.zeros((20, 30, 3), np.uint8)
    plain, v_plain = PhotometricLoss(0.2, False)(image, pixels, np.zeros(3))
    v_plain = v_plain.copy()
    loss, v_image = PhotometricLoss(0.2, False, coverage=0.5)(image, pixels, np.zeros(3))
    assert loss - plain == pytest.approx(0.5 * image[3].mean(), rel=1e-5)
    np.testing.assert_array_equal(v_image[:3], v_plain[:3])
    np.testing.assert_allclose(v_image[3], 0.5 / 600, rtol=1e-6)
