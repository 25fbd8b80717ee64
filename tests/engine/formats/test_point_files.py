# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest

from engine.contract.errors import UserError
from engine.formats.ply import write_vertices
from engine.formats.points import read_points, write_points


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("with_normals", [True, False])
@pytest.mark.parametrize("with_colors", [True, False])
def test_what_is_written_is_read(tmp_path, dtype, with_normals, with_colors):
    rng = np.random.default_rng(0)
    positions = (rng.normal(size=(50, 3)) + 5000).astype(dtype)
    colors = rng.integers(0, 256, (50, 3), dtype=np.uint8) if with_colors else None
    normals = rng.normal(size=(50, 3)).astype(np.float32) if with_normals else None
    write_points(tmp_path / "a.ply", positions, colors, normals)
    cloud = read_points(tmp_path / "a.ply")
    assert cloud.positions.dtype == np.float64
    for read, written in ((cloud.positions, positions), (cloud.colors, colors), (cloud.normals, normals)):
        assert (read is None) == (written is None)
        if written is not None:
            np.testing.assert_array_equal(read, written)


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (np.array([0.0, 0.5, 7.0], np.float32), [0, 128, 255]),
        (np.array([0, 32768, 65535], np.uint16), [0, 128, 255]),
        (np.array([0, 128, 255], np.int32), [0, 128, 255]),
    ],
)
def test_colours_of_other_types_become_8_bit(tmp_path, column, expected):
    places = {name: np.zeros(3, np.float32) for name in "xyz"}
    write_vertices(tmp_path / "a.ply", places | {name: column for name in ("red", "green", "blue")})
    assert read_points(tmp_path / "a.ply").colors[:, 1].tolist() == expected


@pytest.mark.parametrize("names", ["rgb", ("Red", "Green", "Blue"), ("diffuse_red", "diffuse_green", "diffuse_blue")])
def test_columns_of_colors_by_their_usual_names(tmp_path, names):
    columns = {name: np.zeros(2, np.float32) for name in "xyz"}
    columns |= {name: np.full(2, value, np.uint8) for name, value in zip(names, (10, 20, 30), strict=True)}
    write_vertices(tmp_path / "a.ply", columns)
    notes = []
    assert read_points(tmp_path / "a.ply", notes.append).colors.tolist() == [[10, 20, 30]] * 2 and not notes


@pytest.mark.parametrize("name, said", [("rgb", True), ("scalar_Intensity", True), ("f_dc_0", True), ("density", False), ("rows", False)])
def test_colors_that_are_not_understood_are_named(tmp_path, name, said):
    write_vertices(tmp_path / "a.ply", {key: np.zeros(2, np.float32) for key in ("x", "y", "z", name)})
    notes = []
    assert read_points(tmp_path / "a.ply", notes.append).colors is None
    assert [name in note for note in notes] == [True] * said


def test_faces_of_a_mesh_are_ignored_with_a_sentence(tmp_path):
    write_points(tmp_path / "a.ply", np.eye(3), None, triangles=np.array([[0, 1, 2]]))
    notes = []
    assert len(read_points(tmp_path / "a.ply", notes.append)) == 3
    assert len(notes) == 1 and "faces (1)" in notes[0]


def test_points_that_are_nowhere_are_left_out_with_their_colours(tmp_path):
    columns = {name: np.array([1, np.nan, 3], np.float32) for name in "xyz"}
    columns |= {name: np.array([10, 20, 30], np.uint8) for name in ("red", "green", "blue")}
    write_vertices(tmp_path / "a.ply", columns)
    notes = []
    cloud = read_points(tmp_path / "a.ply", notes.append)
    assert notes == ["1 of 3 points are not finite or too far out, and were left out."]
    assert cloud.positions[:, 0].tolist() == [1, 3] and cloud.colors[:, 0].tolist() == [10, 30]
    with pytest.raises(UserError):
        write_points(tmp_path / "b.ply", np.array([[0, 0, np.inf]]), None)


@pytest.mark.parametrize("far", [np.inf, np.nan, 1e300, 1e13])
def test_points_too_far_for_float32_are_left_out(tmp_path, far):
    columns = {name: np.array([1, far, -far], np.float64) for name in "xyz"}
    write_vertices(tmp_path / "a.ply", columns)
    (tmp_path / "points3D.txt").write_text(f"1 1 1 1 0 0 0 0\n2 1 {far} 1 0 0 0 0\n3 {-far} 1 1 0 0 0 0\n")
    for name in ("a.ply", "points3D.txt"):
        assert read_points(tmp_path / name).positions.tolist() == [[1, 1, 1]]
    write_vertices(tmp_path / "a.ply", {name: column[1:] for name, column in columns.items()})
    with pytest.raises(UserError, match="a.ply has 2 points, none of which"):
        read_points(tmp_path / "a.ply")


def test_a_ply_without_places_is_refused(tmp_path):
    write_vertices(tmp_path / "a.ply", {"red": np.zeros(2, np.uint8)})
    with pytest.raises(UserError, match="no points"):
        read_points(tmp_path / "a.ply")


def test_real_colmap_points(shared_data):
    cloud = read_points(shared_data("fox_colmap") / "sparse" / "0" / "points3D.bin")
    assert len(cloud) == 11_711 and cloud.colors.dtype == np.uint8
    assert 100 < cloud.colors.mean() < 160
