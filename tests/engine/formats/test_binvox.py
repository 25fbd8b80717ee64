# SPDX-License-Identifier: GPL-3.0-or-later
"""binvox: the format's own index formula, round trips, a published file, and hostile ones."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from engine.contract.errors import UserError
from engine.formats.binvox import VoxelGrid, read_binvox, write_binvox

relaxed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
number = st.floats(-1e6, 1e6, width=32)


@relaxed
@given(
    st.integers(1, 9).flatmap(lambda side: arrays.arrays(bool, (side, side, side))), st.tuples(number, number, number), st.floats(1e-3, 1e4)
)
def test_what_is_written_is_read(tmp_path, cells, corner, size):
    write_binvox(tmp_path / "a.binvox", VoxelGrid(cells, corner, size))
    read = read_binvox(tmp_path / "a.binvox")
    np.testing.assert_array_equal(read.cells, cells)
    np.testing.assert_allclose(read.size, size, rtol=1e-6)
    np.testing.assert_allclose(read.corner, corner, atol=1e-6 * (1 + max(map(abs, corner)) + size))


@pytest.mark.parametrize("value", [False, True])
def test_long_runs(tmp_path, value):
    write_binvox(tmp_path / "a.binvox", VoxelGrid(np.full((17, 17, 17), value)))
    np.testing.assert_array_equal(read_binvox(tmp_path / "a.binvox").cells, value)


def test_a_cell_lies_where_the_format_says(tmp_path):
    """Its page: index = x * width * height + z * width + y, in a world whose y is up and whose z comes towards the viewer."""
    side, (x, up, near) = 4, (1, 2, 3)
    flat = np.zeros(side**3, np.uint8)
    flat[x * side * side + near * side + up] = 1
    runs = b"".join(bytes([value, 1]) for value in flat)
    (tmp_path / "a.binvox").write_bytes(b"#binvox 1\ndim 4 4 4\ntranslate 10 20 30\nscale 8\ndata\n" + runs)
    grid = read_binvox(tmp_path / "a.binvox")
    i, j, k = np.argwhere(grid.cells)[0]
    middle = np.array(grid.corner) + (np.array([i, j, k]) + 0.5) * grid.size / side
    # x stays, z up is the file's y, and y away is the file's z the other way.
    np.testing.assert_allclose(middle, [10 + 1.5 * 2, -(30 + 3.5 * 2), 20 + 2.5 * 2])


def test_a_published_file(tmp_path, shared_data):
    file = shared_data("meshes") / "chair.binvox"
    grid = read_binvox(file)
    runs = file.read_bytes().split(b"data\n", 1)[1]
    assert grid.cells.shape == (32, 32, 32) and grid.cells.sum() == sum(runs[at + 1] for at in range(0, len(runs), 2) if runs[at])
    # A chair whose mesh had z up, which lies on its back here: from far to near its legs, its seat, its back.
    levels = grid.cells.sum(axis=(0, 2))[::-1]
    assert 0 < levels[:4].max() < 8 < levels[-4:].min() and 12 < levels.argmax() < 20
    write_binvox(tmp_path / "a.binvox", grid)
    np.testing.assert_array_equal(read_binvox(tmp_path / "a.binvox").cells, grid.cells)


GOOD = b"#binvox 1\ndim 2 2 2\ntranslate 0 0 0\nscale 1\ndata\n\x01\x08"


@pytest.mark.parametrize(
    "old, new, said",
    [
        (b"#binvox", b"#boxvin", "not a binvox"),
        (b"\ndata\n", b"\ndaten\n", "no end"),
        (b"dim 2 2 2", b"dim 2 2 3", "not a cube"),
        (b"dim 2 2 2", b"dim 2 2", "not a cube"),
        (b"dim 2 2 2", b"dim 0 0 0", "not a cube"),
        (b"dim 2 2 2", b"dim 99999 99999 99999", "not a cube"),
        (b"dim 2 2 2", b"dim 1024 1024 1024", "should hold"),
        (b"dim 2 2 2", b"dim two 2 2", "no number"),
        (b"scale 1", b"scale nan", "finite"),
        (b"scale 1", b"scale -1", "finite"),
        (b"scale 1", b"scale 1 2", "no number"),
        (b"translate 0 0 0", b"translate 0 0", "finite"),
        (b"\x01\x08", b"\x01\x07", "should hold"),
        (b"\x01\x08", b"\x01\x08\x00", "within a run"),
        (b"\x01\x08", b"", "should hold"),
    ],
)
def test_damaged_files_are_refused(tmp_path, old, new, said):
    assert old in GOOD
    (tmp_path / "a.binvox").write_bytes(GOOD.replace(old, new))
    with pytest.raises(UserError, match=said):
        read_binvox(tmp_path / "a.binvox")


@relaxed
@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused(tmp_path, tail):
    (tmp_path / "a.binvox").write_bytes(GOOD[:20] + tail)
    try:
        read_binvox(tmp_path / "a.binvox")
    except UserError:
        pass


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_binvox(tmp_path / "none.binvox")
