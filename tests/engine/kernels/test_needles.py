# SPDX-License-Identifier: GPL-3.0-or-later
"""Gaussians of extreme shapes, positions and values: long needles, the near plane, zero scales, NaN and infinity, in every pass."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.cameras import Camera
from engine.kernels.project import cpu as project
from engine.kernels.project import reference as project_reference
from engine.kernels.rasterize import cpu as rasterize
from engine.kernels.rasterize import reference as rasterize_reference
from engine.kernels.tiles import cpu as tiles
from engine.splats.gaussians import Gaussians
from engine.splats.renderer import Renderer

ROOT = Path(__file__).parents[3]
NAMES = ("means", "log_scales", "quats", "opacity_logits", "sh0", "shn")
WIDTH, HEIGHT = 45, 35
NEAR = 0.02
f = np.float32

NEEDLES = """
import sys
import numpy as np
from engine.cameras import Camera
from engine.splats.gaussians import Gaussians
from engine.splats.renderer import Renderer

f, count, rng = np.float32, 4000, np.random.default_rng(0)
depth = rng.uniform(0.03, 0.3, count)
means = np.stack([rng.uniform(-0.35, 0.35, count) * depth, rng.uniform(-0.2, 0.2, count) * depth, -depth], axis=1).astype(f)
log_scales = np.log(np.stack([rng.uniform(0.2, 3, count), np.full(count, 1e-5), np.full(count, 1e-5)], axis=1)).astype(f)
values = dict(means=means, log_scales=log_scales, quats=rng.normal(size=(count, 4)).astype(f), shn=np.zeros((count, 0, 3), f),
              opacity_logits=rng.normal(0, 2, count).astype(f), sh0=rng.normal(size=(count, 3)).astype(f))
renderer = Renderer(2)
camera = Camera(960, 540, 1400.0, 1400.0, 480.0, 270.0, np.eye(4))
image = renderer.render(Gaussians(values, np.zeros(3)), camera, np.zeros(3), degree=0, antialias=False, near=0.02)
renderer.backward(rng.normal(size=image.shape).astype(f), absolute=True)
assert len(renderer.order) > 3900 and np.isfinite(image).all() and np.isfinite(renderer.v_rows).all()
assert 0 <= image[3].min() and image[3].max() <= 1 and 0.01 < image[3].mean() < 0.9
print("RENDERED")
"""


def test_needles_close_to_the_camera_do_not_corrupt_memory():
    done = subprocess.run([sys.executable, "-c", NEEDLES], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "RENDERED", (done.returncode, done.stderr[-2000:])


def ellipses(rng, count, lengths):
    """Rows of needles that cross the image or its border: up to ``lengths`` px long, a pixel or a few wide, at any angle."""
    long = np.exp(rng.uniform(np.log(0.6), np.log(lengths), count))
    short = np.minimum(long, np.exp(rng.uniform(np.log(0.55), np.log(3), count)))
    angle = rng.choice([0, np.pi / 2, *rng.uniform(0, np.pi, 3)], count) + rng.choice([0, 1e-6, 1e-3], count)
    # Along the needle the center may lie far outside.
    away = rng.uniform(-1, 1, count) * np.minimum(2 * long, 1000)
    x = rng.uniform(-1, WIDTH + 1, count) + away * np.cos(angle)
    y = rng.uniform(-1, HEIGHT + 1, count) + away * np.sin(angle)
    var_x = (long * np.cos(angle)) ** 2 + (short * np.sin(angle)) ** 2
    covariance = (long**2 - short**2) * np.cos(angle) * np.sin(angle)
    rows = np.zeros((count, tiles.COLUMNS), f)
    rows[:, tiles.X], rows[:, tiles.Y] = x, y
    rows[:, tiles.PRECISION_X], rows[:, tiles.SLOPE] = 1 / var_x, covariance / var_x
    rows[:, tiles.PRECISION_Y] = var_x / (long * short) ** 2
    rows[:, tiles.OPACITY] = rng.uniform(0.02, 1, count)
    rows[:, tiles.RED : tiles.BLUE + 1] = rng.random((count, 3))
    rows[:, tiles.DEPTH] = np.sort(rng.uniform(0.03, 10, count))
    rows[:, tiles.EXTENT] = 2 * np.log(255 * rows[:, tiles.OPACITY])
    return rows


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([10.0, 1e3, 1e6]))
@example(0, 1e6)
def test_needles_are_composited_as_the_reference_says(seed, lengths):
    """Images, median depth, and gradients of the rows with random cotangents; the reference computes in double precision."""
    rng = np.random.default_rng(seed)
    rows = ellipses(rng, 12, lengths)
    binned = starts, pairs, *own = tiles.bin_pairs(rows, WIDTH, HEIGHT)
    image, depth = np.zeros((4, HEIGHT, WIDTH), f), np.zeros((HEIGHT, WIDTH), f)
    background = np.array([0.1, 0.2, 0.3], f)
    needed = rasterize.forward(rows, starts, pairs, background, image, 2)
    rasterize.median_depth(rows, starts, pairs, depth, 2)

    leaf = torch.tensor(rows.astype(np.float64), requires_grad=True)
    p_x, slope, p_y = leaf[:, tiles.PRECISION_X], leaf[:, tiles.SLOPE], leaf[:, tiles.PRECISION_Y]
    conic = torch.stack([p_x + p_y * slope**2, -p_y * slope, p_y], 1)
    given_rows = torch.cat([leaf[:, :2], conic, leaf[:, tiles.OPACITY : tiles.BLUE + 1]], 1)
    expected = rasterize_reference.rasterize(given_rows, WIDTH, HEIGHT, torch.tensor(background, dtype=torch.float64))
    # Rounding may move a pixel across the threshold of 1/255, here and there.
    off = np.abs(image - expected.detach().numpy()).max(axis=0)
    assert off.max() < 0.02 and (off < 2e-3).mean() > 0.98
    medians = rasterize_reference.median_depth(given_rows.detach(), leaf.detach()[:, tiles.DEPTH], WIDTH, HEIGHT).numpy()
    assert (np.abs(depth - medians) < 1e-4).mean() > 0.97

    v_image = rng.normal(size=image.shape).astype(f)
    scratch, v_rows = np.empty((len(pairs), rasterize.GRADIENTS), f), np.empty((len(rows), rasterize.V_COLUMNS), f)
    rasterize.backward(rows, *binned, needed, image, v_image, True, scratch, v_rows, 2)
    assert np.isfinite(v_rows).all()
    (expected * torch.tensor(v_image)).sum().backward()
    wanted = leaf.grad.numpy()[:, : tiles.BLUE + 1]
    # Sums over pixels of a length: each gradient against what its cotangents could make at most.
    for column in range(tiles.BLUE + 1):
        scale = np.abs(wanted[:, column]) + 0.02 * np.abs(wanted[:, column]).max() + 1e-6
        assert (np.abs(v_rows[:, column] - wanted[:, column]) / scale < 0.05).mean() > 0.95, column


def scene(rng, count=10):
    values = {
        "means": (rng.normal(size=(count, 3)) * 0.3 + [0, 0, -1.5]).astype(f),
        "log_scales": rng.normal(-2.5, 0.6, (count, 3)).astype(f),
        "quats": rng.normal(size=(count, 4)).astype(f),
        "opacity_logits": rng.normal(0, 2, count).astype(f),
        "sh0": rng.normal(size=(count, 3)).astype(f),
        "shn": rng.normal(0, 0.2, (count, 3, 3)).astype(f),
    }
    return values


CAMERA = Camera(WIDTH, HEIGHT, 40.0, 41.0, 22.0, 18.0, np.eye(4))


def passes(values, antialias):
    """Every pass over a scene, forward and backward, then a step. Returns the images, the gradients on the screen, and the gaussians."""
    gaussians, renderer = Gaussians(values, np.zeros(3)), Renderer(2)
    image = renderer.render(gaussians, CAMERA, np.full(3, 0.5), degree=1, antialias=antialias, near=NEAR).copy()
    layers = [image, renderer.composite_depth(), renderer.median_depth(), renderer.surface_depth(gaussians), renderer.expected_depth()]
    layers += [renderer.composite_normals(gaussians), renderer.normals(gaussians)]
    rng = np.random.default_rng(1)
    renderer.backward(rng.normal(size=image.shape).astype(f), absolute=True)
    renderer.backward_depth(rng.normal(size=(2, HEIGHT, WIDTH)).astype(f))
    renderer.composite_normals(gaussians)
    renderer.backward_normals(rng.normal(size=image.shape).astype(f))
    v_rows = np.zeros((len(gaussians), renderer.v_rows.shape[1]), f)
    v_rows[renderer.order] = renderer.v_rows
    renderer.step(gaussians, np.full(len(gaussians.table), 1e-3, f), 1)
    return layers, v_rows, gaussians


def test_harmonics_that_are_not_there_are_refused():
    gaussians = Gaussians(scene(np.random.default_rng(0)), np.zeros(3))
    for degree in (2, 3, -1):
        with pytest.raises(ValueError, match="harmonics"):
            Renderer(1).render(gaussians, CAMERA, np.zeros(3), degree=degree, antialias=False, near=NEAR)


EXTREMES = {
    "means": [0.0, -NEAR, -NEAR * 1.001, 3.0, -1e-7, 1e6, -1e6, 1e30, -1e38],
    "log_scales": [-30.0, -100.0, -1e30, -np.inf, 5.0, 12.0, 20.0, 40.0, 88.0, 1e30],
    "quats": [0.0, 1e-30, 1e-12, 1e12, 1e30],
    "opacity_logits": [-1e30, -np.inf, -80.0, -5.5, 17.0, 80.0, 1e30, np.inf],
    "sh0": [0.0, 1e6, -1e6],
    "shn": [0.0, 1e6, -1e6],
}
BAD = [np.nan, np.inf, -np.inf]


@settings(max_examples=80, deadline=None)
@given(st.data(), st.integers(0, 2**32 - 1), st.booleans())
def test_extreme_values_stay_finite_in_every_pass(data, seed, antialias):
    """Any finite values, at the near plane and behind it, of no size, of no opacity and all of it."""
    values = scene(np.random.default_rng(seed))
    for _ in range(data.draw(st.integers(1, 6))):
        name = data.draw(st.sampled_from(NAMES))
        array = values[name].reshape(10, -1)
        row, column = data.draw(st.integers(0, 3)), data.draw(st.sampled_from([*range(array.shape[1]), slice(None)]))
        array[row, column] = data.draw(st.sampled_from(EXTREMES[name]))
    with np.errstate(over="ignore"):
        layers, v_rows, gaussians = passes(values, antialias)
    assert all(np.isfinite(layer).all() for layer in layers)
    assert (layers[0][3] >= 0).all() and (layers[0][3] <= 1).all()
    assert np.isfinite(v_rows).all()
    # What was ordinary is ordinary after a step.
    assert all(np.isfinite(array[4:]).all() for array in gaussians.values.values())


@pytest.mark.parametrize(
    ("name", "bad"),
    # An opacity of 1 and a size of 0 are limits that are drawn.
    [(name, bad) for name in NAMES for bad in BAD if (name, bad) not in (("opacity_logits", np.inf), ("log_scales", -np.inf))],
)
def test_what_is_not_finite_is_not_drawn_and_spoils_nothing(name, bad):
    for antialias in (False, True):
        values = scene(np.random.default_rng(5))
        without = {key: np.delete(array, 3, axis=0) for key, array in values.items()}
        values[name].reshape(10, -1)[3, -1] = bad
        (layers, v_rows, gaussians), (others, other_rows, other) = passes(values, antialias), passes(without, antialias)
        for layer, alone in zip(layers, others, strict=True):
            assert np.array_equal(layer, alone)
        assert np.array_equal(np.delete(v_rows, 3, axis=0), other_rows) and not v_rows[3].any()
        for key in NAMES:
            assert np.array_equal(np.delete(gaussians.values[key], 3, axis=0), other.values[key]), key


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("means", [0.0, 0.0, -NEAR]),
        ("means", [0.0, 0.0, -1.01 * NEAR]),
        ("means", [0.001, -0.002, -1.01 * NEAR]),
        ("means", [0.0, 0.0, 0.0]),
        ("means", [0.3, 0.1, 1.0]),
        ("means", [0.56, 0.0, -1.0]),
        ("means", [-2.0, 1.5, -1.0]),
        ("log_scales", -np.inf),
        ("log_scales", [-np.inf, -2.0, -1.0]),
        ("log_scales", [-100.0, -100.0, 6.0]),
        ("log_scales", 5.0),
        ("opacity_logits", -np.inf),
        ("opacity_logits", -5.53),
        ("opacity_logits", np.inf),
        ("opacity_logits", 30.0),
        ("quats", [1e-9, 0.0, 1e-9, 0.0]),
        ("quats", [1e9, 0.0, 1e9, 2e9]),
        ("sh0", -50.0),
        ("sh0", 1e4),
    ],
)
def test_limits_match_the_reference(name, value, antialias):
    """The near plane, behind it, the border, no size, no opacity and all of it: images, and gradients with random cotangents."""
    values = scene(np.random.default_rng(3))
    values[name][0] = value
    gaussians, renderer = Gaussians(values, np.zeros(3)), Renderer(2)
    image = renderer.render(gaussians, CAMERA, np.full(3, 0.5), degree=1, antialias=antialias, near=NEAR)
    v_image = np.random.default_rng(4).normal(size=image.shape).astype(f)
    renderer.backward(v_image)
    rank_of = np.full(gaussians.table.shape[1], -1, np.int32)
    rank_of[renderer.order] = np.arange(len(renderer.order))
    gradients = Gaussians(values, np.zeros(3))
    gradients.table[:] = 0
    project.backward(gaussians.table, *renderer._view, antialias, 1, rank_of, renderer.v_rows, gradients.table)

    leaves = {key: torch.tensor(values[key], dtype=torch.float64, requires_grad=True) for key in NAMES}
    sh = torch.cat([leaves["sh0"][:, None], leaves["shn"]], 1)
    view = (torch.tensor(np.asarray(part), dtype=torch.float64) for part in (renderer._view[0], renderer._view[2]))
    rows, depths, seen = project_reference.project(*(leaves[key] for key in NAMES[:4]), sh, *view, WIDTH, HEIGHT, NEAR, antialias, 1)
    index = torch.where(seen)[0]
    index = index[torch.argsort(depths[index], stable=True)]
    expected = rasterize_reference.rasterize(rows[index], WIDTH, HEIGHT, torch.full((3,), 0.5, dtype=torch.float64))
    bright = max(1.0, float(expected.detach().abs().max()))
    np.testing.assert_allclose(image, expected.detach().numpy(), atol=1e-3 * bright)
    (expected * torch.tensor(v_image)).sum().backward()
    for key in NAMES:
        wanted = leaves[key].grad.nan_to_num(0.0).numpy()
        np.testing.assert_allclose(gradients.values[key], wanted, atol=2e-3 * max(np.abs(wanted).max(), 1), err_msg=key)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_projection_of_needles_matches_the_reference(seed, antialias):
    """Needles up to 1e6 px long, in double precision by the reference: ellipses, opacities, and gradients with random cotangents."""
    rng = np.random.default_rng(seed)
    values = scene(rng, 32)
    values["means"][:, 2] = -np.exp(rng.uniform(np.log(NEAR * 1.1), np.log(3), 32))
    values["means"][:, :2] *= -values["means"][:, 2:]
    # Across the view, because the length of one along it is a difference of large numbers.
    values["quats"][:] = np.stack([np.cos(rng.uniform(0, 3, 32)), 0 * rng.random(32), 0 * rng.random(32), np.sin(rng.uniform(0, 3, 32))], 1)
    values["log_scales"][:] = np.log(1e-6)
    values["log_scales"][:, 0] = rng.uniform(np.log(1e-3), np.log(500), 32)
    values["opacity_logits"][:] = rng.uniform(-2, 8, 32)
    table = Gaussians(values, np.zeros(3)).table
    splats, visible = np.zeros((table.shape[1], tiles.COLUMNS), f), np.zeros(table.shape[1], bool)
    viewmat = np.diag([1.0, -1.0, -1.0, 1.0]).astype(f)
    lens = np.array([CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy], f)
    view = (viewmat, np.zeros(3, f), lens, WIDTH, HEIGHT)
    project.forward(table, *view, f(NEAR), antialias, 1, splats, visible)
    assert visible[:32].sum() > 8 and np.isfinite(splats[visible]).all()

    leaves = {name: torch.tensor(values[name], dtype=torch.float64, requires_grad=True) for name in NAMES}
    sh = torch.cat([leaves["sh0"][:, None], leaves["shn"]], 1)
    tensors = (torch.tensor(part, dtype=torch.float64) for part in (viewmat, lens))
    rows, _, seen = project_reference.project(*(leaves[name] for name in NAMES[:4]), sh, *tensors, WIDTH, HEIGHT, NEAR, antialias, 1)
    index = np.flatnonzero(visible)
    assert seen.numpy()[index].all()
    a, b, c = rows[:, 2], rows[:, 3], rows[:, 4]
    # In double precision the conic keeps enough digits, see the reference's determinant.
    det = a * c - b * b
    expected = torch.stack([rows[:, 0], rows[:, 1], det / c, -b / c, c, *rows[:, 5:].unbind(1)], 1)
    np.testing.assert_allclose(splats[index, : tiles.BLUE + 1], expected.detach().numpy()[index], rtol=2e-3, atol=1e-4)

    v_rows = rng.normal(size=(len(index), rasterize.V_COLUMNS)).astype(f)
    v_rows[:, tiles.BLUE + 1 :] = 0
    # As large as each number may be, so that all of them count.
    v_rows[:, : tiles.BLUE + 1] /= 1e-3 + np.abs(splats[index, : tiles.BLUE + 1])
    rank_of = np.full(table.shape[1], -1, np.int32)
    rank_of[index] = np.arange(len(index))
    gradients = Gaussians(values, np.zeros(3))
    gradients.table[:] = 0
    project.backward(table, *view, antialias, 1, rank_of, v_rows, gradients.table)
    (expected[index] * torch.tensor(v_rows[:, : tiles.BLUE + 1], dtype=torch.float64)).sum().backward()
    for name in NAMES:
        wanted = leaves[name].grad.numpy().reshape(32, -1)
        scale = np.abs(wanted).max(axis=1, keepdims=True) + 1e-3
        assert (np.abs(gradients.values[name].reshape(32, -1) - wanted) / scale < 2e-3).mean() > 0.98, name
