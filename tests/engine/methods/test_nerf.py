# SPDX-License-Identifier: GPL-3.0-or-later
"""Method nerf: that it learns, that runs repeat and go on exactly, and that what it shows lies where the world has it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from engine import metrics
from engine.cameras import Camera
from engine.contract.capture import Capture, Frame
from engine.contract.errors import UserError
from engine.contract.methods.nerf import NerfSettings
from engine.contract.presets import with_preset
from engine.contract.result import Result
from engine.contract.schema import from_mapping
from engine.contract.settings import TrainSettings
from engine.data.bounds import Bounds
from engine.data.views import View, load_views
from engine.formats.capture import read_capture
from engine.formats.meshes import read_mesh
from engine.formats.points import read_points
from engine.methods import load_model, nerf, training_cost
from engine.runs.scoring import background, target

SMALL = NerfSettings(
    width=32, depth=2, position_octaves=4, direction_octaves=2, coarse_samples=16, fine_samples=16, rays=128, learning_rate=5e-3, points=500
)


def settings(steps=150, inner=SMALL, **more):
    return TrainSettings(method="nerf", steps=steps, nerf=inner, **more)


def trainer_for(capture, given, blend="srgb", scale=0.5):
    return nerf.NerfTrainer(given, capture, load_views(capture, "train", scale=scale), blend, 2)


def train(trainer, first, last, steps):
    for step in range(first, last):
        trainer.step(step / steps)
    return trainer


def score(model, capture, blend="srgb", scale=0.5):
    view = load_views(capture, "test", scale=scale)[0]
    return metrics.psnr(model.render(view.camera, background(view))[0], target(view, blend))


@pytest.fixture(scope="module")
def capture(small_capture):
    return read_capture(small_capture)


@pytest.mark.parametrize(
    "inner",
    [
        SMALL,
        replace(SMALL, network="simple", coarse_samples=32, fine_samples=0),
        replace(SMALL, precision="bfloat16"),
        replace(SMALL, sampler="occupancy"),
    ],
    ids=["published", "simple", "bfloat16", "occupancy"],
)
def test_it_learns(capture, inner):
    trainer = trainer_for(capture, settings(inner=inner))
    before = score(trainer, capture)
    assert score(train(trainer, 0, 120, 120), capture) > max(before + 4, 18)


@pytest.mark.parametrize("blend, behind", [("linear", "auto"), ("srgb", "random"), ("linear", "random")])
def test_it_learns_in_either_light_and_before_any_background(capture, blend, behind):
    trainer = train(trainer_for(capture, settings(background=behind), blend), 0, 120, 120)
    assert score(trainer, capture, blend) > 17
    view = load_views(capture, "test", scale=0.5)[0]
    light, alpha, depth = trainer.layers(view.camera)
    assert light.shape == (3, 20, 24) and alpha.shape == depth.shape == (20, 24)
    # What stands before nothing looks the same as what render shows before black.
    black, _ = trainer.render(view.camera, np.zeros(3))
    codes = np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)
    solid = alpha > 0.9
    assert solid.sum() > 10 and codes[:, solid] == pytest.approx(black[:, solid], abs=0.1 if blend == "srgb" else 1e-3)


@pytest.mark.parametrize("sampler", ["paper", "occupancy"])
def test_the_same_seed_gives_the_same_numbers_and_a_resumed_run_goes_on_exactly(capture, sampler):
    given = settings(inner=replace(SMALL, sampler=sampler, density_noise=0.5, one_view=True, crop_steps=10), background="random")
    whole = train(trainer_for(capture, given), 0, 40, 40).state()
    half = train(trainer_for(capture, given), 0, 17, 40)
    # What is looked at or written between changes nothing.
    half.points()
    other = trainer_for(capture, given)
    other.load_state(*half.state())
    again = train(other, 17, 40, 40).state()
    assert whole[1] == again[1] and whole[0].keys() == again[0].keys()
    assert all(np.array_equal(whole[0][name], again[0][name]) for name in whole[0])
    elsewhere = train(trainer_for(capture, replace(given, seed=1)), 0, 2, 40).state()
    assert not np.array_equal(whole[0]["networks.0.density.weight"], elsewhere[0]["networks.0.density.weight"])
    with pytest.raises(UserError, match="other views"):
        other.load_state(whole[0], {**whole[1], "views": ["a"]})


def test_a_checkpoint_of_another_place_is_refused(capture, tmp_path):
    views = facing()
    inner = replace(SMALL, near=1.0, far=40.0)
    for made in (
        trainer_for(capture, settings(inner=replace(SMALL, sampler="occupancy"))),
        nerf.NerfTrainer(settings(inner=replace(inner, ndc="on")), plain_capture(tmp_path), views, "srgb", 2),
        nerf.NerfTrainer(settings(inner=replace(inner, ndc="off")), plain_capture(tmp_path), views, "srgb", 2),
    ):
        arrays, facts = made.state()
        facts = json.loads(json.dumps(facts))
        old = {name: value for name, value in facts.items() if name not in ("center", "radius", "rotation", "frustum")}
        for same in (facts, old):
            made.load_state(arrays, same)
        frustum = None if facts["frustum"] else [0.5, 0.5, 1.0]
        for other in ({"radius": 1.01 * facts["radius"]}, {"rotation": (-np.eye(3)).tolist()}, {"frustum": frustum}):
            with pytest.raises(UserError, match="another place"):
                made.load_state(arrays, {**facts, **other})


@pytest.mark.parametrize("sampler", ["paper", "occupancy"])
def test_what_is_written_is_loaded_and_shows_the_same(capture, tmp_path, sampler):
    trainer = train(trainer_for(capture, settings(60, replace(SMALL, sampler=sampler))), 0, 60, 60)
    made = dict(trainer.artifacts(tmp_path))
    assert set(made) >= {"field", "points"}
    cloud = read_points(tmp_path / made["points"])
    low, high = np.array(trainer.bounds())
    assert 20 < len(cloud) <= 500 and np.linalg.norm(cloud.normals, axis=1) == pytest.approx(1, abs=1e-3)
    inside = ((cloud.positions >= low) & (cloud.positions <= high)).all(axis=1)
    assert inside.mean() > 0.9 and np.median(np.linalg.norm(cloud.positions, axis=1)) < 1.2
    result = Result("done", "nerf", "", device="cpu").with_artifact("field", made["field"])
    model = load_model(tmp_path, result, 2)
    camera = load_views(capture, "test", scale=0.5)[0].camera
    for shown, again in zip(trainer.layers(camera), model.layers(camera), strict=True):
        assert np.array_equal(shown, again)
    whole = (tmp_path / made["field"]).read_bytes()
    for bad in (b"", whole[:200], whole.replace(b"0.density.bias", b"0.density.bits"), whole.replace(b"radius", b"Radius")):
        (tmp_path / made["field"]).write_bytes(bad)
        with pytest.raises(UserError):
            load_model(tmp_path, result, 2)
    with pytest.raises(UserError, match="no field"):
        load_model(tmp_path, Result("running", "nerf", ""), 2)


class Wall(nn.Module):
    """A red wall across the field, opaque behind a plane of its coordinates: ``positions @ normal > offset``."""

    def __init__(self, normal, offset):
        super().__init__()
        self.normal, self.offset = torch.tensor(normal, dtype=torch.float32), float(offset)

    def raw_density(self, positions):
        return ((positions @ self.normal) - self.offset) * 1e7

    def forward(self, positions, directions):
        return self.raw_density(positions), torch.tensor([1.0, 0.0, 0.0]).expand_as(positions)


def facing(count=4, far=0.0, shift=3.0):
    """Views of cameras side by side that all look along -Y, with lens shift."""
    views = []
    for index in range(count):
        pose = np.array([[-1.0, 0, 0, index * 0.2 - 0.3 + far], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
        camera = Camera(12, 10, 14.0, 14.0, 6 + shift, 5 - shift / 2, pose)
        views.append(View(str(index), camera, np.full((10, 12, 3), 90, np.uint8)))
    return views


def masked(views, seen):
    """The views, with masks that leave out all of those whose place in the list is not in ``seen``."""
    return [replace(view, mask=np.full(view.image.shape[:2], 255 * (index in seen), np.uint8)) for index, view in enumerate(views)]


def plain_capture(tmp_path):
    return Capture(tmp_path, (), "nerfstudio")


@pytest.mark.parametrize("ndc", ["on", "off"])
@pytest.mark.parametrize("far", [0.0, 3e4])
def test_depth_points_and_normals_are_those_of_the_world(tmp_path, ndc, far):
    views = facing(far=far)
    inner = replace(SMALL, near=1.0, far=40.0, ndc=ndc, coarse_samples=512, fine_samples=512, points=200)
    trainer = nerf.NerfTrainer(settings(inner=inner), plain_capture(tmp_path), views, "srgb", 2)
    # The wall is the plane y = -6 of the world.
    if ndc == "on":
        near = trainer.renderer.frustum.near * trainer.space.radius
        wall = Wall([0, 0, 1], 1 - 2 * near / 6)
    else:
        wall = Wall([0, -1, 0], (6 + trainer.space.center[1]) / trainer.space.radius)
    trainer.renderer.networks = nn.ModuleList([wall, wall])
    light, alpha, depth = trainer.layers(views[1].camera)
    assert alpha == pytest.approx(1, abs=1e-3) and depth == pytest.approx(6, rel=0.03)
    assert light[0] == pytest.approx(1, abs=1e-3) and np.abs(light[1:]).max() < 1e-3
    positions, colors, normals = trainer.points()
    assert positions[:, 1] == pytest.approx(-6, rel=0.03) and np.abs(positions[:, 0] - far).max() < 6
    assert normals == pytest.approx(np.broadcast_to([0.0, 1.0, 0.0], normals.shape), abs=1e-3) and (colors == [255, 0, 0]).all()


def test_the_mesh_is_the_wall_in_its_colour_and_none_is_made_in_ndc_or_where_none_is_wanted(tmp_path):
    views = facing(far=3e4)
    inner = replace(SMALL, near=1.0, far=40.0, ndc="off", coarse_samples=128, fine_samples=128, points=500, mesh_cells=60)
    trainer = nerf.NerfTrainer(settings(inner=inner), plain_capture(tmp_path), views, "srgb", 2)
    wall = Wall([0, -1, 0], (6 + trainer.space.center[1]) / trainer.space.radius)
    trainer.renderer.networks = nn.ModuleList([wall, wall])
    mesh = read_mesh(tmp_path / dict(trainer.artifacts(tmp_path))["mesh"])
    corners = mesh.vertices.positions
    facing_us = mesh.vertices.normals[:, 1] > 0.9
    assert facing_us.sum() > 100 and np.median(corners[facing_us, 1]) == pytest.approx(-6, rel=0.03)
    assert np.abs(corners[:, 0] - 3e4).max() < 8 and (mesh.vertices.colors[facing_us] == [255, 0, 0]).all()
    trainer.settings = replace(inner, mesh_cells=0)
    assert trainer.mesh() is None
    given = settings(inner=replace(inner, ndc="on"))
    assert nerf.NerfTrainer(given, plain_capture(tmp_path), views, "srgb", 2).mesh() is None


@pytest.mark.parametrize("sampler", ["paper", "occupancy"])
def test_steps_that_see_nothing_do_not_change_how_a_resumed_run_goes_on(tmp_path, sampler):
    views = masked(facing(), seen={1})
    given = settings(inner=replace(SMALL, sampler=sampler, near=1.0, far=40.0, one_view=True))

    def trainer():
        return nerf.NerfTrainer(given, plain_capture(tmp_path), views, "srgb", 2)

    whole = trainer()
    losses = [whole.step(step / 12) for step in range(12)]
    assert 0.0 in losses and any(losses)
    for pause in (1, 2, 6, 11):
        half = trainer()
        for step in range(pause):
            half.step(step / 12)
        again = trainer()
        again.load_state(*half.state())
        for step in range(pause, 12):
            again.step(step / 12)
        assert again.state()[1] == whole.state()[1]
        assert all(np.array_equal(array, again.state()[0][name]) for name, array in whole.state()[0].items())


def test_pictures_of_nothing_do_not_change_what_a_pixel_is_thought_to_cost(capture, tmp_path):
    trainer = trainer_for(capture, settings(inner=replace(SMALL, sampler="occupancy", mesh_cells=16), minutes=1.0))
    before = trainer.pixel_seconds
    camera = trainer.views[0].camera
    away = replace(camera, camera_to_world=camera.camera_to_world @ np.diag([-1.0, 1, -1, 1]))
    assert not trainer.render(away, np.zeros(3))[1].any()
    assert trainer.pixel_seconds == before > 0
    list(trainer.artifacts(tmp_path))
    # Not even where the training rays that were looked along pass by everything.
    trainer.renderer.grid.exclude(0, torch.ones(trainer.renderer.grid.thickness.shape[1:], dtype=torch.bool))
    trainer.step(0.5)
    assert 0 < trainer.pixel_seconds < before
    assert dict(nerf.NerfTrainer.artifacts(trainer, tmp_path)).keys() == {"field"}


def test_the_end_is_expected_to_take_its_share_of_the_time_at_most(capture):
    trainer = trainer_for(capture, settings(inner=replace(SMALL, points=10**9, mesh_cells=512), minutes=1.0))
    assert trainer.ending_seconds == pytest.approx(2 * 0.1 * 60)
    trainer.settings = replace(SMALL, points=100, mesh_cells=0)
    assert trainer.ending_seconds == pytest.approx(100 * trainer.pixel_seconds)
    trainer.minutes = None
    assert trainer.ending_seconds == pytest.approx(100 * trainer.pixel_seconds)


@pytest.mark.parametrize("sampler, words", [("paper", "enough for about"), ("occupancy", "enough for at least")])
def test_what_is_said_of_the_cost_is_the_most_where_rays_will_pass_over_empty_space(capture, sampler, words):
    note = trainer_for(capture, settings(inner=replace(SMALL, sampler=sampler), minutes=1.0)).note
    assert words in note and note.startswith("At first") == (sampler == "occupancy") and "multiply-adds" in note


@pytest.mark.parametrize("count", [1, 7, 20])
def test_points_in_one_place_make_no_mesh(capture, count):
    trainer = trainer_for(capture, settings(inner=replace(SMALL, mesh_cells=16)))
    trainer._cloud = (np.ones((count, 3)), np.zeros((count, 3), np.uint8), np.zeros((count, 3), np.float32))
    assert trainer.mesh() is None


def test_a_place_seen_from_one_side_is_where_its_stated_depths_are(tmp_path):
    views = facing()
    matrix = tuple(map(tuple, views[0].camera.camera_to_world.tolist()))
    frame = Frame("0", tmp_path, matrix, 12, 10, 14.0, 14.0, 9.0, 3.5, near=5.0, far=9.0)
    given = settings(inner=replace(SMALL, sampler="occupancy"))
    trainer = nerf.NerfTrainer(given, Capture(tmp_path, (frame,), "llff"), views, "srgb", 2)
    assert -9 < trainer.space.center[1] < -5 and 1 < trainer.space.radius < 10


def test_wide_pictures_that_stand_aslant_do_not_go_with_ndc(tmp_path):
    def fan(angle, focal):
        """Cameras side by side that look outwards by an angle."""
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        made = []
        for view, turn in zip(facing(2, shift=0.0), (-sine, sine), strict=True):
            aside = np.array([[cosine, 0, turn, 0], [0, 1, 0, 0], [-turn, 0, cosine, 0], [0, 0, 0, 1]])
            camera = replace(view.camera, fx=focal, camera_to_world=view.camera.camera_to_world @ aside)
            made.append(replace(view, camera=camera))
        return made

    bounds = Bounds((0.0, -6.0, 0.0), 2.0, 1.0, 40.0)
    # Half a picture of 12 pixels is 45 degrees wide at a focal length of 6.
    assert nerf._in_front(fan(20, 6.0), bounds) is not None
    assert nerf._in_front(fan(50, 60.0), bounds) is not None
    assert nerf._in_front(fan(50, 6.0), bounds) is None


def test_views_without_bounds_are_refused_in_a_sentence(tmp_path):
    views = facing()
    with pytest.raises(UserError, match="near"):
        nerf.NerfTrainer(settings(inner=replace(SMALL, near=5.0, far=2.0)), plain_capture(tmp_path), views, "srgb", 2)
    turned = replace(views[1].camera, camera_to_world=views[1].camera.camera_to_world @ np.diag([-1.0, 1, -1, 1]))
    with pytest.raises(UserError, match="ndc off"):
        inner = replace(SMALL, ndc="on")
        nerf.NerfTrainer(settings(inner=inner), plain_capture(tmp_path), [views[0], replace(views[1], camera=turned)], "srgb", 2)


def test_presets_are_the_published_settings():
    lego = from_mapping(TrainSettings, with_preset({"preset": "paper-lego"}))
    fern = from_mapping(TrainSettings, with_preset({"preset": "paper-fern"}))
    assert lego.steps == fern.steps == 200_000 and (lego.downscale, fern.downscale) == (2, 8)
    assert (lego.nerf.coarse_samples, lego.nerf.fine_samples, fern.nerf.fine_samples, lego.nerf.rays) == (64, 128, 64, 1024)
    # A tenth in 500 000 and in 250 000 steps.
    assert lego.nerf.rate_fall**2.5 == pytest.approx(0.1) and fern.nerf.rate_fall**1.25 == pytest.approx(0.1)
    assert (lego.nerf.near, lego.nerf.far, lego.background, lego.nerf.crop_steps) == (2, 6, "white", 500)
    assert (fern.nerf.ndc, fern.nerf.density_noise, fern.nerf.one_view) == ("on", 1, False)


def test_the_cost_is_that_of_the_published_network():
    cost = training_cost(TrainSettings(method="nerf"))
    assert cost.sample == 593_408 and cost.samples == 256
    words = cost.plain(1024, 1024)
    assert "593 thousand" in words and "159 tera" in words
    assert cost.step_seconds == pytest.approx(3 * 1024 * cost.pixel_seconds)
    assert training_cost(TrainSettings()) is None
