# SPDX-License-Identifier: GPL-3.0-or-later
import json
import weakref
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from engine import cameras
from engine.contract.errors import UserError
from engine.data import undistortion
from engine.data.views import frame_camera, load_views
from engine.formats.capture import read_capture

LENS = {"k1": -0.12, "k2": 0.02, "p1": 0.002, "p2": -0.003}


def capture_of(folder, pictures, depth=None, masks=None, normals=None, **table):
    """Writes pictures (arrays) as a capture of 64 × 48 views; the first is held out."""
    (folder / "images").mkdir()
    frames = []
    for number, picture in enumerate(pictures):
        entry = {"file_path": f"images/{number}.png", "transform_matrix": np.eye(4).tolist()}
        Image.fromarray(picture).save(folder / "images" / f"{number}.png")
        if depth is not None:
            np.save(folder / f"{number}.npy", depth)
            entry["depth_file_path"] = f"{number}.npy"
        if normals is not None:
            np.save(folder / f"normals{number}.npy", normals)
            entry["normal_file_path"] = f"normals{number}.npy"
        if masks is not None:
            Image.fromarray(masks).save(folder / f"mask{number}.png")
            entry["mask_path"] = f"mask{number}.png"
        frames.append(entry)
    (folder / "transforms.json").write_text(json.dumps({"w": 64, "h": 48, "fl_x": 60.0, "frames": frames} | table))
    return read_capture(folder)


def noise(seed=0, channels=3, height=48, width=64):
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def test_pictures_arrive_unchanged_with_their_cameras(tmp_path):
    pictures = [noise(seed) for seed in range(3)]
    depth = np.random.default_rng(0).uniform(1, 5, (48, 64)).astype(np.float32)
    seen = []
    capture = capture_of(tmp_path, pictures, depth, pictures[0][..., 0])
    views = load_views(capture, "train", progress=lambda done, all_: seen.append((done, all_)))
    assert [view.name for view in views] == ["1.png", "2.png"] and seen == [(1, 2), (2, 2)]
    np.testing.assert_array_equal(views[1].image, pictures[2])
    np.testing.assert_array_equal(views[0].depth, depth)
    np.testing.assert_array_equal(views[0].mask, pictures[0][..., 0])
    assert (views[0].camera.width, views[0].camera.height, views[0].camera.fx, views[0].camera.cx) == (64, 48, 60, 32)
    assert load_views(capture, "test")[0].name == "0.png"


def test_alpha_is_kept_for_all_or_dropped_for_all(tmp_path):
    opaque, clear = noise(0, 4), noise(1, 4)
    opaque[..., 3], clear[..., 3] = 255, 0
    (tmp_path / "a").mkdir()
    assert [view.image.shape[2] for view in load_views(capture_of(tmp_path / "a", [opaque] * 3), "train")] == [3, 3]
    (tmp_path / "b").mkdir()
    views = load_views(capture_of(tmp_path / "b", [clear, clear, noise(2)]), "train")
    assert [view.image.shape[2] for view in views] == [4, 4] and (views[1].image[..., 3] == 255).all()


@pytest.mark.parametrize("lens", [{}, LENS])
def test_large_photos_are_scaled_down_to_the_limit_and_small_ones_stay(tmp_path, lens):
    row, column = np.mgrid[:48, :64]
    smooth = np.stack([row * 5, column * 3, 255 - column * 3], axis=2).astype(np.uint8)
    depth = np.tile(np.arange(64, dtype=np.float32) + 1, (48, 1))
    capture = capture_of(tmp_path, [smooth] * 3, depth, **lens)
    full, capped, tiny = (load_views(capture, "train", max_side=side)[0] for side in (0, 48, 16))
    assert full.camera.width >= 60 and load_views(capture, "train", max_side=64)[0].image.shape == full.image.shape
    for view, factor in ((capped, 0.75), (tiny, 0.25)):
        assert abs(view.camera.width - factor * full.camera.width) <= 1 and view.depth.shape == view.image.shape[:2]
        assert view.camera.fx == pytest.approx(factor * full.camera.fx, rel=0.05)
        # The same place shows the same color and depth.
        x, y = 0.3, 0.6
        shown = [image[int(y * image.shape[0]), int(x * image.shape[1])].astype(float) for image in (full.image, view.image)]
        assert np.abs(shown[0] - shown[1]).max() < 3 / factor
        depths = [one.depth[int(y * one.depth.shape[0]), int(x * one.depth.shape[1])] for one in (full, view)]
        assert abs(depths[0] - depths[1]) < 1 / factor
    # Both limits hold: the smaller one counts.
    assert load_views(capture, "train", scale=0.25, max_side=48)[0].image.shape == tiny.image.shape


@pytest.mark.parametrize("clear", [0, 1])
def test_alpha_of_either_split_counts_for_both(tmp_path, clear):
    pictures = [noise(seed) for seed in range(3)]
    pictures[clear] = noise(clear, 4)
    capture = capture_of(tmp_path, pictures)
    assert {view.image.shape[2] for split in ("train", "test") for view in load_views(capture, split)} == {4}


def test_pictures_of_another_size_take_their_camera_along(tmp_path):
    pictures = [noise(0, 3, 24, 32)] * 2
    camera = load_views(capture_of(tmp_path, pictures), "train")[0].camera
    assert (camera.width, camera.height, camera.fx, camera.cx, camera.cy) == (32, 24, 30, 16, 12)


def test_pictures_of_another_shape_are_refused(tmp_path):
    with pytest.raises(UserError, match="48 × 64 pixels, but its camera is for 64 × 48"):
        load_views(capture_of(tmp_path, [noise(0, 3, 64, 48)] * 2), "train")


def test_scale_takes_the_mean_of_areas(tmp_path):
    picture = np.zeros((48, 64, 4), np.uint8)
    picture[:, ::2] = (200, 100, 50, 255)
    picture[:, 1::2] = (9, 9, 9, 0)
    depth = np.arange(48 * 64, dtype=np.float32).reshape(48, 64)
    view = load_views(capture_of(tmp_path, [picture] * 2, depth), "train", scale=0.5)[0]
    assert view.image.shape == (24, 32, 4) and view.depth.shape == (24, 32) and view.camera.fx == 30
    # What is transparent has no say in the color.
    assert np.abs(view.image.astype(int) - (200, 100, 50, 128)).max() <= 1
    assert set(view.depth.ravel()) <= set(depth.ravel())


def test_undistortion_makes_lines_of_the_scene_straight(tmp_path):
    """A distorted picture is made of a smooth scene, and has to come back as an undistorted camera sees that scene."""

    def scene(rays):
        x, y = rays[..., 0], rays[..., 1]
        return np.stack([np.sin(9 * x + 3 * y), np.cos(7 * y - 2 * x), np.sin(5 * x * y)], axis=-1) * 100 + 128

    lens = tuple(LENS.values())
    x, y = np.meshgrid((np.arange(64) + 0.5 - 30) / 60, (np.arange(48) + 0.5 - 25) / 58)
    picture = np.round(scene(cameras.undistort(np.stack([x, y], axis=-1), lens))).astype(np.uint8)
    depth = np.hypot(x, y).astype(np.float32) + 1
    mask = np.where(x > 0, 255, 0).astype(np.uint8)
    capture = capture_of(tmp_path, [picture] * 2, depth, mask, fl_x=60.0, fl_y=58.0, cx=30.0, cy=25.0, **LENS)
    view = load_views(capture, "train")[0]
    camera = view.camera
    assert view.image.shape == (camera.height, camera.width, 3) and camera.fx == 60
    assert camera.width >= 64 and camera.height >= 48  # the lens bent the picture's edges inwards
    rays = np.stack(
        np.meshgrid((np.arange(camera.width) + 0.5 - camera.cx) / 60, (np.arange(camera.height) + 0.5 - camera.cy) / 58), axis=-1
    )
    assert np.abs(view.image - scene(rays)).mean() < 1.0
    assert np.abs(view.image[3:-3, 3:-3] - scene(rays)[3:-3, 3:-3]).max() < 5
    seen = cameras.distort(rays, lens)
    assert np.abs(view.depth - 1 - np.hypot(seen[..., 0], seen[..., 1])).max() < 1.5 / 58
    clear = np.abs(seen[..., 0]) > 1 / 60
    np.testing.assert_array_equal(view.mask[clear] > 0, (seen[..., 0] > 0)[clear])
    assert set(np.unique(view.mask)) == {0, 255}


@pytest.mark.parametrize(
    ("fisheye", "lens"),
    [(True, {"k1": 0.05, "k2": -0.01, "k3": 0.002, "k4": -0.001}), (True, {}), (False, {"k1": -0.1, "k3": 0.05, "k4": 0.02, "k6": 0.01})],
)
def test_lenses_of_every_model_are_undistorted(tmp_path, fisheye, lens):
    """An image through the lens comes back as a perspective camera sees the same scene, to the corners."""

    def scene(rays):
        directions = rays / np.sqrt(1 + (rays * rays).sum(axis=-1, keepdims=True))
        return np.stack([np.sin(5 * directions[..., 0]), np.cos(4 * directions[..., 1]), directions[..., 0]], axis=-1) * 100 + 128

    x, y = np.meshgrid((np.arange(64) + 0.5 - 31) / 40, (np.arange(48) + 0.5 - 24.5) / 41)
    keys = ("k1", "k2", "k3", "k4") if fisheye else ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")
    shown = cameras.undistort(np.stack([x, y], axis=-1), [lens.get(key, 0.0) for key in keys], fisheye)
    images = [np.round(scene(shown)).astype(np.uint8)] * 2
    head = {"camera_model": "OPENCV_FISHEYE" if fisheye else "FULL_OPENCV", "fl_x": 40.0, "fl_y": 41.0, "cx": 31.0, "cy": 24.5}
    view = load_views(capture_of(tmp_path, images, **head, **lens), "train")[0]
    camera = view.camera
    x, y = (np.arange(camera.width) + 0.5 - camera.cx) / 40, (np.arange(camera.height) + 0.5 - camera.cy) / 41
    rays = np.stack(np.meshgrid(x, y), axis=-1)
    assert camera.width >= 60 and np.abs(view.image - scene(rays)).mean() < 1 and np.abs(view.image - scene(rays)).max() < 8


def test_a_lens_for_each_photo_does_not_fill_the_memory(tmp_path, monkeypatch):
    made, alive = [], []

    def counted(camera, frame):
        ideal, grid = original(camera, frame)
        made.append(weakref.ref(grid))
        alive.append(sum(map_() is not None for map_ in made))
        return ideal, grid

    original = undistortion._map
    monkeypatch.setattr(undistortion, "_map", counted)
    capture = capture_of(tmp_path, [noise()] * 12, k1=0.01)
    frames = [replace(frame, fl_x=60.0 + index) for index, frame in enumerate(capture.frames)]
    assert len(load_views(replace(capture, frames=tuple(frames)), "train")) == 10
    assert len(made) == 10 and max(alive) <= 5


def test_normals_stay_unit_vectors_when_views_shrink(tmp_path):
    x, y = np.meshgrid(np.linspace(-1, 1, 64), np.linspace(-1, 1, 48))
    normals = np.stack([x, y, np.full_like(x, 2)], axis=-1).astype(np.float32)
    truth = (normals / np.linalg.norm(normals, axis=-1, keepdims=True)).transpose(2, 0, 1)
    normals[:, :20] = 0
    normals[5, 40] = np.nan
    normals[:, 62] = -normals[:, 63]
    capture = capture_of(tmp_path, [noise()] * 2, normals=normals)
    whole = load_views(capture, "train")[0].normals
    known = whole.any(axis=0)
    assert whole.shape == (3, 48, 64) and whole.dtype == np.float32
    assert not known[:, :20].any() and not known[5, 40] and known[6:, 21:].all()
    np.testing.assert_allclose(whole[:, known & (x < 0.9)], truth[:, known & (x < 0.9)], atol=1e-6)
    half = load_views(capture, "train", scale=0.5)[0].normals
    assert half.shape == (3, 24, 32) and not half[:, :, :10].any() and not half[:, :, 31].any(), "opposites have no mean"
    np.testing.assert_allclose(np.linalg.norm(half[:, :, 10:31], axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(half[:, 1:, 12:31], truth.reshape(3, 24, 2, 32, 2).mean(axis=(2, 4))[:, 1:, 12:31], atol=0.02)


def test_normals_are_undistorted_with_their_picture(tmp_path):
    x, _ = np.meshgrid((np.arange(64) + 0.5 - 30) / 60, np.arange(48))
    normals = np.where((x > 0)[..., None], np.float32([0.6, 0, 0.8]), np.float32([0, 1, 0])).astype(np.float32)
    capture = capture_of(tmp_path, [noise()] * 2, normals=normals, fl_x=60.0, fl_y=58.0, cx=30.0, cy=25.0, **LENS)
    view = load_views(capture, "train")[0]
    camera = view.camera
    rays = np.stack(
        np.meshgrid((np.arange(camera.width) + 0.5 - camera.cx) / 60, (np.arange(camera.height) + 0.5 - camera.cy) / 58), axis=-1
    )
    seen = cameras.distort(rays, tuple(LENS.values()))[..., 0]
    assert view.normals.shape == (3, camera.height, camera.width)
    assert (view.normals[0] > 0.5)[seen > 1 / 60].all() and (view.normals[1] > 0.5)[seen < -1 / 60].all()


@pytest.mark.parametrize("shape", [(30, 30, 3), (48, 64), (48, 64, 4)])
def test_normals_of_another_shape_are_refused(tmp_path, shape):
    with pytest.raises(UserError):
        load_views(capture_of(tmp_path, [noise()] * 2, normals=np.ones(shape, np.float32)), "train")


def test_impossible_lenses_are_refused(tmp_path):
    with pytest.raises(UserError, match="folds"):
        load_views(capture_of(tmp_path, [noise()] * 2, k1=-3.0), "train")


@pytest.mark.parametrize("shape", [(30, 30), (48, 64, 1)])
def test_depth_of_another_shape_is_refused(tmp_path, shape):
    with pytest.raises(UserError):
        load_views(capture_of(tmp_path, [noise()] * 2, np.ones(shape, np.float32)), "train")


def test_a_frames_camera_is_its_matrix(tmp_path):
    capture = capture_of(tmp_path, [noise()] * 2)
    assert np.array_equal(frame_camera(capture.frames[0]).camera_to_world, np.eye(4))


def test_published_captures(shared_data):
    lego = load_views(read_capture(shared_data("lego400")), "test", scale=0.5)
    assert len(lego) == 25 and lego[0].image.shape == (200, 200, 4) and lego[0].camera.fx == pytest.approx(277.7778)
    # The background is clear, the brick opaque and yellow.
    shown = lego[0].image[lego[0].image[..., 3] == 255][:, :3].mean(axis=0)
    assert 0.05 < (lego[0].image[..., 3] > 0).mean() < 0.7 and shown[0] > shown[2] + 30
    fox = load_views(read_capture(shared_data("fox_colmap")), "test", scale=0.25)
    assert len(fox) == 7 and fox[0].image.shape[2] == 3 and abs(fox[0].image.shape[0] - 240) < 3


def test_masks_that_leave_nothing_are_refused_for_every_method(tmp_path_factory):
    pictures = [noise(seed) for seed in range(3)]
    black = np.zeros((48, 64), np.uint8)
    with pytest.raises(UserError, match="no pixel to train on"):
        load_views(capture_of(tmp_path_factory.mktemp("a"), pictures, masks=black), "train")
    one = black.copy()
    one[0, 0] = 255
    assert load_views(capture_of(tmp_path_factory.mktemp("b"), pictures, masks=one), "train")
