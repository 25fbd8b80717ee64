# SPDX-License-Identifier: GPL-3.0-or-later
import json
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.errors import UserError
from engine.formats import memory
from engine.formats.splats import read_splats, write_splats
from engine.formats.splats.gaussians import opacities
from engine.formats.splats.glb import read_glb, write_glb
from engine.formats.splats.transform import moved

relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
ROUNDING = 1e-6
EXTENSION = "KHR_gaussian_splatting"


def open_glb(data: bytes):
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def close_glb(document, body: bytes) -> bytes:
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    head = struct.pack("<III", 0x46546C67, 2, 28 + len(text) + len(body)) + struct.pack("<II", len(text), 0x4E4F534A)
    return head + text + struct.pack("<II", len(body), 0x004E4942) + body


@pytest.fixture
def changed(tmp_path, random_splats):
    """Writes a GLB whose document a function has changed; gives the splats that were written and the file."""

    def change(edit, count=5, degree=1):
        splats = random_splats(4, count, degree)
        write_glb(tmp_path / "a.glb", splats)
        document, body = open_glb((tmp_path / "a.glb").read_bytes())
        body = edit(document) or body
        (tmp_path / "b.glb").write_bytes(close_glb(document, body))
        return splats, tmp_path / "b.glb"

    return change


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(0, 3), st.sampled_from([None, "linear", "srgb"]))
@relaxed
def test_what_is_written_is_read(tmp_path, random_splats, quat_errors, seed, count, degree, blend):
    splats = random_splats(seed, count, degree, blend=blend)
    write_glb(tmp_path / "a.glb", splats)
    read = read_glb(tmp_path / "a.glb")
    assert (len(read), read.degree, read.blend) == (count, degree, blend or "srgb")
    np.testing.assert_array_equal(read.means, splats.means)
    np.testing.assert_array_equal(read.sh, splats.sh)
    np.testing.assert_allclose(read.log_scales, splats.log_scales, atol=ROUNDING)
    assert np.abs(opacities(read) - opacities(splats)).max() <= 2 * ROUNDING
    assert quat_errors(read.quats, splats.quats).max() <= ROUNDING


def test_the_file_is_valid_gltf(tmp_path, random_splats):
    write_splats(tmp_path / "a.glb", random_splats(0, 7, 3, blend="linear"))
    data = (tmp_path / "a.glb").read_bytes()
    document, body = open_glb(data)
    assert struct.unpack_from("<III", data) == (0x46546C67, 2, len(data)) and len(data) % 4 == 0
    assert document["buffers"] == [{"byteLength": len(body)}]
    assert document["extensionsUsed"] == [EXTENSION]
    primitive = document["meshes"][0]["primitives"][0]
    assert primitive["mode"] == 0
    assert primitive["extensions"][EXTENSION]["colorSpace"] == "lin_rec709_display"
    names = [f"{EXTENSION}:SH_DEGREE_{degree}_COEF_{index}" for degree in range(4) for index in range(2 * degree + 1)]
    expected = {"POSITION": ("VEC3", 5126), "COLOR_0": ("VEC4", 5121), f"{EXTENSION}:ROTATION": ("VEC4", 5126)}
    expected |= {f"{EXTENSION}:SCALE": ("VEC3", 5126), f"{EXTENSION}:OPACITY": ("SCALAR", 5126)} | {name: ("VEC3", 5126) for name in names}
    assert set(primitive["attributes"]) == set(expected)
    for name, index in primitive["attributes"].items():
        accessor = document["accessors"][index]
        assert (accessor["type"], accessor["componentType"], accessor["count"]) == (*expected[name], 7)
        view = document["bufferViews"][accessor["bufferView"]]
        assert view["byteOffset"] % 4 == 0 and view["byteOffset"] + view["byteLength"] <= len(body)
    position = document["accessors"][primitive["attributes"]["POSITION"]]
    view = document["bufferViews"][position["bufferView"]]
    means = np.frombuffer(body[view["byteOffset"] :][: view["byteLength"]], "<f4").reshape(-1, 3)
    np.testing.assert_array_equal(position["min"], means.min(axis=0))
    np.testing.assert_array_equal(position["max"], means.max(axis=0))


def test_the_axes_of_the_file_are_y_up(tmp_path, random_splats):
    splats = random_splats(0, 1, 0)
    splats.means[0] = [1, 2, 3]
    write_splats(tmp_path / "a.glb", splats)
    np.testing.assert_array_equal(read_glb(tmp_path / "a.glb").means[0], [1, 3, -2])
    np.testing.assert_array_equal(read_splats(tmp_path / "a.glb").means[0], [1, 2, 3])


def test_nodes_put_splats_in_their_place(changed, any_rotation, covariances):
    first, quat = any_rotation(1)
    second, _ = any_rotation(2)

    def edit(document):
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = second * 0.5, [1, 0, 0]
        document["nodes"] = [
            {"children": [2], "matrix": matrix.T.ravel().tolist()},
            {"name": "a lamp"},
            {"mesh": 0, "rotation": quat[[1, 2, 3, 0]].tolist(), "scale": [3, 3, 3], "translation": [0, 5, 0]},
        ]
        document["scenes"] = [{"nodes": [1]}, {"nodes": [0, 1]}]
        document["scene"] = 1

    splats, file = changed(edit)
    expected = moved(moved(splats, first, 3, np.array([0, 5, 0])), second, 0.5, np.array([1, 0, 0]))
    read = read_glb(file)
    np.testing.assert_allclose(read.means, expected.means, atol=1e-4)
    np.testing.assert_allclose(read.sh, expected.sh, atol=1e-5)
    np.testing.assert_allclose(covariances(read), covariances(expected), rtol=1e-3, atol=1e-4)


def test_several_primitives_are_one_set(tmp_path, changed):
    def edit(document):
        primitive = document["meshes"][0]["primitives"][0]
        low = json.loads(json.dumps(primitive))
        for index in range(3):
            del low["attributes"][f"{EXTENSION}:SH_DEGREE_1_COEF_{index}"]
        document["meshes"][0]["primitives"] = [primitive, low, {"attributes": {"POSITION": 0}, "mode": 4}]

    splats, file = changed(edit)
    read = read_glb(file)
    assert len(read) == 10 and read.degree == 1
    np.testing.assert_array_equal(read.sh[:5], splats.sh)
    np.testing.assert_array_equal(read.sh[5:, 0], splats.sh[:, 0])
    assert not read.sh[5:, 1:].any()


def test_quantised_and_interleaved_lists(changed):
    def edit(document):
        rows = np.zeros(5, [("p", "<f4", 3), ("r", "<i2", 4), ("o", "u1"), ("_", "u1", 3)])
        rows["p"] = np.arange(15).reshape(5, 3)
        rows["r"] = [0, 0, 0, 32767]
        rows["o"] = 51
        document["bufferViews"] += [{"buffer": 0, "byteLength": 120, "byteStride": 24}]
        last = len(document["bufferViews"]) - 1
        attributes = document["meshes"][0]["primitives"][0]["attributes"]
        for name, offset, kind, shape in (("POSITION", 0, 5126, "VEC3"), (":ROTATION", 12, 5122, "VEC4"), (":OPACITY", 20, 5121, "SCALAR")):
            accessor = {"bufferView": last, "byteOffset": offset, "componentType": kind, "count": 5, "type": shape}
            accessor["normalized"] = kind != 5126
            document["accessors"].append(accessor)
            attributes[name if name == "POSITION" else EXTENSION + name] = len(document["accessors"]) - 1
        return rows.tobytes() + bytes(2000)

    _, file = changed(edit)
    read = read_glb(file)
    np.testing.assert_array_equal(read.means, np.arange(15).reshape(5, 3))
    np.testing.assert_array_equal(read.quats, [[1, 0, 0, 0]] * 5)
    np.testing.assert_allclose(opacities(read), 0.2, atol=1e-6)


def set_in(*path, value):
    def edit(document):
        place = document
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (set_in("nodes", 0, "scale", value=[1, 2, 1]), "unevenly"),
        (set_in("nodes", 0, "scale", value=[-1, 1, 1]), "mirrors"),
        (set_in("nodes", 0, "scale", value=[0, 0, 0]), "unevenly"),
        (set_in("nodes", 0, "translation", value=[float("nan"), 0, 0]), "damaged"),
        (set_in("nodes", 0, "children", value=[0]), "damaged"),
        (set_in("scenes", 0, "nodes", value=[7]), "damaged"),
        (set_in("scenes", 0, "nodes", value=[-1]), "damaged"),
        (set_in("scene", value="0"), "damaged"),
        (set_in("meshes", value=[]), "damaged"),
        (set_in("meshes", 0, "primitives", 0, "extensions", value={}), "no splats"),
        (set_in("meshes", 0, "primitives", 0, "extensions", EXTENSION, "extensions", value={"spz_2": {}}), "compressed"),
        (set_in("meshes", 0, "primitives", 0, "attributes", value={"POSITION": 0}), "damaged"),
        (set_in("accessors", 0, "count", value=10**12), "damaged: accessor 0 reaches beyond"),
        (set_in("accessors", 0, "count", value=6), "damaged"),
        (set_in("accessors", 0, "count", value=-1), "damaged"),
        (set_in("accessors", 0, "type", value="VEC2"), "damaged"),
        (set_in("accessors", 0, "componentType", value=[]), "damaged"),
        (set_in("accessors", 2, "sparse", value={}), "sparse"),
        (set_in("bufferViews", 0, "byteOffset", value=10**15), "damaged: bufferView 0"),
        (set_in("bufferViews", 0, "byteStride", value=1), "damaged"),
        (set_in("buffers", 0, "uri", value="../../secret.bin"), "another file"),
    ],
)
def test_damaged_documents(changed, edit, words):
    _, file = changed(edit)
    with pytest.raises(UserError, match=words) as refused:
        read_splats(file)
    assert "b.glb" in str(refused.value)


def test_required_extensions_are_named(changed):
    _, file = changed(set_in("extensionsRequired", value=["KHR_gaussian_splatting", "KHR_texture_basisu"]))
    notes = []
    read_splats(file, note=notes.append)
    assert len(notes) == 1 and "KHR_texture_basisu" in notes[0]

    def compressed(document):
        document["extensionsRequired"] = ["EXT_meshopt_compression"]
        for accessor in document["accessors"]:
            del accessor["bufferView"]

    _, file = changed(compressed)
    with pytest.raises(UserError, match="b.glb requires EXT_meshopt_compression.*without compression"):
        read_splats(file)


def test_what_is_no_splat_or_not_known_of_splats_is_said(changed):
    def edit(document):
        document["meshes"][0]["primitives"].append({"attributes": {"POSITION": 0}})
        document["meshes"][0]["primitives"][0]["extensions"][EXTENSION] |= {"kernel": "cube", "colorSpace": "p3"}

    notes = []
    read_splats(changed(edit)[1], note=notes.append)
    assert len(notes) == 2 and "no splats (1)" in notes[0] and "colorSpace p3 and kernel cube" in notes[1]


def test_numbers_that_are_shared_without_end_are_refused(changed, monkeypatch):
    def edit(document):
        document["meshes"][0]["primitives"] *= 50

    _, file = changed(edit)
    monkeypatch.setattr(memory, "_FLOOR", 1 << 10)
    with pytest.raises(UserError, match="a file of its size may take"):
        read_splats(file)


def test_more_nodes_than_are_read(changed):
    def edit(document):
        document["nodes"] = [{}] * 200_001
        del document["scenes"]

    _, file = changed(edit)
    with pytest.raises(UserError, match="200000 nodes"):
        read_splats(file)


def test_splats_shown_without_end_are_refused(changed):
    def edit(document):
        document["nodes"] = [{"mesh": 0}] * 100_000
        document["scenes"] = [{"nodes": list(range(100_000))}]

    _, file = changed(edit)
    with pytest.raises(UserError, match="too many times"):
        read_splats(file)


def test_cut_files_are_refused_at_every_byte(tmp_path, random_splats):
    write_glb(tmp_path / "a.glb", random_splats(0, 2, 1))
    data = (tmp_path / "a.glb").read_bytes()
    for length in range(len(data)):
        (tmp_path / "cut.glb").write_bytes(data[:length])
        with pytest.raises(UserError, match="cut.glb"):
            read_splats(tmp_path / "cut.glb")


@given(st.integers(0, 2200), st.integers(0, 255))
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_changed_bytes_give_splats_or_a_sentence(tmp_path, random_splats, place, value):
    write_glb(tmp_path / "a.glb", random_splats(0, 2, 1))
    data = bytearray((tmp_path / "a.glb").read_bytes())
    data[place % len(data)] = value
    (tmp_path / "a.glb").write_bytes(data)
    try:
        read_splats(tmp_path / "a.glb")
    except UserError:
        pass


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "null", '{"scenes": ' + "1" * 5000 + "}", "\ud800".encode("utf-8", "surrogatepass")])
def test_hostile_text(tmp_path, text):
    text = text if isinstance(text, bytes) else text.encode()
    data = struct.pack("<III", 0x46546C67, 2, 20 + len(text)) + struct.pack("<II", len(text), 0x4E4F534A) + text
    (tmp_path / "a.glb").write_bytes(data)
    with pytest.raises(UserError, match="damaged"):
        read_splats(tmp_path / "a.glb")


def test_no_splats_are_refused(tmp_path, random_splats):
    with pytest.raises(UserError, match="no splats"):
        write_glb(tmp_path / "a.glb", random_splats(0, 0, 0))
    assert not list(tmp_path.iterdir())
