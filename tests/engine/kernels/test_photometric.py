# SPDX-License-Identifier: GPL-3.0-or-later
"""The loss and its gradient against torch, and the light that it is measured in."""

import numpy as np
import pytest
import torch

from engine.kernels.photometric import cpu, reference
from engine.splats.loss import PhotometricLoss


@pytest.mark.parametrize("size", [(50, 70), (3, 200), (1, 1), (33, 8), (3, 5), (17, 400), (130, 16), (61, 49)])
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


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("size", [(37, 45), (2, 3), (101, 20)])
def test_shares_of_threads_do_not_change_a_bit(size, linear):
    rng = np.random.default_rng(4)
    image, pixels = rng.random((4, *size)).astype(np.float32), rng.integers(0, 256, (*size, 4)).astype(np.uint8)
    made = []
    for workers in (1, 2, 3, 7):
        v_image, sums = np.zeros_like(image), np.zeros((3 * size[0], 2))
        cpu._share(image, pixels, np.ones(3, np.float32), np.ones(3, np.float32), linear, np.float32(0.2), v_image, sums, workers)
        made.append(v_image.tobytes() + sums.tobytes())
    assert len(set(made)) == 1


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_captured_picture_over_a_background(linear, channels):
    rng = np.random.default_rng(5)
    background = rng.random(3).astype(np.float32)
    for height, width in ((1, 1), (2, 17), (5, 70)):
        pixels = rng.integers(0, 256, (height, width, channels)).astype(np.uint8)
        if channels == 4:
            pixels[..., 3] = rng.choice(np.array([0, 100, 255], np.uint8), (height, width))
            pixels[:, :32, 3] = rng.choice(np.array([0, 255], np.uint8), (height, min(32, width)))
        target = np.empty((3, height, width), np.float32)
        flipped = np.ascontiguousarray(pixels[:, ::-1])[:, ::-1]
        cpu.compose_target(flipped if height == 5 else pixels, background, linear, target)
        codes = torch.tensor(pixels[..., :3] / 255).permute(2, 0, 1)
        alpha = torch.tensor(pixels[..., 3] / 255) if channels == 4 else torch.ones(height, width)
        behind = torch.tensor(background, dtype=torch.float64)[:, None, None]
        light = (reference.srgb_decode(codes) if linear else codes) * alpha + (1 - alpha) * behind
        np.testing.assert_allclose(target, reference.srgb_encode(light) if linear else light, atol=2e-5)


def test_buffers_serve_views_of_different_sizes():
    loss = PhotometricLoss(0.2, False)
    rng = np.random.default_rng(1)
    for size in ((20, 30), (40, 10), (20, 30)):
        image, pixels = rng.random((4, *size)).astype(np.float32), rng.integers(0, 256, (*size, 3)).astype(np.uint8)
        fresh = PhotometricLoss(0.2, False)(image, pixels, np.zeros(3))
        value, gradient = loss(image, pixels, np.zeros(3))
        assert value == fresh[0] and np.array_equal(gradient, fresh[1])


def test_same_pictures_have_similarity_one_and_no_gradient():
    pixels = np.random.default_rng(2).integers(0, 256, (30, 30, 3)).astype(np.uint8)
    picture = (pixels.transpose(2, 0, 1) / 255).astype(np.float32)
    assert reference.ssim(torch.from_numpy(picture), torch.from_numpy(picture)).min() == pytest.approx(1, abs=1e-4)
    image = np.concatenate([picture, np.ones((1, 30, 30), np.float32)])
    loss, v_image = PhotometricLoss(0.2, False)(image, pixels, np.zeros(3))
    assert abs(loss) < 1e-5
    # Codes differ in their last bit, so the sign of nothing may show, but no more: one pixel's share of L1.
    assert np.abs(v_image).max() <= 0.8 / picture.size * 1.001


def test_what_shines_through_opaque_views_is_penalised():
    image = np.random.default_rng(3).random((4, 20, 30)).astype(np.float32)
    pixels = np.zeros((20, 30, 3), np.uint8)
    plain, v_plain = PhotometricLoss(0.2, False)(image, pixels, np.zeros(3))
    v_plain = v_plain.copy()
    loss, v_image = PhotometricLoss(0.2, False, coverage=0.5)(image, pixels, np.zeros(3))
    assert loss - plain == pytest.approx(0.5 * image[3].mean(), rel=1e-5)
    np.testing.assert_array_equal(v_image[:3], v_plain[:3])
    np.testing.assert_allclose(v_image[3], 0.5 / 600, rtol=1e-6)


def test_where_views_are_transparent_what_hides_the_background_is_penalised():
    rng = np.random.default_rng(4)
    image = rng.random((4, 20, 30)).astype(np.float32)
    pixels = rng.integers(0, 256, (20, 30, 4)).astype(np.uint8)
    plain, _ = PhotometricLoss(0.2, False)(image, pixels, np.zeros(3))
    loss, v_image = PhotometricLoss(0.2, False, coverage=0.5)(image, pixels, np.zeros(3))
    difference = image[3] - (1 - pixels[..., 3] / 255)
    assert loss - plain == pytest.approx(0.5 * np.abs(difference).mean(), rel=1e-4)
    np.testing.assert_allclose(v_image[3], np.sign(difference) * 0.5 / 600, rtol=1e-6)


def test_nothing_is_learnt_where_a_mask_is_zero():
    rng = np.random.default_rng(5)
    image, pixels = rng.random((4, 20, 30)).astype(np.float32), rng.integers(0, 256, (20, 30, 3)).astype(np.uint8)
    mask = (rng.random((20, 30)) < 0.5).astype(np.uint8)
    _, v_image = PhotometricLoss(0.2, False, coverage=0.5)(image, pixels, np.zeros(3), mask)
    assert not v_image[:, mask == 0].any() and v_image[:, mask > 0].all()


@pytest.mark.parametrize("shape", [(20, 30, 3), (31, 20, 4), (30, 20, 2), (30, 20, 5), (30, 20)])
def test_pictures_of_another_size_are_refused(shape):
    with pytest.raises(ValueError, match="captured"):
        PhotometricLoss(0.2, True)(np.zeros((4, 30, 20), np.float32), np.zeros(shape, np.uint8), np.zeros(3))
