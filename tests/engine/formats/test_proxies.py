# SPDX-License-Identifier: GPL-3.0-or-later
"""Proxies and colored meshes as GLB: what is written is read, and damaged files are refused in a sentence."""

import io
import json
import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from engine.contract.errors import UserError
from engine.formats.meshes import Mesh, read_mesh, write_mesh
from engine.formats.points import PointCloud
from engine.formats.proxies import Proxy, read_proxy, write_proxy

relaxed = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SIDES = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1], [1, 3, 2]])


def picture(kind="PNG", size=(8, 4)):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def proxy():
    rng = np.random.default_rng(1)
    normals = rng.normal(size=(4, 3))
    return Proxy(
        positions=rng.normal(size=(4, 3)),
        triangles=SIDES,
        uvs=rng.random((4, 2)).astype(np.float32),
        normals=(normals / np.linalg.norm(normals, axis=1, keepdims=True)).astype(np.float32),
        captured=picture("JPEG"),
        albedo=picture(),
        normal_map=picture(size=(2, 2)),
        hull=((rng.normal(size=(4, 3)), SIDES), (rng.normal(size=(4, 3)), SIDES[:, ::-1])),
        placement=np.eye(4) + 1e6,
        scale="unknown",
    )


def document_of(data):
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def joined(document, body):
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<III", 0x46546C67, 2, 28 + len(text) + len(body)) + struct.pack("<II", len(text), 0x4E4F534A)
    return head + text + struct.pack("<II", len(body), 0x004E4942) + body


def test_what_is_written_is_read(tmp_path, proxy):
    write_proxy(tmp_path / "a.glb", proxy)
    read = read_proxy(tmp_path / "a.glb")
    np.testing.assert_allclose(read.positions, proxy.positions, atol=1e-6)
    np.testing.assert_array_equal(read.triangles, proxy.triangles)
    np.testing.assert_allclose(read.uvs, proxy.uvs, atol=1e-6)
    np.testing.assert_allclose(read.normals, proxy.normals, atol=1e-6)
    np.testing.assert_array_equal(read.placement, proxy.placement)
    assert (read.captured, read.albedo, read.normal_map, read.scale) == (proxy.captured, proxy.albedo, proxy.normal_map, "unknown")
    assert len(read.hull) == 2
    np.testing.assert_allclose(read.hull[1][0], proxy.hull[1][0], atol=1e-6)
    np.testing.assert_allclose(read.dimensions, np.ptp(proxy.positions, axis=0), atol=1e-6)


def test_what_is_not_there_stays_so(tmp_path, proxy):
    write_proxy(tmp_path / "a.glb", replace(proxy, albedo=None, normal_map=None, hull=(), placement=None))
    read = read_proxy(tmp_path / "a.glb")
    assert read.albedo is None and read.normal_map is None and read.hull == () and read.placement is None


def test_the_file_stands_upright_for_viewers(tmp_path, proxy):
    """glTF has y up; the default scene shows the mesh alone, with the captured colors."""
    tall = replace(proxy, positions=np.array([[0, 0, 0], [0.1, 0, 0], [0, 0.2, 0], [0, 0, 3.0]]))
    write_proxy(tmp_path / "a.glb", tall)
    document, _ = document_of((tmp_path / "a.glb").read_bytes())
    primitive = document["meshes"][0]["primitives"][0]
    accessor = document["accessors"][primitive["attributes"]["POSITION"]]
    assert accessor["max"][1] == 3 and accessor["min"][2] == pytest.approx(-0.2)
    assert document["scenes"][document["scene"]]["nodes"] == [0]
    assert "KHR_materials_unlit" in document["materials"][primitive["material"]]["extensions"]


def set_in(*path, value):
    def edit(document):
        for key in path[:-1]:
            document = document[key]
        document[path[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (set_in("asset", "extras", value={}), "no proxy"),
        (set_in("asset", "extras", "reconstruct", "placement", value=[1, 2]), "damaged"),
        (set_in("asset", "extras", "reconstruct", "placement", value=[[float("nan")] * 4] * 4), "damaged"),
        (set_in("accessors", 0, "count", value=10**12), "damaged"),
        (set_in("accessors", 1, "count", value=3), "damaged"),
        (set_in("accessors", 3, "count", value=11), "damaged"),
        (set_in("accessors", 3, "componentType", value=5126), "damaged"),
        (set_in("bufferViews", 3, "byteLength", value=10**12), "damaged"),
        (set_in("buffers", 0, "uri", value="../secret.bin"), "another file"),
        (set_in("images", 0, "bufferView", value=0), "damaged"),
        (set_in("images", value=[]), "damaged"),
        (set_in("materials", value=[{}]), "damaged"),
        (set_in("meshes", 0, "primitives", 0, "attributes", value={"POSITION": 0}), "damaged"),
    ],
)
def test_damaged_documents(tmp_path, proxy, edit, words):
    write_proxy(tmp_path / "a.glb", proxy)
    document, body = document_of((tmp_path / "a.glb").read_bytes())
    edit(document)
    (tmp_path / "b.glb").write_bytes(joined(document, body))
    with pytest.raises(UserError, match=words) as refused:
        read_proxy(tmp_path / "b.glb")
    assert "b.glb" in str(refused.value)


def test_a_texture_that_claims_gigabytes_is_refused(tmp_path, proxy):
    bomb = bytearray(picture())
    bomb[16:24] = struct.pack(">II", 100_000, 100_000)
    write_proxy(tmp_path / "a.glb", replace(proxy, captured=bytes(bomb)))
    with pytest.raises(UserError, match="100000"):
        read_proxy(tmp_path / "a.glb")


def test_cut_files_are_refused_at_every_byte(tmp_path, proxy):
    write_proxy(tmp_path / "a.glb", proxy)
    data = (tmp_path / "a.glb").read_bytes()
    for length in range(0, len(data), 7):
        (tmp_path / "cut.glb").write_bytes(data[:length])
        with pytest.raises(UserError, match="cut.glb"):
            read_proxy(tmp_path / "cut.glb")


@given(st.integers(0, 1 << 16), st.integers(0, 255))
@relaxed
def test_changed_bytes_give_a_proxy_or_a_sentence(tmp_path, proxy, place, value):
    write_proxy(tmp_path / "a.glb", proxy)
    data = bytearray((tmp_path / "a.glb").read_bytes())
    data[place % len(data)] = value
    (tmp_path / "a.glb").write_bytes(data)
    for read in (read_proxy, read_mesh):
        try:
            read(tmp_path / "a.glb")
        except UserError:
            pass


def test_nothing_is_not_written(tmp_path, proxy):
    with pytest.raises(UserError, match="no surface"):
        write_proxy(tmp_path / "a.glb", replace(proxy, triangles=SIDES[:0]))
    with pytest.raises(UserError, match="finite"):
        write_proxy(tmp_path / "a.glb", replace(proxy, positions=np.full((4, 3), np.nan)))
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match="a.glb"):
        read_proxy(tmp_path / "a.glb")


@given(st.integers(0, 2**32 - 1), st.floats(0, 1e7))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_meshes_keep_places_and_every_color(tmp_path, seed, away):
    rng = np.random.default_rng(seed)
    positions, colors = rng.normal(size=(256, 3)) + away, np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
    mesh = Mesh(PointCloud(positions, colors, np.eye(3, dtype=np.float32)[rng.integers(0, 3, 256)]), rng.integers(0, 256, (50, 3)))
    write_mesh(tmp_path / "a.glb", mesh)
    read = read_mesh(tmp_path / "a.glb")
    np.testing.assert_allclose(read.vertices.positions, positions, atol=1e-6)
    np.testing.assert_array_equal(read.vertices.colors, colors)
    np.testing.assert_allclose(read.vertices.normals, mesh.vertices.normals, atol=1e-6)
    np.testing.assert_array_equal(read.triangles, mesh.triangles)


def test_meshes_are_told_by_content(tmp_path):
    mesh = Mesh(PointCloud(np.eye(3), np.zeros((3, 3), np.uint8)), np.array([[0, 1, 2]]))
    for suffix in ("glb", "ply"):
        write_mesh(tmp_path / f"a.{suffix}", mesh)
        (tmp_path / f"a.{suffix}").rename(tmp_path / f"{suffix}.bin")
        np.testing.assert_array_equal(read_mesh(tmp_path / f"{suffix}.bin").vertices.positions, np.eye(3))
