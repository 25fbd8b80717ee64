# SPDX-License-Identifier: GPL-3.0-or-later
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from engine.contract.errors import UserError
from engine.formats import ply
from engine.formats.ply import read_vertices, write_vertices

KINDS = ["i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8"]
relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def tables(draw):
    count = draw(st.integers(0, 7))
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    return {f"p{i}": draw(hnp.arrays(np.dtype(kind), count)) for i, kind in enumerate(kinds)}


def text_file(columns: dict, order: str) -> bytes:
    """The same table as other programs write it: another byte order, ascii, elements around the vertices, Windows line ends."""
    count = len(next(iter(columns.values())))
    names = {"i1": "int8", "u1": "uchar", "i2": "short", "u2": "uint16", "i4": "int", "u4": "uint32", "f4": "float32", "f8": "double"}
    ascii_ = order == "ascii"
    sign = ">" if order == "binary_big_endian" else "<"
    header = ["ply", f"format {order} 1.0", "comment made elsewhere", "element camera 1", "property double lens", "element strip 2"]
    header += ["property list uchar int index", f"element vertex {count}"]
    header += [f"property {names[column.dtype.str[1:]]} {name}" for name, column in columns.items()]
    header += ["element face 1", "property list uchar int vertex_indices", "end_header"]
    if ascii_:
        rows = [" ".join(repr(column[i].item()) for column in columns.values()) for i in range(count)]
        return "\r\n".join([*header, "50.0", "2 7 8", "0", *rows, "3 0 0 0", ""]).encode()
    body = np.array(50.0, sign + "f8").tobytes() + b"\x02" + np.array([7, 8], sign + "i4").tobytes() + b"\x00"
    for i in range(count):
        body += b"".join(column[i : i + 1].astype(column.dtype.newbyteorder(sign)).tobytes() for column in columns.values())
    return "\n".join([*header, ""]).encode() + body + b"\x03" + bytes(12)


@given(tables())
@relaxed
def test_what_is_written_is_read(tmp_path, columns):
    write_vertices(tmp_path / "a.ply", columns, ["first", "second: two"])
    read = read_vertices(tmp_path / "a.ply")
    assert read.comments == ("first", "second: two")
    assert list(read.columns) == list(columns)
    for name, column in columns.items():
        assert read.columns[name].dtype == column.dtype
        np.testing.assert_array_equal(read.columns[name], column)


@given(tables(), st.sampled_from(["binary_little_endian", "binary_big_endian", "ascii"]))
@relaxed
def test_other_programs_files_are_read(tmp_path, columns, order):
    (tmp_path / "a.ply").write_bytes(text_file(columns, order))
    read = read_vertices(tmp_path / "a.ply").columns
    assert list(read) == list(columns)
    for name, column in columns.items():
        np.testing.assert_array_equal(read[name], column)


@given(tables(), st.sampled_from(["binary_little_endian", "binary_big_endian", "ascii"]), st.data())
@relaxed
def test_a_cut_file_is_refused_or_still_whole(tmp_path, columns, order, data):
    whole = text_file(columns, order)
    cut = data.draw(st.integers(0, len(whole) - 1))
    (tmp_path / "a.ply").write_bytes(whole[:cut])
    try:
        read = read_vertices(tmp_path / "a.ply").columns
    except UserError as error:
        assert "a.ply" in error.message
    else:
        assert [len(column) for column in read.values()] == [len(column) for column in columns.values()]


@given(tables(), st.sampled_from(["binary_little_endian", "ascii"]), st.data())
@settings(relaxed, max_examples=200)
def test_damaged_bytes_give_user_errors_only(tmp_path, columns, order, data):
    whole = bytearray(text_file(columns, order))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    (tmp_path / "a.ply").write_bytes(whole)
    try:
        read_vertices(tmp_path / "a.ply")
    except UserError:
        pass


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ply",
        "ply\n",
        "plywood\nend_header\n",
        "ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty float x\n",
        "ply\nelement vertex 1\nproperty float x\nend_header\n1\n",
        "ply\nformat middle_endian 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n",
        "ply\nformat ascii 1.0\nproperty float x\nend_header\n1\n",
        "ply\nformat ascii 1.0\nelement vertex -1\nproperty float x\nend_header\n1\n",
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float x\nend_header\n1 1\n",
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty list uchar int x\nend_header\n1 1\n",
        "ply\nformat ascii 1.0\nelement vertex 1\nend_header\n1 1\n",
        "ply\nformat ascii 1.0\nelement face 1\nproperty float x\nend_header\n1\n",
        "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nend_header\n1\nnot\n",
        "ply\nformat ascii 1.0\nelement vertex 2\nproperty uchar x\nend_header\n1\n256\n",
        "ply\nformat ascii 1.0\nelement vertex 2\nproperty uchar x\nend_header\n1\nnan\n",
        "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nend_header\n1 2\n1\n",
        "ply\nformat ascii 1.0\nelement vertex 99999999999999999\nproperty float x\nend_header\n1\n",
        "ply\nformat binary_little_endian 1.0\nelement vertex 99999999999999999999999\nproperty float x\nend_header\n1234",
        "ply\nformat binary_little_endian 1.0\nelement a 99999999999999999999999\nproperty float x\n"
        "element vertex 1\nproperty float x\nend_header\n1234",
        "ply\nformat binary_little_endian 1.0\nelement a 4000000000\nproperty list uchar int x\n"
        "element vertex 1\nproperty float x\nend_header\n\0\0\0\0",
    ],
)
def test_impossible_files_are_refused(tmp_path, text):
    (tmp_path / "a.ply").write_bytes(text.encode())
    with pytest.raises(UserError, match=r"a\.ply"):
        read_vertices(tmp_path / "a.ply")


@pytest.mark.parametrize("kind, count", [("double", np.nan), ("float", np.inf), ("double", -np.inf), ("float", 1e30), ("int", -1)])
def test_lists_of_impossible_length_are_refused_by_name(tmp_path, kind, count):
    code = {"double": "<f8", "float": "<f4", "int": "<i4"}[kind]
    header = f"ply\nformat binary_little_endian 1.0\nelement strip 1\nproperty list {kind} int index\n"
    header += "element vertex 1\nproperty float x\nend_header\n"
    (tmp_path / "a.ply").write_bytes(header.encode() + np.array(count, code).tobytes() + bytes(40))
    with pytest.raises(UserError, match="list index in row 1 of element strip"):
        read_vertices(tmp_path / "a.ply")


def test_more_lists_than_can_be_skipped_in_time_are_refused_at_once(tmp_path):
    header = "ply\nformat binary_little_endian 1.0\nelement face 9000000\nproperty list uchar int i\n"
    header += "element vertex 1\nproperty float x\nend_header\n"
    (tmp_path / "a.ply").write_bytes(header.encode() + bytes(9_000_004))
    with pytest.raises(UserError, match="9000000 lists of element face.*vertices first"):
        read_vertices(tmp_path / "a.ply")


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("element vertex 3", "element vertex three", "line 3 is 'element vertex three'"),
        ("property float y", "property half y", "line 5"),
        ("format ascii 1.0", "comment none", "no line that begins with format"),
        ("\n4 5\n", "\n4 five\n", "y in row 2 of element vertex is 'five'"),
        ("\n4 5\n", "\n4\n", "row 2 of element vertex has 1 values, and needs 2"),
        ("property float x", "property uchar x", "x is 300 in row 3 of element vertex"),
        ("vertex 3", "vertex 4", "promises 4 of element vertex"),
    ],
)
def test_messages_name_the_line_the_row_and_the_property(tmp_path, old, new, words):
    text = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nend_header\n2 3\n4 5\n300 7\n"
    assert old in text
    (tmp_path / "a.ply").write_text(text.replace(old, new))
    with pytest.raises(UserError, match=words):
        read_vertices(tmp_path / "a.ply")


@pytest.mark.parametrize("start, body", [(b"\xef\xbb\xbf", b""), (b"", b"\xef\xbb\xbf"), (b"", b"\n\n"), (b"", b" \r\n")])
def test_byte_order_marks_and_blank_lines_are_passed_over(tmp_path, start, body):
    header = b"ply\nformat ascii 1.0\nelement note 1\nproperty int n\nelement vertex 2\nproperty float x\nend_header\n"
    (tmp_path / "a.ply").write_bytes(start + header + body + b"7\n\n1.5\n 2.5 ")
    assert read_vertices(tmp_path / "a.ply").columns["x"].tolist() == [1.5, 2.5]


def test_text_longer_than_a_block_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(ply, "_BLOCK", 64)
    values = np.random.default_rng(0).normal(size=(500, 2)).astype(np.float32)
    rows = "\n".join(f"{x!r} {y!r}" for x, y in values.tolist())
    for skipped in (0, 1, 9):
        header = f"ply\nformat ascii 1.0\nelement note {skipped}\nproperty int n\nelement vertex 500\nproperty float x\nproperty float y\n"
        (tmp_path / "a.ply").write_text(header + "end_header\n" + "7\n" * skipped + rows)
        np.testing.assert_array_equal(read_vertices(tmp_path / "a.ply").stack(("x", "y")), values)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(UserError):
        read_vertices(tmp_path / "none.ply")
    with pytest.raises(UserError):
        read_vertices(tmp_path)


def test_a_failed_write_leaves_the_old_file(tmp_path):
    file = tmp_path / "a.ply"
    write_vertices(file, {"x": np.arange(3.0)})
    with pytest.raises(ValueError):
        write_vertices(file, {"x": np.arange(3.0), "y": np.arange(2.0)})
    assert len(read_vertices(file)) == 3 and list(tmp_path.iterdir()) == [file]
