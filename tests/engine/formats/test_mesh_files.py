# SPDX-License-Identifier: GPL-3.0-or-later
"""Meshes as PLY: what is written is read, other programs' files too, and hostile ones are refused in a sentence."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.errors import UserError
from engine.formats.meshes import Mesh, read_mesh, write_mesh
from engine.formats.points import PointCloud, read_points

relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def some(rng, vertices=7, triangles=5):
    normals = rng.normal(size=(vertices, 3))
    cloud = PointCloud(rng.normal(size=(vertices, 3)), rng.integers(0, 256, (vertices, 3)).astype(np.uint8), normals.astype(np.float32))
    return Mesh(cloud, rng.integers(0, vertices, (triangles, 3)))


@pytest.mark.parametrize("triangles", [0, 1, 200])
def test_what_is_written_is_read(tmp_path, triangles):
    mesh = some(np.random.default_rng(triangles), 50, triangles)
    write_mesh(tmp_path / "a.ply", mesh)
    read = read_mesh(tmp_path / "a.ply")
    for name in ("positions", "colors", "normals"):
        np.testing.assert_array_equal(getattr(read.vertices, name), getattr(mesh.vertices, name))
    np.testing.assert_array_equal(read.triangles, mesh.triangles)
    # Its vertices are a cloud for who wants one.
    assert len(read_points(tmp_path / "a.ply")) == 50


@pytest.mark.parametrize("order, sign", [("binary_little_endian", "<"), ("binary_big_endian", ">")])
@pytest.mark.parametrize(
    "count, index, name", [("uchar", "int", "vertex_indices"), ("int", "uint", "vertex_index"), ("uint8", "short", "vertex_index")]
)
def test_other_programs_files_are_read(tmp_path, order, sign, count, index, name):
    kinds = {"uchar": "u1", "uint8": "u1", "int": "i4", "uint": "u4", "short": "i2"}
    header = f"ply\nformat {order} 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\nelement face 2\n"
    header += f"property list {count} {index} {name}\nend_header\n"
    row = np.dtype([("n", sign + kinds[count]), ("i", sign + kinds[index], 3)])
    body = np.arange(9).astype(sign + "f4").tobytes() + np.array([(3, (0, 1, 2)), (3, (2, 1, 0))], row).tobytes()
    (tmp_path / "a.ply").write_bytes(header.encode() + body)
    assert read_mesh(tmp_path / "a.ply").triangles.tolist() == [[0, 1, 2], [2, 1, 0]]


def written(tmp_path):
    write_mesh(tmp_path / "a.ply", some(np.random.default_rng(0)))
    return (tmp_path / "a.ply").read_bytes()


@pytest.mark.parametrize(
    "old, new, said",
    [
        (b"element face 5", b"element face 4000000000", "cut short"),
        (b"element face 5", b"element face 6", "cut short"),
        (b"element face", b"element side", "no faces"),
        (b"vertex_indices", b"other_indices_", "plain triangles"),
        (b"list uchar int", b"list uchar float", "damaged"),
        (b"binary_little_endian", b"ascii", "in binary"),
    ],
)
def test_headers_that_lie_are_refused(tmp_path, old, new, said):
    whole = written(tmp_path)
    assert whole.count(old) == 1
    (tmp_path / "a.ply").write_bytes(whole.replace(old, new))
    with pytest.raises(UserError, match=said if new != b"ascii" else r"a\.ply"):
        read_mesh(tmp_path / "a.ply")


def test_quads_wild_corners_and_places_that_are_not_finite_are_refused(tmp_path):
    whole = written(tmp_path)
    (tmp_path / "a.ply").write_bytes(whole[:-13] + b"\x04" + whole[-12:])
    with pytest.raises(UserError, match="more than three"):
        read_mesh(tmp_path / "a.ply")
    for corner in (-1, 7, 2**31 - 1):
        (tmp_path / "a.ply").write_bytes(whole[:-4] + corner.to_bytes(4, "little", signed=True))
        with pytest.raises(UserError, match="not there"):
            read_mesh(tmp_path / "a.ply")
    start = whole.index(b"end_header") + len(b"end_header\n")
    (tmp_path / "a.ply").write_bytes(whole[:start] + np.array(np.nan).tobytes() + whole[start + 8 :])
    with pytest.raises(UserError, match="finite"):
        read_mesh(tmp_path / "a.ply")
    with pytest.raises(UserError, match="finite"):
        write_mesh(tmp_path / "a.ply", Mesh(PointCloud(np.full((3, 3), np.inf)), np.array([[0, 1, 2]])))


@given(st.integers(0, 600), st.binary(max_size=20))
@relaxed
def test_any_cut_or_noise_is_a_sentence_or_a_mesh(tmp_path, at, noise):
    whole = written(tmp_path)
    (tmp_path / "a.ply").write_bytes(whole[:at] + noise + whole[at + len(noise) :])
    try:
        mesh = read_mesh(tmp_path / "a.ply")
    except UserError as error:
        assert "a.ply" in str(error)
    else:
        assert not len(mesh.triangles) or 0 <= mesh.triangles.min() <= mesh.triangles.max() < len(mesh.vertices)
