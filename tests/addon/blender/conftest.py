# SPDX-License-Identifier: GPL-3.0-or-later
"""An empty scene, the demo room, cameras and meshes."""

import importlib.util
import math
from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy", reason="needs Blender as a module")

DEMO = Path(__file__).resolve().parents[3] / "scripts" / "demo" / "room.py"


@pytest.fixture
def scene():
    bpy.ops.wm.read_homefile(use_empty=True)
    return bpy.context.scene


@pytest.fixture(scope="session")
def demo_file(tmp_path_factory):
    """The demo room as a .blend, built once."""
    bpy.ops.wm.read_homefile(use_empty=True)
    spec = importlib.util.spec_from_file_location("demo_room", DEMO)
    room = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(room)
    room.build()
    file = tmp_path_factory.mktemp("demo") / "room.blend"
    bpy.ops.wm.save_as_mainfile(filepath=str(file))
    return file


@pytest.fixture
def demo(demo_file, scene):
    bpy.ops.wm.open_mainfile(filepath=str(demo_file))
    return bpy.context.scene


@pytest.fixture
def add_camera(scene):
    """Adds a camera object; ``lens`` are attributes of its data."""

    def add(name="Camera", location=(0.0, 0.0, 0.0), turn=(math.pi / 2, 0.0, 0.0), **lens):
        data = bpy.data.cameras.new(name)
        for key, value in lens.items():
            setattr(data, key, value)
        thing = bpy.data.objects.new(name, data)
        thing.location, thing.rotation_euler = location, turn
        bpy.context.scene.collection.objects.link(thing)
        return thing

    return add


@pytest.fixture
def add_mesh(scene):
    """Adds a mesh object from vertices and faces; a color makes it glow evenly with that linear color."""

    def add(name, vertices, faces, color=None, location=(0.0, 0.0, 0.0)):
        mesh = bpy.data.meshes.new(name)
        mesh.from_pydata(vertices, [], faces)
        thing = bpy.data.objects.new(name, mesh)
        thing.location = location
        bpy.context.scene.collection.objects.link(thing)
        if color is not None:
            material = bpy.data.materials.new(name)
            if material.node_tree is None:  # Blender 4.5; later ones always have a tree
                material.use_nodes = True
            tree = material.node_tree
            tree.nodes.clear()
            glow, out = tree.nodes.new("ShaderNodeEmission"), tree.nodes.new("ShaderNodeOutputMaterial")
            glow.inputs["Color"].default_value = (*color, 1.0)
            tree.links.new(glow.outputs[0], out.inputs["Surface"])
            mesh.materials.append(material)
        return thing

    return add
