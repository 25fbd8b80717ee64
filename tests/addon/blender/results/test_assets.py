# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as assets: what the asset browser shows of them, and what another file gets."""

import shutil
import sys

import bpy
import mathutils
import numpy as np
import pytest
from reconstruct.addon.blender import compat, noise
from reconstruct.addon.blender.results import assets
from reconstruct.addon.blender.results.importing import import_result
from reconstruct.addon.blender.results.looks import looks_of
from reconstruct.addon.blender.results.measuring import size_of
from reconstruct.addon.blender.rooms.placing import place
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.contract.settings import ImportSettings, PlaceSettings

root = sys.modules["reconstruct"]
ROUND = [1.0, 0.0, 0.0, 0.0]


@pytest.fixture
def folder(splats, result):
    """A red block of 1 × 2 × 0.5 m."""
    rng = np.random.default_rng(0)
    means = rng.uniform((-0.5, -1, 0), (0.5, 1, 0.5), (2000, 3))
    made = splats(means, np.full((2000, 3), 0.03), [ROUND] * 2000, np.full(2000, 0.9), np.tile([0.6, 0.05, 0.05], (2000, 1)))
    return result(made, scale="metric")


@pytest.fixture
def quick(monkeypatch):
    """Has assets get an empty picture, which no Blender has to be started for."""
    monkeypatch.setattr(assets, "_picture", lambda item: np.zeros(4 * assets._SIZE**2, np.float32))


def pixels(item):
    flat = np.empty(len(item.preview.image_pixels_float), dtype=np.float32)
    item.preview.image_pixels_float.foreach_get(flat)
    return flat.reshape(*item.preview.image_size, 4)


def test_an_asset_has_a_picture_tags_and_its_real_size(scene, folder):
    before = len(bpy.data.scenes), len(bpy.data.worlds)
    (made,) = import_result(scene, folder, ImportSettings(asset=True))
    about = made.asset_data
    assert about.catalog_id == assets.CATALOG and "1.00 × 2.00 × 0.50 m" in about.description
    assert {tag.name for tag in about.tags} == {"Reconstruct", *looks_of(made)}
    picture = pixels(made)
    inside = picture[..., 3] > 0.9
    assert 0.1 < inside.mean() < 0.8 and not picture[:4, :, 3].any() and not picture[-4:, :, 3].any()
    assert picture[inside][:, 0].mean() > 2 * picture[inside][:, 1].mean()
    assert (len(bpy.data.scenes), len(bpy.data.worlds)) == before
    assert not bpy.data.images
    assert [item.name for item in bpy.data.objects] == ["Camera", made.name] and not bpy.data.lights


def test_the_size_is_that_of_the_placed_thing(scene, quick, splats, result):
    corners = [(x, y, z) for x in (0, 1) for y in (0, 2) for z in (0, 0.5)]
    made_of = splats(corners, [(0.01,) * 3] * 8, [ROUND] * 8, [0.9] * 8, [(1, 1, 1)] * 8)
    (made,) = import_result(scene, result(made_of, scale="unknown"), ImportSettings(asset=True))
    assert " m" not in made.asset_data.description
    place([made], PlaceSettings(known_length=4.0))
    np.testing.assert_allclose(size_of(made, 1.0), (2, 4, 1), rtol=1e-5)
    assert made.asset_data.description == "2.00 × 4.00 × 1.00 m; 8 points"


def test_an_asset_keeps_its_size_where_units_are_others(scene, quick, folder, tmp_path, monkeypatch):
    (made,) = import_result(scene, folder, ImportSettings(asset=True))
    made.location = (1, 2, 0)
    name = made.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "sofa.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.context.scene.unit_settings.scale_length = 0.01
    assets.register()
    try:
        bpy.ops.wm.append(directory=str(tmp_path / "sofa.blend" / "Object") + "/", filename=name)
    finally:
        assets.unregister()
    bpy.context.view_layer.update()
    found = bpy.context.scene.objects[name]
    np.testing.assert_allclose(size_of(found, 0.01), (1, 2, 0.5), atol=5e-3)
    # Its picture is taken from outside.
    box = np.array(found.bound_box)
    seen = []
    monkeypatch.undo()
    monkeypatch.setattr(assets, "_render", lambda *_: seen.append(np.array(bpy.data.objects["Preview"].location)) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        assets.make_asset(found, 0.01)
    assert 1 < np.linalg.norm(seen[0] - box.mean(axis=0)) / np.linalg.norm(np.ptp(box, axis=0)) < 4
    assert tuple(found.location) == (100, 200, 0)
    place([found], PlaceSettings(on_floor=True))
    np.testing.assert_allclose(size_of(found, 0.01), (1, 2, 0.5), atol=5e-3)
    place([found], PlaceSettings(known_length=4.0, location=(1.0, 0.0, 0.0)))
    np.testing.assert_allclose(size_of(found, 0.01), (2, 4, 1), atol=5e-3)
    assert found.asset_data.description.startswith("2.00 × 4.00 × 1.00 m;")
    assert found.location[0] == pytest.approx(100, abs=0.5)


def test_the_catalog_is_in_the_library_or_beside_the_file(scene, quick, folder, tmp_path):
    assets.register()
    try:
        import_result(scene, folder, ImportSettings(asset=True))
        shelf = tmp_path / "shelf"
        (shelf / "sofas").mkdir(parents=True)
        library = bpy.context.preferences.filepaths.asset_libraries.new(name="Shelf", directory=str(shelf))
        for _ in range(2):
            bpy.ops.wm.save_as_mainfile(filepath=str(shelf / "sofas" / "sofa.blend"))
        bpy.context.preferences.filepaths.asset_libraries.remove(library)
        text = (shelf / "blender_assets.cats.txt").read_text(encoding="utf-8")
        assert text.count(f"{assets.CATALOG}:Reconstruct:Reconstruct") == 1 and "VERSION 1" in text
        assert not (shelf / "sofas" / "blender_assets.cats.txt").exists(), "a library has one list"
        assert assets.write_catalog(str(shelf / "things.blend")) is None
    finally:
        assets.unregister()


def test_a_list_of_catalogs_that_the_user_has_stays_as_it_is(scene, quick, folder, tmp_path):
    own = b"VERSION 1\r\n\r\n11111111-2222-3333-4444-555555555555:Lamps:Lamps\r\n"
    (tmp_path / "blender_assets.cats.txt").write_bytes(own)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "things.blend"))
    root.register()
    try:
        (made,) = import_result(scene, folder, ImportSettings())
        made.select_set(True)
        assert bpy.ops.reconstruct.make_asset() == {"FINISHED"}
        bpy.ops.wm.save_mainfile()
    finally:
        root.unregister()
    assert (tmp_path / "blender_assets.cats.txt").read_bytes() == own
    assert assets.write_catalog(bpy.data.filepath) == tmp_path / "blender_assets.cats.txt"


def slots(tmp_path):
    """What the slots of the Render Result show: sums of pixels, None for empty ones."""
    image, found = bpy.data.images["Render Result"], []
    shown = image.render_slots.active_index
    for number in range(3):
        image.render_slots.active_index = number
        file = tmp_path / f"slot{number}.png"
        try:
            image.save_render(str(file))
        except RuntimeError:
            found.append(None)
        else:
            loaded = bpy.data.images.load(str(file), check_existing=False)
            found.append((tuple(loaded.size), sum(loaded.pixels)))
            bpy.data.images.remove(loaded)
            file.unlink()
    image.render_slots.active_index = shown
    return found


def test_the_picture_leaves_the_users_renders_as_they_are(scene, folder, tmp_path):
    (made,) = import_result(scene, folder, ImportSettings())
    scene.render.resolution_x = scene.render.resolution_y = 16
    bpy.ops.render.render()
    image = bpy.data.images["Render Result"]
    image.render_slots.active_index = 1
    scene.render.resolution_x = 8
    bpy.ops.render.render()
    image.render_slots.active_index = 0
    before = slots(tmp_path)
    assert None not in before[:2] and before[0] != before[1]
    assets.make_asset(made, 1.0)
    assert slots(tmp_path) == before and image.render_slots.active_index == 0


def test_no_asset_is_made_while_a_render_is_running(scene, folder, monkeypatch):
    (made,) = import_result(scene, folder, ImportSettings())
    monkeypatch.setattr(assets, "_is_rendering", lambda: True)
    with pytest.raises(UserError, match="render is running"):
        assets.make_asset(made, 1.0)
    with pytest.raises(UserError, match="render is running"):
        import_result(scene, folder, ImportSettings(asset=True))
    assert made.asset_data is None and [item.name for item in bpy.data.objects] == ["Camera", made.name], "nothing came in"


def test_a_dropped_asset_rests_on_its_floor_and_not_on_strays(scene, splats, result):
    rng = np.random.default_rng(0)
    means = np.concatenate([rng.uniform((-0.5, -1, 0), (0.5, 1, 0.5), (2000, 3)), rng.uniform((-0.5, -1, -1.3), (2, 1, 0), (100, 3))])
    made_of = splats(means, np.full((2100, 3), 0.03), [ROUND] * 2100, np.full(2100, 0.9), np.full((2100, 3), 0.5))
    (made,) = import_result(scene, result(made_of, bounds=((-0.5, -1, 0), (0.5, 1, 0.5))), ImportSettings())
    np.testing.assert_allclose(made.location, (0, 0, 0), atol=1e-6)
    # As Blender drops it at (3, 4, 1), turned and scaled.
    made.rotation_euler, made.scale = (0, 0, 0.7), (2, 2, 2)
    lowest, highest = np.array(made.bound_box).min(axis=0), np.array(made.bound_box).max(axis=0)
    assert lowest[2] < -1
    foot = mathutils.Vector([*(lowest + highest)[:2] / 2, lowest[2]])
    made.location = mathutils.Vector((3, 4, 1)) - made.matrix_basis.to_3x3() @ foot
    assets._settle(made)
    np.testing.assert_allclose(made.location, (3, 4, 1), atol=0.05)
    assert made.location.z == pytest.approx(1, abs=1e-5)


def test_a_picture_that_fails_is_an_error_in_a_sentence(scene, folder, monkeypatch):
    (made,) = import_result(scene, folder, ImportSettings())
    before = len(bpy.data.objects), len(bpy.data.scenes)
    monkeypatch.setattr(assets, "_RENDER", "raise SystemExit('no memory')")
    with pytest.raises(UserError, match="could not be rendered: no memory"):
        assets.make_asset(made, 1.0)
    assert made.asset_data is None and (len(bpy.data.objects), len(bpy.data.scenes)) == before


@pytest.mark.parametrize("denoiser", [True, False])
def test_a_preview_without_a_denoiser_takes_more_samples(scene, tmp_path, monkeypatch, denoiser):
    bpy.ops.mesh.primitive_monkey_add()
    kept = tmp_path / "preview.blend"
    monkeypatch.setattr(assets, "_render", lambda file, picture, name: shutil.copy(file, kept) and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        assets._picture(bpy.context.object)
    if not denoiser:
        monkeypatch.setattr(compat, "use_denoiser", lambda scene: setattr(scene.cycles, "use_denoising", False))
        # A ninth of the samples, for a fast test.
        monkeypatch.setattr(noise, "MAX_NOISE", noise.MAX_NOISE / 3)
    assets.render_preview(str(kept), str(tmp_path / "preview.png"))
    cycles = bpy.context.scene.cycles
    assert cycles.use_denoising == denoiser and (cycles.samples == 16 if denoiser else cycles.samples > 16)
    image = bpy.data.images.load(str(tmp_path / "preview.png"))
    assert tuple(image.size) == (256, 256)


def test_a_file_without_assets_gets_no_catalog(scene, folder, tmp_path):
    assets.register()
    try:
        import_result(scene, folder, ImportSettings())
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "room.blend"))
    finally:
        assets.unregister()
    assert not (tmp_path / "blender_assets.cats.txt").exists()


def test_another_file_takes_the_asset_and_sees_through_its_splats(scene, nodes, quick, folder, tmp_path):
    (made,) = import_result(scene, folder, ImportSettings(asset=True))
    name = made.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "sofa.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    assets.register()
    try:
        assert bpy.context.scene.cycles.transparent_max_bounces == 8
        bpy.ops.wm.append(directory=str(tmp_path / "sofa.blend" / "Object") + "/", filename=name)
        assert bpy.context.scene.cycles.transparent_max_bounces == 1024
    finally:
        assets.unregister()
    found = bpy.context.scene.objects[name]
    assert looks_of(found) == ["box", "points", "splats"] and len(bpy.data.objects) == 1


def test_what_is_linked_is_refused_before_its_picture_is_rendered(scene, monkeypatch, folder, tmp_path):
    (made,) = import_result(scene, folder, ImportSettings())
    name = made.name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "sofa.blend"))
    bpy.ops.wm.read_factory_settings(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "sofa.blend"), link=True) as (_, taken):
        taken.objects = [name]
    linked = taken.objects[0]
    bpy.context.scene.collection.objects.link(linked)
    monkeypatch.setattr(assets, "_picture", lambda item: pytest.fail("rendered"))
    for item in (linked, linked.override_create(remap_local_usages=True)):
        with pytest.raises(UserError, match="linked from another file"):
            assets.make_asset(item, 1.0)
