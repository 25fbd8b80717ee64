# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of voxels: what is written is read, and damage is one sentence."""

import zipfile

import numpy as np
import pytest

from engine.contract.errors import UserError
from engine.formats.voxels import Voxels, read_voxels, write_voxels


def some():
    rng = np.random.default_rng(0)
    return Voxels(rng.random((8, 8, 8)).astype(np.float16).astype(np.float32), rng.integers(0, 255, (5, 3), np.uint8))


def test_what_is_written_is_read(tmp_path):
    voxels = some()
    write_voxels(tmp_path / "v.npz", voxels, full=voxels.probabilities > 0.5)
    found = read_voxels(tmp_path / "v.npz")
    np.testing.assert_array_equal(found.probabilities, voxels.probabilities)
    np.testing.assert_array_equal(found.bands, voxels.bands)


def test_without_colours_voxels_are_grey(tmp_path):
    np.savez(tmp_path / "v.npz", probabilities=some().probabilities)
    np.testing.assert_array_equal(read_voxels(tmp_path / "v.npz").bands, [(128, 128, 128)])


@pytest.mark.parametrize(
    "values",
    [
        {"other": np.zeros(3)},
        {"probabilities": np.zeros((4, 4, 5))},
        {"probabilities": np.zeros((0, 0, 0))},
        {"probabilities": np.full((4, 4, 4), np.nan)},
        {"probabilities": np.full((4, 4, 4), 2.0)},
        {"probabilities": np.full((2, 2, 2), "x")},
        {"probabilities": np.full((2, 2, 2), None, object)},
        {"probabilities": np.zeros((400, 400, 400), np.uint8)},
        {"probabilities": np.zeros((4, 4, 4)), "bands": np.zeros((0, 3), np.uint8)},
        {"probabilities": np.zeros((4, 4, 4)), "bands": np.zeros((3, 3))},
    ],
)
def test_what_holds_no_voxels_is_refused(tmp_path, values):
    np.savez_compressed(tmp_path / "v.npz", **values)
    with pytest.raises(UserError, match="v.npz"):
        read_voxels(tmp_path / "v.npz")


def test_damaged_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="no file"):
        read_voxels(tmp_path / "v.npz")
    write_voxels(tmp_path / "v.npz", some())
    whole = (tmp_path / "v.npz").read_bytes()
    rng = np.random.default_rng(1)
    for trial in range(60):
        damaged = bytearray(whole)
        if trial % 2:
            del damaged[int(rng.integers(0, len(damaged))) :]
        else:
            for place in rng.integers(0, len(damaged), 6):
                damaged[place] = rng.integers(0, 256)
        (tmp_path / "v.npz").write_bytes(damaged)
        try:
            read_voxels(tmp_path / "v.npz")
        except UserError as error:
            assert "v.npz" in str(error)


def archive(file, header, data=bytes(16), prefix=b"\x93NUMPY\x01\x00"):
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as stream:
        stream.writestr("probabilities.npy", prefix + len(header).to_bytes(2, "little") + header + data)


@pytest.mark.parametrize(
    "header, words",
    [
        (b"{'descr': '<f2', 'fortran_order': False, 'shape': (1000000000, 1000000000), }", "shape"),
        (b"{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2, 2", "header of NumPy"),
        (b"{'descr': '<f2', 'fortran_order': False, 'shape': (" + b"(" * 3000 + b"), }", "header of NumPy"),
        (b"{'descr': '|O', 'fortran_order': False, 'shape': (2, 2, 2), }", "header of NumPy"),
        (b"{'descr': [('x', '<f2')], 'fortran_order': False, 'shape': (2, 2, 2), }", "header of NumPy"),
        (b"{'descr': '<f2', 'fortran_order': False, 'shape': (-2, 2, -2), }", "header of NumPy"),
        (b"__import__('os').abort()", "header of NumPy"),
        (b"\xff\xfe\x00", "header of NumPy"),
        (b"", "header of NumPy"),
    ],
)
def test_headers_of_arrays_are_checked_before_anything_is_allocated(tmp_path, header, words):
    archive(tmp_path / "v.npz", header)
    with pytest.raises(UserError, match=rf"v\.npz.*probabilities.*{words}"):
        read_voxels(tmp_path / "v.npz")


def test_what_is_no_array_is_refused(tmp_path):
    archive(tmp_path / "v.npz", b"{'descr': '<f2', 'fortran_order': False, 'shape': (2, 2, 2), }", prefix=b"not an array")
    with pytest.raises(UserError, match="header of NumPy"):
        read_voxels(tmp_path / "v.npz")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("kind", ["<f2", ">f4", "<f8", "|u1", "|b1"])
def test_arrays_of_every_type_and_order_are_read(tmp_path, kind, order):
    values = np.arange(27).reshape(3, 3, 3) % 2
    np.savez(tmp_path / "v.npz", probabilities=np.asarray(values.astype(kind), order=order))
    np.testing.assert_array_equal(read_voxels(tmp_path / "v.npz").probabilities, values)
