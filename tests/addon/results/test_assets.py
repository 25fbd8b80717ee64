# SPDX-License-Identifier: GPL-3.0-or-later
"""Results as assets: what the asset browser shows of them, and what another file gets."""

import bpy
import numpy as np
import pytest
from reconstruct.addon.results import assets
from reconstruct.addon.results.importing import import_result
from reconstruct.addon.results.looks import looks_of
from reconstruct.addon.results.measuring import size_of
from reconstruct.addon.rooms.placing import place
from reconstruct.engine.contract.settings import ImportSettings, PlaceSettings

ROUND = [1.0, 0.0, 0.0, 0.0]


@pytest.fixture
def folder(splats, result):
    """A red block of 1 × 2 × 0.5 m."""
    rng = np.random.default_rng(0)
    means = rng.uniform((-0.5, -1, 0), (0.5, 1, 0.5), (2000, 3))
    made = splats(means, np.full((2000, 3), 0.03), [ROUND] * 2000, np.full(2000, 0.9), np.tile([0.6, 0.05, 0.05], (2000, 1)))
    return result(made, scale="metric")


def pixels(item):
    flat = np.empty(len(item.preview.image_pixels_float), dtype=np.float32)
    item.preview.image_pixels_float.foreach_get(flat)
    return flat.reshape(*item.preview.image_size, 4)


def test_an_asset_has_a_picture_tags_and_its_real_size(scene, folder):
    before = len(bpy.data.scenes), len(bpy.data.worlds)
    (made,) = import_result(scene, folder, ImportSettings(asset=True))
    about = made.asset_data
    assert about.catalog_id == assets.CATALOGUE and "1.00 × 2.00 × 0.50 m" in about.description
    assert {tag.name for tag in about.tags} == {"Reconstruct", *looks_of(made)}
    picture = pixels(made)
    inside = picture[..., 3] > 0.9
    assert 0.1 < inside.mean() < 0.8 and not picture[:4, :, 3].any() and not picture[-4:, :, 3].any()
    assert picture[inside][:, 0].mean() > 2 * picture[inside][:, 1].mean()
    assert (len(bpy.data.scenes), len(bpy.data.worlds)) == before
    assert [image.type for image in bpy.data.images] in ([], ["RENDER_RESULT"])
    assert [item.name for item in bpy.data.objects] == ["Camera", made.name] and not bpy.data.lights


def test_the_size_is_that_of_the_placed_thing(scene, splats, result):
    corners = [(x, y, z) for x in (0, 1) for y in (0, 2) for z in (0, 0.5)]
    made_of = splats(corners, [(0.01,) * 3] * 8, [ROUND] * 8, [0.9] * 8, [(1, 1, 1)] * 8)
    (made,) = import_result(scene, result(made_of, scale="unknown"), ImportSettings(asset=True))
    assert " m" not in made.asset_data.description
    place([made], PlaceSettings(known_length=4.0))
    np.testing.assert_allclose(size_of(made, 1.0), (2, 4, 1), rtol=1e-5)
    assert made.asset_data.description == "2.00 × 4.00 × 1.00 m; 8 points"


def test_an_asset_keeps_its_size_where_units_are_others(scene, folder, tmp_path):
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
    assert tuple(found.location) == (100, 200, 0)
    place([found], PlaceSettings(on_floor=True))
    np.testing.assert_allclose(size_of(found, 0.01), (1, 2, 0.5), atol=5e-3)
    place([found], PlaceSettings(known_length=4.0, location=(1.0, 0.0, 0.0)))
    np.testing.assert_allclose(size_of(found, 0.01), (2, 4, 1), atol=5e-3)
    assert found.asset_data.description.startswith("2.00 × 4.00 × 1.00 m;")
    assert found.location[0] == pytest.approx(100, abs=0.5)


def test_the_catalogue_is_beside_the_file_and_keeps_others(scene, folder, tmp_path):
    assets.register()
    try:
        import_result(scene, folder, ImportSettings(asset=True))
        shelf = tmp_path / "shelf"
        shelf.mkdir()
        own = "VERSION 1\n\n11111111-2222-3333-4444-555555555555:Lamps:Lamps\n"
        (shelf / "blender_assets.cats.txt").write_text(own, encoding="utf-8")
        for _ in range(2):
            bpy.ops.wm.save_as_mainfile(filepath=str(shelf / "things.blend"))
        text = (shelf / "blender_assets.cats.txt").read_text(encoding="utf-8")
        assert text.startswith(own) and text.count(f"{assets.CATALOGUE}:Reconstruct:Reconstruct") == 1
        library = bpy.context.preferences.filepaths.asset_libraries.new(name="Shelf", directory=str(shelf))
        (shelf / "sofas").mkdir()
        bpy.ops.wm.save_as_mainfile(filepath=str(shelf / "sofas" / "sofa.blend"))
        bpy.context.preferences.filepaths.asset_libraries.remove(library)
        assert not (shelf / "sofas" / "blender_assets.cats.txt").exists(), "a library has one list"
    finally:
        assets.unregister()


def test_a_file_without_assets_gets_no_catalogue(scene, folder, tmp_path):
    assets.register()
    try:
        import_result(scene, folder, ImportSettings())
        bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "room.blend"))
    finally:
        assets.unregister()
    assert not (tmp_path / "blender_assets.cats.txt").exists()


def test_another_file_takes_the_asset_and_sees_through_its_splats(scene, folder, tmp_path):
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
