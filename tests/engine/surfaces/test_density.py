# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes of density fields that are known in closed form."""

import numpy as np
import pytest
import torch

from engine.data.rays import Space
from engine.surfaces.density import density_mesh

BOX = np.full(3, -1.0), np.full(3, 1.0)
HERE = Space(np.zeros(3), 1.0)


def ball(radius=0.6, center=(0.0, 0.0, 0.0), sharpness=60.0):
    """Density that rises through a sphere; half of the light is held up on 1/16 where it is 11."""

    def density(places):
        return 11.09 * torch.exp(sharpness * (radius - (places - torch.tensor(center)).norm(dim=-1))).clamp(max=1e4)

    return density


def seen(color=(1.0, 0.0, 0.0)):
    def look(samples, directions):
        return torch.tensor(color).expand(len(directions), 3), torch.ones(len(directions))

    return look


def mesh_of(density, look=None, box=BOX, cells=48, space=HERE, blend="srgb"):
    return density_mesh(density, look or seen(), box, cells, space, blend)


@pytest.mark.parametrize("space", [HERE, Space(np.array([3000.0, -4000.0, 20.0]), 2.5)])
def test_a_ball_is_round_closed_and_looks_outward_at_its_place_in_the_world(space):
    mesh = mesh_of(ball(), box=(space.center - space.radius, space.center + space.radius), space=space)
    offset = (mesh.vertices.positions - space.center) / space.radius
    away = np.linalg.norm(offset, axis=1)
    assert away == pytest.approx(0.6, abs=0.015)
    assert (mesh.vertices.normals * offset / away[:, None]).sum(axis=1).min() > 0.95
    assert np.linalg.norm(mesh.vertices.normals, axis=1) == pytest.approx(1, abs=1e-5)
    corners = offset[mesh.triangles]
    # Every edge is there once in each direction, and what is enclosed counts as inside.
    edges = np.concatenate([mesh.triangles[:, [a, b]] for a, b in ((0, 1), (1, 2), (2, 0))])
    assert {tuple(edge) for edge in edges.tolist()} == {tuple(edge) for edge in edges[:, ::-1].tolist()}
    enclosed = np.einsum("ni,ni->n", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert enclosed == pytest.approx(4 / 3 * np.pi * 0.6**3, rel=0.03)


def test_colours_are_those_seen_from_outside_along_the_normal():
    def look(samples, directions):
        # What looks down is red, else blue; half of the light passes.
        assert (samples.starts.diff() == len(samples) // len(directions)).all() and (samples.t.view(len(directions), -1).diff() > 0).all()
        first = samples.positions.view(len(directions), -1, 3)[:, 0]
        assert (first.norm(dim=1) > 0.6).all(), "rays begin outside"
        down = (directions[:, 2] < 0)[:, None]
        return torch.where(down, torch.tensor([0.5, 0, 0]), torch.tensor([0, 0, 0.25])), torch.full((len(directions),), 0.5)

    mesh = mesh_of(ball(), look)
    top = mesh.vertices.positions[:, 2] > 0.05
    bottom = mesh.vertices.positions[:, 2] < -0.05
    assert (mesh.vertices.colors[top] == [255, 0, 0]).all() and (mesh.vertices.colors[bottom] == [0, 0, 128]).all()


def test_linear_light_becomes_codes():
    assert (mesh_of(ball(), seen((0.215861, 0.0, 7.0)), blend="linear").vertices.colors == [128, 0, 255]).all()


def test_specks_go_and_what_is_large_stays():
    def two(places):
        return torch.maximum(ball(0.5, (-0.3, 0, 0))(places), ball(0.02, (0.8, 0, 0), 400)(places))

    assert mesh_of(two, cells=100).vertices.positions[:, 0].max() < 0.3

    def equal(places):
        return torch.maximum(ball(0.3, (-0.5, 0, 0))(places), ball(0.3, (0.5, 0, 0))(places))

    assert mesh_of(equal).vertices.positions[:, 0].max() > 0.75


def test_the_resolution_counts_along_the_longest_side():
    low, high = np.array([-1.0, -0.7, -0.7]), np.array([1.0, 0.7, 0.7])
    coarse, fine = (mesh_of(ball(), box=(low, high), cells=cells) for cells in (20, 40))
    assert len(fine.triangles) / len(coarse.triangles) == pytest.approx(4, rel=0.15)


@pytest.mark.parametrize("value", [0.0, 1e6])
def test_nothing_and_everything_have_no_surface(value):
    assert mesh_of(lambda places: places.new_full((len(places),), value), cells=8) is None


def test_one_cell_is_enough():
    assert mesh_of(ball(), cells=1) is None
    assert len(mesh_of(ball(), cells=2).triangles)
