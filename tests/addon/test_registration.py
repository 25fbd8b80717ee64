# SPDX-License-Identifier: GPL-3.0-or-later
"""Enabling and disabling leaves nothing behind, and the properties are the contract's settings."""

import dataclasses
import sys

import bpy
import pytest
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.contract.job import TrainStage
from reconstruct.engine.contract.methods.splat import SplatSettings
from reconstruct.engine.contract.settings import CaptureSettings, ImportSettings, PlaceSettings, TrainSettings
from reconstruct.engine.contract.voxels import VoxelSettings, VoxelShape

root = sys.modules["reconstruct"]


@pytest.fixture
def enabled():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    root.register()
    yield bpy.context.scene.reconstruct
    root.unregister()


def footprint():
    handlers = [list(found) for name in dir(bpy.app.handlers) if isinstance(found := getattr(bpy.app.handlers, name), list)]
    bases = (bpy.types.PropertyGroup, bpy.types.Operator, bpy.types.Panel, bpy.types.AddonPreferences)
    types = sorted(cls.__name__ for base in bases for cls in base.__subclasses__() if cls.is_registered)
    owners = (bpy.types.Scene, bpy.types.Object, bpy.types.WindowManager)
    return handlers, types, [sorted(name for name in dir(owner)) for owner in owners]


def test_leaves_nothing_behind_twice():
    before = footprint()
    for _ in range(2):
        root.register()
        assert footprint() != before
        assert hasattr(bpy.context.scene, "reconstruct")
        root.unregister()
        assert footprint() == before


def test_importing_the_root_imports_no_bpy():
    import subprocess

    script = (
        "import importlib.util, sys\n"
        f"spec = importlib.util.spec_from_file_location('r', {root.__file__!r}, submodule_search_locations=['.'])\n"
        "module = importlib.util.module_from_spec(spec); spec.loader.exec_module(module)\n"
        "sys.exit('bpy' in sys.modules or any(name.startswith('r.') for name in sys.modules))\n"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


@pytest.mark.parametrize("part, cls", [("capture", CaptureSettings), ("import_", ImportSettings), ("place", PlaceSettings)])
def test_defaults_are_those_of_the_settings(enabled, part, cls):
    from reconstruct.addon.properties import to_settings

    found = to_settings(getattr(enabled, part), cls)
    assert dataclasses.replace(found, **({"out": "capture"} if part == "capture" else {})) == cls()


def test_voxels_start_from_their_settings(enabled):
    from reconstruct.addon.properties import to_settings

    assert to_settings(enabled.voxels.settings, VoxelSettings) == VoxelSettings()
    live = bpy.data.objects.new("x", None).reconstruct.voxels
    for field in dataclasses.fields(VoxelShape):
        for group in (enabled.voxels.settings, live):
            shown = group.bl_rna.properties[field.name]
            assert shown.description == field.metadata["about"].help.rstrip(".") and shown.name
            assert getattr(group, field.name) == pytest.approx(field.default)
    assert (shown.unit, shown.name) == ("LENGTH", "Length")


def test_training_starts_with_three_minutes(enabled):
    from reconstruct.addon.properties import to_settings

    found = to_settings(enabled.train, TrainStage)
    assert found.settings == TrainSettings(minutes=3.0)
    enabled.train.settings.budget = "steps"
    assert to_settings(enabled.train.settings, TrainSettings) == TrainSettings(steps=2000)


def test_a_preset_is_shown_and_may_be_deviated_from(enabled):
    from reconstruct.addon.jobs.engine import train_command
    from reconstruct.addon.properties import to_settings
    from reconstruct.engine.contract.presets import with_preset
    from reconstruct.engine.contract.schema import from_mapping

    chosen = enabled.train.settings
    chosen.preset = "gsplat"
    preset = from_mapping(TrainSettings, with_preset({"preset": "gsplat"}))
    assert to_settings(chosen, TrainSettings) == preset
    command = [*train_command("python", "capture", "out", preset)]
    assert command[command.index("--out") + 2 :] == ["--preset", "gsplat"]
    chosen.splat.half_until, chosen.splat.absgrad, chosen.budget = 0.3, True, "minutes"
    command = train_command("python", "capture", "out", to_settings(chosen, TrainSettings))
    flags = command[command.index("--out") + 2 :]
    assert flags == ["--preset", "gsplat", "--minutes", "3.0", "--splat.half-until", "0.3", "--splat.absgrad"]
    chosen.preset = "none"
    assert to_settings(chosen, TrainSettings) == TrainSettings(minutes=3.0)
    chosen.budget = "steps"
    assert chosen.steps == 2000


def test_what_is_set_comes_out(enabled):
    from reconstruct.addon.properties import to_settings

    enabled.train.settings.splat.sh_degree = 3
    enabled.train.settings.splat.means_rate = 0.00032
    assert to_settings(enabled.train.settings.splat, SplatSettings) == SplatSettings(sh_degree=3, means_rate=0.00032)
    enabled.place.use_location = True
    enabled.place.location = (1.1, 2.2, 0)
    assert to_settings(enabled.place, PlaceSettings).location == (1.1, 2.2, 0.0)
    enabled.capture.rig = "orbit"
    enabled.capture.orbit_object = "chair"
    found = to_settings(enabled.capture, CaptureSettings)
    assert (found.rig, found.orbit_object) == ("orbit", "chair")


def test_bounds_and_help_are_those_of_the_settings(enabled):
    enabled.capture.views = 1_000_000
    assert enabled.capture.views == 2000
    about = {field.name: field.metadata["about"] for field in dataclasses.fields(CaptureSettings)}
    for name, its in about.items():
        shown = enabled.capture.bl_rna.properties[name]
        assert shown.description == its.help.rstrip(".")
        assert shown.name


def test_every_choice_of_training_reads_as_words(enabled):
    abbreviated = {"adc", "bfloat16", "float32", "ipex", "mcmc"}
    for group in (enabled.train.settings, *(getattr(enabled.train.settings, method) for method in ("splat", "ngp", "nerf"))):
        for prop in group.bl_rna.properties:
            for item in getattr(prop, "enum_items", ()):
                made = item.identifier in abbreviated or "-" in item.identifier
                assert item.name != item.identifier.title() or not made, item.identifier


def test_every_method_is_explained_and_shows_all_its_settings(enabled):
    from reconstruct.addon.properties import advanced_names
    from reconstruct.engine.contract.methods import METHODS

    methods = enabled.train.settings.bl_rna.properties["method"].enum_items
    assert {item.identifier for item in methods} == set(METHODS)
    for item in methods:
        assert item.description and not item.description.endswith(".")
        cls = METHODS[item.identifier].settings
        assert sorted([*METHODS[item.identifier].panel, *advanced_names(cls)]) == sorted(field.name for field in dataclasses.fields(cls))


def test_every_button_has_a_tooltip(enabled):
    for name in dir(bpy.ops.reconstruct):
        description = getattr(bpy.ops.reconstruct, name).get_rna_type().description
        assert description and not description.endswith("."), name


def test_a_value_that_the_contract_refuses_is_a_user_error(enabled):
    from reconstruct.addon.properties import to_settings

    enabled.place.use_location = True
    enabled.place.location = (float("nan"), 0, 0)
    with pytest.raises(UserError, match="location"):
        to_settings(enabled.place, PlaceSettings)


def test_buttons_say_what_is_missing(enabled, tmp_path):
    enabled.capture.out = str(tmp_path / "capture")
    enabled.train.out = str(tmp_path / "result")
    for operator in (bpy.ops.reconstruct.train, bpy.ops.reconstruct.import_result, bpy.ops.reconstruct.cancel):
        assert not operator.poll()
    with pytest.raises(RuntimeError, match="Capture the scene first"):
        bpy.ops.reconstruct.train()
    (tmp_path / "capture").mkdir()
    assert not bpy.ops.reconstruct.train.poll(), "a folder is no capture yet"
    (tmp_path / "capture" / "transforms.json").write_text('{"source": "blender", "frames": []}')
    assert bpy.ops.reconstruct.train.poll()
    bpy.context.scene.reconstruct.train.capture = str(tmp_path)
    assert bpy.ops.reconstruct.train.poll(), "what the user chose is for the engine to judge"
