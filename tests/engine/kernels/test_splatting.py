# SPDX-License-Identifier: GPL-3.0-or-later
"""Projection, tiles and compositing against the plain torch reference: pictures, and gradients with random cotangents."""

import numpy as np
import pytest
import torch

from engine.cameras import Camera
from engine.kernels.adam import reference as adam_reference
from engine.kernels.adam.cpu import corrected
from engine.kernels.project import cpu as project
from engine.kernels.project import reference as project_reference
from engine.kernels.rasterize import cpu as rasterize
from engine.kernels.rasterize import reference as rasterize_reference
from engine.kernels.tiles import cpu as tiles
from engine.splats.gaussians import Gaussians
from engine.splats.renderer import Renderer

NAMES = ("means", "log_scales", "quats", "opacity_logits", "sh0", "shn")
WIDTH, HEIGHT = 70, 50
NEAR = 0.1


def scene(count=150, seed=0, spread=1.5):
    rng = np.random.default_rng(seed)
    f = np.float32
    means = (rng.normal(size=(count, 3)) * [spread, 1, 1] + [0, 0, 4]).astype(f)
    return {
        "means": means,
        "log_scales": rng.normal(-2.2, 0.6, (count, 3)).astype(f),
        "quats": rng.normal(size=(count, 4)).astype(f),
        "opacity_logits": rng.normal(0, 2, count).astype(f),
        "sh0": rng.normal(size=(count, 3)).astype(f),
        "shn": rng.normal(0, 0.2, (count, 15, 3)).astype(f),
    }


def view(angle=0.2):
    f = np.float32
    viewmat = np.eye(4, dtype=f)
    viewmat[:3, :3] = [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    viewmat[:3, 3] = [0.1, -0.2, 0.3]
    return viewmat, (-viewmat[:3, :3].T @ viewmat[:3, 3]).astype(f), np.array([60, 62, 36, 24], f)


def fast(values, antialias, degree, background, workers=2):
    """The picture and what its gradient needs."""
    table = Gaussians(values, np.zeros(3)).table
    count = table.shape[1]
    splats, visible = np.zeros((count, tiles.COLUMNS), np.float32), np.zeros(count, bool)
    project.forward(table, *view(), WIDTH, HEIGHT, np.float32(NEAR), antialias, degree, splats, visible)
    order = tiles.depth_order(splats, visible)
    rows = tiles.gather_rows(splats, order)
    binned = tiles.bin_pairs(rows, WIDTH, HEIGHT)
    image = np.zeros((4, HEIGHT, WIDTH), np.float32)
    needed = rasterize.forward(rows, binned[0], binned[1], background, image, workers)
    return image, (splats, order, rows, binned, needed)


def fast_gradients(values, antialias, degree, kept, image, v_image, workers=2):
    splats, order, rows, (starts, pairs, *own), needed = kept
    gaussians, gradients = Gaussians(values, np.zeros(3)), Gaussians(values, np.zeros(3))
    scratch, v_rows = np.empty((len(pairs), rasterize.GRADIENTS), np.float32), np.empty((len(order), rasterize.V_COLUMNS), np.float32)
    rasterize.backward(rows, starts, pairs, *own, needed, image, v_image, True, scratch, v_rows, workers)
    rank_of = np.full(len(splats), -1, np.int32)
    rank_of[order] = np.arange(len(order))
    gradients.table[:] = 0
    project.backward(gaussians.table, *view(), WIDTH, HEIGHT, antialias, degree, rank_of, v_rows, gradients.table)
    return gradients.values


def reference(values, antialias, degree, background, v_image):
    """The same in double precision by torch."""
    leaves = {name: torch.tensor(values[name], dtype=torch.float64, requires_grad=True) for name in NAMES}
    sh = torch.cat([leaves["sh0"][:, None], leaves["shn"]], 1)
    viewmat, _, lens = (torch.tensor(part, dtype=torch.float64) for part in view())
    rows, depths, visible = project_reference.project(
        *(leaves[name] for name in NAMES[:4]), sh, viewmat, lens, WIDTH, HEIGHT, NEAR, antialias, degree
    )
    index = torch.where(visible)[0]
    index = index[torch.argsort(depths[index], stable=True)]
    image = rasterize_reference.rasterize(rows[index], WIDTH, HEIGHT, torch.tensor(background, dtype=torch.float64))
    (image * torch.tensor(v_image)).sum().backward()
    return image.detach().numpy(), {name: leaf.grad.numpy() for name, leaf in leaves.items()}


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_picture_and_gradients_match_the_reference(antialias, degree):
    values, background = scene(seed=degree), np.array([0.2, 0.5, 0.9], np.float32)
    v_image = np.random.default_rng(9).normal(size=(4, HEIGHT, WIDTH)).astype(np.float32)
    image, kept = fast(values, antialias, degree, background)
    expected, expected_gradients = reference(values, antialias, degree, background, v_image)
    np.testing.assert_allclose(image, expected, atol=2e-5)
    assert (image[3] < 0.5).mean() > 0.2, "the scene is too thin to test anything"
    gradients = fast_gradients(values, antialias, degree, kept, image, v_image)
    for name in NAMES:
        largest = np.abs(expected_gradients[name]).max()
        assert largest > 0 or name == "shn" and degree == 0
        np.testing.assert_allclose(gradients[name], expected_gradients[name], atol=2e-5 * max(largest, 1), err_msg=name)


def test_result_does_not_depend_on_the_number_of_threads():
    values, background = scene(600), np.zeros(3, np.float32)
    v_image = np.random.default_rng(1).normal(size=(4, HEIGHT, WIDTH)).astype(np.float32)
    made = []
    for workers in (1, 2, 5):
        image, kept = fast(values, True, 2, background, workers)
        made.append((image, fast_gradients(values, True, 2, kept, image, v_image, workers)))
    for image, gradients in made[1:]:
        assert np.array_equal(image, made[0][0])
        assert all(np.array_equal(gradients[name], made[0][1][name]) for name in NAMES)


@pytest.mark.parametrize(
    "change",
    [
        ("means", [0, 0, -3.0]),  # behind the camera
        ("means", [0, 0, NEAR - 0.35]),  # before the near plane
        ("opacity_logits", -80.0),
        ("means", [1e6, 0, 4.0]),
        ("means", [np.nan, 0, 4.0]),
        ("log_scales", [np.nan, 0, 0]),
        ("opacity_logits", np.nan),
        ("log_scales", [90.0, 90.0, 90.0]),
    ],
)
def test_a_gaussian_that_cannot_be_seen_changes_nothing(change):
    values, background = scene(40), np.zeros(3, np.float32)
    name, value = change
    values[name][7] = value
    image, kept = fast(values, False, 1, background)
    without = {key: np.delete(array, 7, axis=0) for key, array in values.items()}
    assert np.array_equal(image, fast(without, False, 1, background)[0])
    gradients = fast_gradients(values, False, 1, kept, image, np.ones_like(image))
    assert all(np.isfinite(array).all() and not array[7].any() for array in gradients.values())


@pytest.mark.parametrize("log_scales", [[-30, -30, -30], [-30, -2, -2], [0.5, -30, -30], [3, 3, 3]])
@pytest.mark.parametrize("antialias", [False, True])
def test_extreme_shapes_stay_finite_and_match(log_scales, antialias):
    values, background = scene(5), np.zeros(3, np.float32)
    values["log_scales"][2] = log_scales
    values["opacity_logits"][2] = 12.0
    v_image = np.ones((4, HEIGHT, WIDTH), np.float32)
    image, kept = fast(values, antialias, 0, background)
    expected, _ = reference(values, antialias, 0, background, v_image)
    np.testing.assert_allclose(image, expected, atol=1e-4)
    gradients = fast_gradients(values, antialias, 0, kept, image, v_image)
    assert all(np.isfinite(array).all() for array in gradients.values())


def test_nothing_visible_gives_the_background():
    values = scene(3)
    values["means"][:, 2] = -5
    background = np.array([0.1, 0.2, 0.3], np.float32)
    image, kept = fast(values, False, 0, background)
    assert np.array_equal(image[:3], np.broadcast_to(background[:, None, None], image[:3].shape)) and (image[3] == 1).all()
    gradients = fast_gradients(values, False, 0, kept, image, np.ones_like(image))
    assert not any(array.any() for array in gradients.values())


def test_depth_order_is_stable_and_sorted():
    rng = np.random.default_rng(0)
    splats = np.zeros((5000, tiles.COLUMNS), np.float32)
    splats[:, tiles.DEPTH] = rng.choice(np.geomspace(1e-3, 1e6, 700), 5000)
    visible = rng.random(5000) < 0.7
    expected = np.flatnonzero(visible)[np.argsort(splats[visible, tiles.DEPTH], kind="stable")]
    assert np.array_equal(tiles.depth_order(splats, visible), expected)


def test_tiles_hold_exactly_the_rows_that_an_ellipse_reaches():
    """Every pixel with alpha of 1/255 or more is covered, and every covered row holds a point of the ellipse inside its strip."""
    image, (_, order, rows, (starts, pairs, *_), _) = fast(scene(80, seed=4), False, 0, np.zeros(3, np.float32))
    across = -(-WIDTH // tiles.TILE_WIDTH)
    covered = np.zeros((len(order), HEIGHT, WIDTH), bool)
    for tile in range(len(starts) - 1):
        left, top = tile % across * tiles.TILE_WIDTH, tile // across * tiles.TILE_HEIGHT
        for rank, first, last in pairs[starts[tile] : starts[tile + 1]]:
            covered[rank, top + first : top + last, left : left + tiles.TILE_WIDTH] = True
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    fine = np.linspace(0, tiles.TILE_WIDTH - 1, 200)
    for rank, row in enumerate(rows):
        dx, dy = x - row[tiles.X], y - row[tiles.Y]
        sigma = 0.5 * (row[tiles.PRECISION_X] * dx**2 + row[tiles.PRECISION_Y] * (dy - row[tiles.SLOPE] * dx) ** 2)
        reached = row[tiles.OPACITY] * np.exp(-sigma) >= 1.0001 / 255
        assert not (reached & ~covered[rank]).any()
        for py in range(HEIGHT):
            for strip in np.unique(np.flatnonzero(covered[rank, py]) // tiles.TILE_WIDTH):
                dx = strip * tiles.TILE_WIDTH + 0.5 + fine - row[tiles.X]
                dy = py + 0.5 - row[tiles.Y]
                sigma = 0.5 * (row[tiles.PRECISION_X] * dx**2 + row[tiles.PRECISION_Y] * (dy - row[tiles.SLOPE] * dx) ** 2)
                assert row[tiles.OPACITY] * np.exp(-sigma.min()) >= 0.95 / 255


def test_the_step_in_one_pass_equals_gradients_then_adam():
    """Three steps, so that the moments count; a gaussian that is not seen goes on with its momentum."""
    values = scene(90)
    values["means"][:5, 2] = -4
    torn = Gaussians(values, np.zeros(3))
    torn.first[:, :90], torn.second[:, :90] = 0.001, 0.01
    whole = Gaussians(values, np.zeros(3))
    whole.load_state(torn.state(), 6)
    rates = np.linspace(1e-3, 1e-2, len(torn.table)).astype(np.float32)
    opacity_weight, scale_weight = 0.02, 0.03
    for time in (7, 8, 9):
        v_image = np.random.default_rng(time).normal(size=(4, HEIGHT, WIDTH)).astype(np.float32)
        image, kept = fast(torn.values, True, 2, np.zeros(3, np.float32))
        splats, order, rows, (starts, pairs, *own), needed = kept
        scratch, v_rows = np.empty((len(pairs), rasterize.GRADIENTS), np.float32), np.empty((len(order), rasterize.V_COLUMNS), np.float32)
        rasterize.backward(rows, starts, pairs, *own, needed, image, v_image, True, scratch, v_rows, 1)
        rank_of = np.full(len(splats), -1, np.int32)
        rank_of[order] = np.arange(len(order))
        project.backward_and_step(
            whole.table,
            *view(),
            *(WIDTH, HEIGHT, True, 2, rank_of, v_rows),
            *(whole.first, whole.second, *corrected(rates, time), time, whole.done, opacity_weight, scale_weight),
        )
        gradients = np.zeros_like(torn.table)
        project.backward(torn.table, *view(), WIDTH, HEIGHT, True, 2, rank_of, v_rows, gradients)
        opacities = 1 / (1 + np.exp(-torn.table[project.LOGITS].astype(float)))
        gradients[project.LOGITS] += opacity_weight * opacities * (1 - opacities)
        scales = slice(project.LOG_SCALES, project.LOG_SCALES + 3)
        gradients[scales] += scale_weight * np.exp(torn.table[scales])
        count = 11 + 3 * 9
        tensors = [torch.from_numpy(array[:count]) for array in (torn.table, gradients, torn.first, torn.second)]
        adam_reference.step(*tensors, torch.from_numpy(rates[:count, None]), time)
        np.testing.assert_allclose(whole.table[:, :90], torn.table[:, :90], rtol=1e-4, atol=1e-5)


def test_magnitudes_are_summed_pixel_by_pixel():
    """One gaussian, whose gradient each pixel gives in turn."""
    values = {name: array[:1] for name, array in scene(3).items()}
    values["means"][:], values["opacity_logits"][:] = [0.1, -0.1, 4], 1.0
    image, kept = fast(values, False, 0, np.zeros(3, np.float32))
    _, order, rows, (starts, pairs, *own), needed = kept

    def v_rows(v_image):
        scratch, made = np.empty((len(pairs), rasterize.GRADIENTS), np.float32), np.empty((1, rasterize.V_COLUMNS), np.float32)
        rasterize.backward(rows, starts, pairs, *own, needed, image, v_image, True, scratch, made, 1)
        return made[0]

    v_image = np.random.default_rng(3).normal(size=image.shape).astype(np.float32)
    total = np.zeros(2)
    for y in range(HEIGHT):
        for x in np.flatnonzero(image[3, y] < 1):
            single = np.zeros_like(v_image)
            single[:, y, x] = v_image[:, y, x]
            total += np.abs(v_rows(single)[:2])
    np.testing.assert_allclose(v_rows(v_image)[10:12], total, rtol=1e-3)
    assert (total > 1.5 * np.abs(v_rows(v_image)[:2])).all()
    np.testing.assert_allclose(v_rows(v_image)[12], (1 - image[3]).sum(), rtol=1e-4)


def test_depth_and_its_gradient_match_the_reference():
    """Depth composited like a colour, through the renderer, against torch: where a gaussian is, how deep, how opaque."""
    values = scene(60, seed=5)
    gaussians = Gaussians(values, np.zeros(3))
    camera = Camera(WIDTH, HEIGHT, 60.0, 62.0, 36.0, 24.0, np.linalg.inv(view()[0].astype(float)) @ np.diag([1.0, -1.0, -1.0, 1.0]))
    renderer = Renderer(2)
    renderer.render(gaussians, camera, np.zeros(3), degree=0, antialias=False, near=NEAR)
    depth = renderer.composite_depth()
    v_depth = np.random.default_rng(2).normal(size=depth.shape).astype(np.float32)
    renderer.backward(np.zeros((4, HEIGHT, WIDTH), np.float32))
    renderer.backward_depth(v_depth)
    gradients = Gaussians(values, np.zeros(3))
    gradients.table[:] = 0
    rank_of = np.full(gaussians.table.shape[1], -1, np.int32)
    rank_of[renderer.order] = np.arange(len(renderer.order))
    project.backward(gaussians.table, *view(), WIDTH, HEIGHT, False, 0, rank_of, renderer.v_rows, gradients.table)

    leaves = {name: torch.tensor(values[name], dtype=torch.float64, requires_grad=True) for name in NAMES}
    viewmat, _, lens = (torch.tensor(part, dtype=torch.float64) for part in view())
    sh = torch.cat([leaves["sh0"][:, None], leaves["shn"]], 1)
    places = (leaves[name] for name in NAMES[:4])
    rows, depths, visible = project_reference.project(*places, sh, viewmat, lens, WIDTH, HEIGHT, NEAR, False, 0)
    index = torch.where(visible)[0]
    index = index[torch.argsort(depths[index], stable=True)]
    rows = torch.cat([rows[index, :6], depths[index, None], torch.zeros(len(index), 2, dtype=torch.float64)], 1)
    expected = rasterize_reference.rasterize(rows, WIDTH, HEIGHT, torch.zeros(3, dtype=torch.float64))[[0, 3]]
    np.testing.assert_allclose(depth, expected.detach().numpy(), atol=1e-4)
    (expected * torch.tensor(v_depth)).sum().backward()
    for name in ("means", "log_scales", "quats", "opacity_logits"):
        grown = leaves[name].grad.numpy()
        np.testing.assert_allclose(gradients.values[name], grown, atol=4e-5 * np.abs(grown).max(), err_msg=name)
