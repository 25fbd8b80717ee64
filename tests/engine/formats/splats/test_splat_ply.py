# SPDX-License-Identifier: GPL-3.0-or-later
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.errors import UserError
from engine.formats.ply import read_header, read_vertices, write_vertices
from engine.formats.splats import holds_splats, read_splats, write_splats
from engine.formats.splats.gaussians import opacities

relaxed = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 9),
    st.integers(0, 3),
    st.sampled_from([None, "linear", "srgb"]),
    st.sampled_from([None, True, False]),
)
@relaxed
def test_what_is_written_is_read(tmp_path, random_splats, seed, count, degree, blend, antialias):
    splats = random_splats(seed, count, degree, blend=blend, antialias=antialias)
    write_splats(tmp_path / "a.ply", splats)
    read = read_splats(tmp_path / "a.ply")
    assert (len(read), read.degree, read.blend, read.antialias) == (count, degree, blend, antialias)
    for name in ("means", "log_scales", "opacity_logits", "sh"):
        np.testing.assert_array_equal(getattr(read, name), getattr(splats, name))
    expected = splats.quats / np.linalg.norm(splats.quats, axis=1, keepdims=True)
    np.testing.assert_allclose(read.quats, expected, atol=1e-6)


def test_harmonics_are_stored_colour_by_colour(tmp_path, random_splats):
    splats = random_splats(0, 2, 1)
    write_splats(tmp_path / "a.ply", splats)
    columns = read_vertices(tmp_path / "a.ply").columns
    assert list(columns)[:9] == ["x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2"]
    np.testing.assert_array_equal(columns["f_rest_0"], splats.sh[:, 1, 0])
    np.testing.assert_array_equal(columns["f_rest_2"], splats.sh[:, 3, 0])
    np.testing.assert_array_equal(columns["f_rest_3"], splats.sh[:, 1, 1])


def test_quaternions_of_any_length_are_normalised(tmp_path, random_splats):
    splats = random_splats(0, 3, 0)
    splats.quats[:] = [[1e-30, 0, 0, 1e-30], [1e30, 0, 0, 1e30], [0, 0, 2, 0]]
    write_splats(tmp_path / "a.ply", splats)
    half = 0.5**0.5
    np.testing.assert_allclose(read_splats(tmp_path / "a.ply").quats, [[half, 0, 0, half], [half, 0, 0, half], [0, 0, 1, 0]], atol=1e-6)


@pytest.mark.parametrize("name", ["means", "log_scales", "quats", "opacity_logits", "sh"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_never_reaches_a_file(tmp_path, random_splats, name, value):
    file = tmp_path / "a.ply"
    splats = random_splats(1, 5, 2)
    getattr(splats, name).reshape(5, -1)[3, -1] = value
    with pytest.raises(UserError, match="1 of 5"):
        write_splats(file, splats)
    assert not list(tmp_path.iterdir())


def test_a_rotation_without_length_is_refused(tmp_path, random_splats):
    splats = random_splats(1, 5, 2)
    splats.quats[2] = 0
    with pytest.raises(UserError, match="rotation"):
        write_splats(tmp_path / "a.ply", splats)


def test_parts_that_do_not_fit_together_are_refused(tmp_path, random_splats):
    splats = random_splats(1, 5, 2)
    for part in ({"means": splats.means[:4]}, {"sh": splats.sh[:, :5]}, {"opacity_logits": splats.opacity_logits[:, None]}):
        with pytest.raises(UserError, match="fit together"):
            write_splats(tmp_path / "a.ply", replace(splats, **part))


def test_select_takes_indices_and_masks(random_splats):
    splats = random_splats(2, 6, 1, blend="linear", antialias=True)
    picked = splats.select(np.array([4, 1]))
    np.testing.assert_array_equal(picked.means, splats.means[[4, 1]])
    assert len(splats.select(splats.opacity_logits > 100)) == 0
    assert picked.blend == "linear" and picked.antialias is True


def test_files_without_splats_are_refused_by_what_they_lack(tmp_path, random_splats):
    points = {name: np.zeros(2, np.float32) for name in "xyz"}
    write_vertices(tmp_path / "points.ply", points)
    with pytest.raises(UserError, match="holds no splats"):
        read_splats(tmp_path / "points.ply")
    write_splats(tmp_path / "a.ply", random_splats(0, 2, 1))
    columns = read_vertices(tmp_path / "a.ply").columns
    del columns["f_rest_8"]
    write_vertices(tmp_path / "odd.ply", columns)
    with pytest.raises(UserError, match="8 harmonics"):
        read_splats(tmp_path / "odd.ply")


def test_infinite_logits_are_opacities_of_0_and_1(tmp_path, random_splats):
    write_splats(tmp_path / "a.ply", random_splats(0, 3, 0))
    columns = read_vertices(tmp_path / "a.ply").columns
    columns["opacity"][:] = [-np.inf, 1, np.inf]
    write_vertices(tmp_path / "a.ply", columns)
    np.testing.assert_allclose(opacities(read_splats(tmp_path / "a.ply")), [0, 1 / (1 + np.exp(-1)), 1], atol=2e-6)
    columns["opacity"][1] = np.nan
    write_vertices(tmp_path / "a.ply", columns)
    with pytest.raises(UserError, match="1 of 3"):
        read_splats(tmp_path / "a.ply")


def test_ours_names_its_axes_and_files_of_others_have_y_down(tmp_path, random_splats):
    splats = random_splats(0, 1, 0, blend="srgb")
    splats.means[0] = [1, 2, 3]
    for axes in (None, "y-up", "y-down"):
        write_splats(tmp_path / "a.ply", splats, axes)
        np.testing.assert_array_equal(read_splats(tmp_path / "a.ply").means[0], [1, 2, 3])
    write_splats(tmp_path / "a.ply", splats)
    columns = read_vertices(tmp_path / "a.ply").columns
    for comments, expected in ((["blend srgb"], [1, 2, 3]), ([], [1, 3, -2]), (["Generated by another program"], [1, 3, -2])):
        write_vertices(tmp_path / "a.ply", columns, comments)
        np.testing.assert_array_equal(read_splats(tmp_path / "a.ply").means[0], expected)
        np.testing.assert_array_equal(read_splats(tmp_path / "a.ply", "z-up").means[0], [1, 2, 3])


def test_splats_of_two_scales_are_flat_and_it_is_said(tmp_path, random_splats):
    splats = random_splats(0, 4, 0)
    write_splats(tmp_path / "a.ply", splats)
    columns = read_vertices(tmp_path / "a.ply").columns
    del columns["scale_2"]
    write_vertices(tmp_path / "a.ply", columns)
    notes = []
    read = read_splats(tmp_path / "a.ply", "z-up", notes.append)
    np.testing.assert_array_equal(read.log_scales[:, :2], splats.log_scales[:, :2])
    np.testing.assert_allclose(np.exp(read.log_scales[:, 2]), 1e-12, rtol=1e-3)
    assert len(notes) == 1 and "2DGS" in notes[0]
    del columns["scale_1"]
    write_vertices(tmp_path / "a.ply", columns)
    with pytest.raises(UserError, match="no scale_1"):
        read_splats(tmp_path / "a.ply")


@pytest.mark.parametrize("prefix", ["scalar_", "scal_", "scalar_scal_"])
def test_names_that_cloudcompare_changed_are_known(tmp_path, random_splats, prefix):
    splats = random_splats(0, 4, 2)
    write_splats(tmp_path / "a.ply", splats)
    columns = read_vertices(tmp_path / "a.ply").columns
    write_vertices(tmp_path / "a.ply", {name if name in "xyz" else prefix + name: column for name, column in columns.items()})
    assert holds_splats(read_header(tmp_path / "a.ply").properties)
    np.testing.assert_array_equal(read_splats(tmp_path / "a.ply", "z-up").sh, splats.sh)


def test_cut_files_are_refused_at_every_byte(tmp_path, random_splats):
    write_splats(tmp_path / "a.ply", random_splats(0, 2, 1))
    data = (tmp_path / "a.ply").read_bytes()
    for length in range(len(data)):
        (tmp_path / "cut.ply").write_bytes(data[:length])
        with pytest.raises(UserError, match="cut.ply"):
            read_splats(tmp_path / "cut.ply")


def test_published_splats_round_trip(shared_data, tmp_path):
    splats = read_splats(shared_data("splats") / "inria_ply" / "pc_short.ply")
    assert len(splats) == 100 and splats.degree == 3 and splats.blend is None and splats.antialias is None
    write_splats(tmp_path / "a.ply", replace(splats, blend="srgb", antialias=False))
    again = read_splats(tmp_path / "a.ply")
    np.testing.assert_array_equal(again.sh, splats.sh)
    assert again.blend == "srgb" and again.antialias is False
