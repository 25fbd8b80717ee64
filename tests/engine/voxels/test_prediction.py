# SPDX-License-Identifier: GPL-3.0-or-later
"""From pictures to files: objects are cut out, meshes are closed and stand on the floor, and bad input is refused in a sentence."""

import json
from importlib.util import find_spec

import numpy as np
import pytest
import torch
from PIL import Image

from engine import cli, precision
from engine.contract.errors import UserError
from engine.contract.result import read_result
from engine.contract.voxels import VoxelShape
from engine.formats.binvox import read_binvox
from engine.formats.points import read_points
from engine.formats.voxel_surface import colors_by_height
from engine.formats.voxels import read_voxels
from engine.voxels import networks
from engine.voxels.colors import color_bands
from engine.voxels.cutout import cut_out, framed
from engine.voxels.furniture import furniture
from engine.voxels.meshes import read_shape
from engine.voxels.prediction import mean_logits, predict, write_prediction
from engine.voxels.shapes import drawable, voxelized
from engine.voxels.simple import SimpleNetwork
from engine.voxels.views import random_views
from engine.voxels.weights import SHIPPED, read_weights, write_weights

TINY = {"encoder": (4, 4, 6, 6, 6, 8), "features": 12, "decoder": (6, 6, 6, 4, 4)}


def picture(file, size=(200, 150), box=(60, 40, 160, 120), ground=(250, 250, 250), alpha=False):
    """A red rectangle on a plain or a transparent ground."""
    codes = np.zeros((size[1], size[0], 4), np.uint8)
    codes[..., :3], codes[..., 3] = ground, 0 if alpha else 255
    codes[box[1] : box[3], box[0] : box[2]] = (200, 30, 30, 255)
    image = Image.fromarray(codes)
    (image if alpha else image.convert("RGB")).save(file)
    return file


@pytest.mark.parametrize("alpha", [False, True])
def test_objects_are_cut_out_and_framed(tmp_path, alpha):
    made = cut_out(picture(tmp_path / "a.png", alpha=alpha))
    assert made.shape == (127, 127, 4) and made.dtype == np.uint8
    rows, columns = np.nonzero(made[..., 3] > 127)
    assert np.ptp(columns) + 1 == pytest.approx(0.92 * 127, abs=2) and np.ptp(rows) + 1 == pytest.approx(0.92 * 127 * 0.8, abs=2)
    assert abs(rows.mean() - 63) < 1 and abs(columns.mean() - 63) < 1
    np.testing.assert_allclose(made[made[..., 3] > 250][:, :3].astype(int), [[200, 30, 30]] * (made[..., 3] > 250).sum(), atol=3)


def test_a_gray_image_of_16_bits_is_no_white_one(tmp_path):
    """Pillow alone clips it to white, in which there is no object."""
    levels = np.full((150, 200), 60_000, np.uint16)
    levels[40:120, 60:160] = 20_000
    Image.fromarray(levels).save(tmp_path / "a.png")
    Image.fromarray(np.where(levels < 30_000, 65_535, 0).astype(np.uint16)).save(tmp_path / "m.png")
    for made in (cut_out(tmp_path / "a.png"), cut_out(tmp_path / "a.png", tmp_path / "m.png")):
        shown = made[made[..., 3] > 250][:, :3]
        assert len(shown) > 5000 and abs(np.median(shown) - 20_000 / 257) <= 1


def test_framing_forgets_where_and_how_large_an_object_was():
    one, other = np.zeros((127, 127, 4), np.uint8), np.zeros((200, 90, 4), np.uint8)
    one[40:120, 5:125], other[0:60, 0:90] = (10, 200, 30, 255), (10, 200, 30, 255)
    made, again = framed(one), framed(other)
    assert np.abs(made.astype(int) - again)[..., 3].mean() < 1.5 and framed(made).shape == (127, 127, 4)
    # What is framed stays so, and transparent black does not bleed into edges.
    assert np.abs(framed(made).astype(int) - made)[..., 3].mean() < 1.5
    assert np.abs(made[made[..., 3] > 64][:, :3].astype(int) - (10, 200, 30)).max() <= 4


def test_an_object_at_the_edge_is_framed_too(tmp_path):
    made = cut_out(picture(tmp_path / "a.png", box=(0, 0, 80, 150), alpha=True))
    assert (made[..., 3] > 127).any() and not made[0].any() and not made[:, 0].any()


def test_a_mask_says_where_the_object_is(tmp_path):
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (100, 100, 3), np.uint8)).save(tmp_path / "a.png")
    shape = np.zeros((50, 50), np.uint8)
    shape[10:40, 20:30] = 255
    Image.fromarray(shape).save(tmp_path / "m.png")
    with pytest.raises(UserError, match="not plain"):
        cut_out(tmp_path / "a.png")
    rows, columns = np.nonzero(cut_out(tmp_path / "a.png", tmp_path / "m.png")[..., 3] > 127)
    assert np.ptp(rows) / np.ptp(columns) == pytest.approx(3, rel=0.1)
    Image.fromarray(np.zeros((50, 20), np.uint8)).save(tmp_path / "m.png")
    with pytest.raises(UserError, match="another shape"):
        cut_out(tmp_path / "a.png", tmp_path / "m.png")


@pytest.mark.parametrize("noise", [0, 3])
def test_background_between_slats_is_background_and_a_light_seat_is_not(tmp_path, noise):
    codes = np.full((100, 100, 3), 250.0)
    codes[10:90, 10:90] = (120, 70, 30)
    codes[20:50, 20:30], codes[20:50, 40:50], codes[60:80, 20:80] = 250, 250, 242
    codes += np.random.default_rng(0).normal(0, noise, codes.shape)
    Image.fromarray(np.clip(np.rint(codes), 0, 255).astype(np.uint8)).save(tmp_path / "a.png")
    alpha = cut_out(tmp_path / "a.png")[..., 3]
    place = lambda row, column: alpha[round(63.5 + (row - 50) * 0.92 * 127 / 80), round(63.5 + (column - 50) * 0.92 * 127 / 80)]  # noqa: E731
    assert place(35, 25) < 5 and place(35, 45) < 5 and place(35, 35) > 250 and place(70, 50) > 250


def test_specks_are_left_out(tmp_path):
    codes = np.full((100, 100, 3), 255, np.uint8)
    codes[40:60, 40:60], codes[2:4, 2:4] = 0, 0
    Image.fromarray(codes).save(tmp_path / "a.png")
    rows, _ = np.nonzero(cut_out(tmp_path / "a.png")[..., 3] > 127)
    assert np.ptp(rows) + 1 == pytest.approx(0.92 * 127, abs=2)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_what_is_no_picture_is_refused(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match="a.png.*choose another picture"):
        cut_out(tmp_path / "a.png")


@pytest.mark.parametrize("shade", [(0, 0), (255, 255)])
def test_pictures_without_an_object(tmp_path, shade):
    codes = np.full((60, 60, 4), shade[0], np.uint8)
    codes[..., 3] = shade[1]
    Image.fromarray(codes).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="No object"):
        cut_out(tmp_path / "a.png")


def test_published_photos_are_cut_out(shared_data):
    folder = shared_data("r2n2_photos")
    for name in ("0.png", "1.png", "2.png"):
        made = cut_out(folder / name)
        assert 0.2 < (made[..., 3] > 127).mean() < 0.8


def test_colours_come_from_the_same_height():
    picture = np.zeros((127, 127, 4), np.uint8)
    picture[20:60, 30:90], picture[60:100, 30:90] = (255, 0, 0, 255), (0, 0, 255, 255)
    bands = color_bands(picture)
    assert len(bands) == 80
    np.testing.assert_array_equal(colors_by_height(np.array([7.5, 0.5]), 0.0, 8.0, bands), [(255, 0, 0), (0, 0, 255)])


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Weights of a tiny network that has learnt nothing."""
    torch.manual_seed(1)
    monkeypatch.setitem(networks.VARIANTS, "gru-3-small", networks.Variant(False, "gru", 3, **TINY))
    network = networks.new_network("gru-3-small")
    with torch.no_grad():
        network.decoder.out.weight[1] *= 3
    write_weights(tmp_path / "weights.safetensors", network, {"network": "gru-3-small"})
    return tmp_path / "weights.safetensors"


def test_the_command(tmp_path, weights, capsys):
    a, b = picture(tmp_path / "a.png"), picture(tmp_path / "b.png", alpha=True)
    flags = ["--weights", str(weights), "--length", "0.8"]
    assert cli.main(["voxels", str(a), str(b), "--out", str(tmp_path / "r"), *flags]) == 0, capsys.readouterr().err
    result = read_result(tmp_path / "r")
    assert result.status == "done" and result.method == "r2n2"
    kinds = {item.kind: tmp_path / "r" / item.path for item in result.artifacts}
    assert set(kinds) == {"voxels", "binvox", "blocks", "mesh", "points"}
    with np.load(kinds["voxels"], allow_pickle=False) as values:
        full = values["full"]
        np.testing.assert_array_equal(full, values["probabilities"].astype(np.float32) >= np.float32(0.4))
        assert values["confidence"].shape == (32, 32, 32) and 0 <= values["confidence"].min()
    grid = read_binvox(kinds["binvox"])
    np.testing.assert_array_equal(grid.cells, full)
    low, high = np.array(result.bounds)
    assert (high - low).max() == pytest.approx(0.8) and low[2] == pytest.approx(0)
    shape, _ = read_shape(kinds["blocks"])
    np.testing.assert_allclose(shape.bounds, result.bounds, atol=1e-5)
    cloud = read_points(kinds["points"])
    assert len(cloud) <= full.sum() and cloud.colors is not None
    assert cli.main(["voxels", str(a), "--out", str(tmp_path / "r"), *flags]) != 0
    assert json.loads((tmp_path / "r" / "result.json").read_text())["settings"]["threshold"] == 0.4
    assert read_voxels(kinds["voxels"]).bands.dtype == np.uint8
    smooth, _ = read_shape(kinds["mesh"])
    assert smooth.bounds[1].max() == pytest.approx(0.8, abs=1e-5) or np.ptp(smooth.bounds, axis=0).max() == pytest.approx(0.8, abs=1e-5)


def test_points_are_the_outer_voxels_also_where_they_touch_the_grid(tmp_path):
    probabilities = np.zeros((32, 32, 32), np.float32)
    probabilities[4:9, 10:, :] = 0.9
    write_prediction(tmp_path, probabilities, np.full((127, 127, 4), 255, np.uint8), VoxelShape(length=32.0))
    points = read_points(tmp_path / "points.ply")
    assert len(points) == 5 * 22 * 32 - 3 * 20 * 30
    np.testing.assert_allclose([points.positions.min(axis=0)[2], points.positions.max(axis=0)[2]], [0.5, 31.5], atol=1e-5)


def events_in(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]


def test_who_made_the_folder_follows_its_events(tmp_path, weights, capsys):
    a, folder = picture(tmp_path / "a.png"), tmp_path / "r"
    folder.mkdir()
    (folder / "log.txt").write_text("")
    arguments = ["voxels", str(a), "--out", str(folder)]
    assert cli.main([*arguments, "--weights", "none"]) == 1
    assert events_in(folder)[-1]["event"] == "failed" and "no weights" in events_in(folder)[-1]["message"]
    (folder / "events.jsonl").unlink()
    flags = ["--weights", str(weights), "--dimension", "height", "--length", "0.9"]
    assert cli.main([*arguments, *flags]) == 0, capsys.readouterr().err
    kinds = [event["event"] for event in events_in(folder)]
    assert kinds[0] == "started" and kinds[-1] == "done" and kinds.count("artifact") == 5
    low, high = np.array(read_result(folder).bounds)
    assert (high - low)[2] == pytest.approx(0.9)
    before = (folder / "events.jsonl").read_text()
    assert cli.main([*arguments, *flags]) == 1 and (folder / "events.jsonl").read_text() == before


def test_a_result_is_replaced_by_a_good_one_alone(tmp_path, weights):
    a, folder = picture(tmp_path / "a.png"), tmp_path / "r"
    flags = ["--out", str(folder), "--weights", str(weights), "--overwrite"]
    assert cli.main(["voxels", str(a), *flags]) == 0
    before = (folder / "voxels.npz").stat().st_mtime_ns
    network, facts = read_weights(weights)
    torch.nn.init.zeros_(network.decoder.out.weight)
    network.decoder.out.bias.data = torch.tensor([9.0, -9.0])
    write_weights(tmp_path / "blind.safetensors", network, facts)
    for wrong in ([str(tmp_path / "none.png"), *flags], [str(a), *flags, "--weights", str(tmp_path / "blind.safetensors")]):
        assert cli.main(["voxels", *wrong]) == 1
        assert (folder / "voxels.npz").stat().st_mtime_ns == before and read_result(folder).status == "done"
        assert events_in(folder)[-1]["event"] == "failed"
    assert cli.main(["voxels", str(a), *flags]) == 0
    assert (folder / "voxels.npz").stat().st_mtime_ns > before and events_in(folder)[-1]["event"] == "done"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mesh.glb").write_text("mine")
    assert cli.main(["voxels", str(a), "--out", str(tmp_path / "mine"), *flags[2:]]) == 1
    assert [item.name for item in (tmp_path / "mine").iterdir()] == ["mesh.glb"]


def test_a_prediction_can_be_cancelled(tmp_path, weights):
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "cancel").touch()
    assert cli.main(["voxels", str(picture(tmp_path / "a.png")), "--out", str(folder), "--weights", str(weights)]) == 0
    assert events_in(folder)[-1]["cancelled"] and not (folder / "result.json").exists()


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--out", "r"], "IMAGE"),
        (["a.png"], "--out"),
        (["none.png", "--out", "r", "--weights", "W"], "none.png"),
        (["a.png", "--out", "r", "--weights", "none"], "none"),
        (["a.png", "--out", "r", "--weights", "a.png"], "weights"),
        (["a.png", "--out", "r", "--weights", "W", "--threshold", "2"], "threshold"),
        (["a.png", "--out", "r", "--weights", "W", "--length", "-1"], "length"),
        (["a.png", "--out", "r", "--weights", "W", "--mask", "a.png", "b.png"], "masks"),
        (["a.png"] * 200 + ["--out", "r", "--weights", "W"], "200 pictures"),
    ],
)
def test_bad_arguments(tmp_path, weights, monkeypatch, capsys, arguments, words):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "a.png")
    code = cli.main(["voxels", *(str(weights) if word == "W" else word for word in arguments)])
    said = capsys.readouterr().err
    assert code != 0 and words in said and "Traceback" not in said, said
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize("make", [lambda: networks.RecurrentNetwork(networks.Variant(True, "lstm", 3, **TINY)), SimpleNetwork])
def test_no_side_and_no_view_comes_first(make):
    torch.manual_seed(0)
    network, views = make().eval(), torch.rand(2, 3, 3, 127, 127)
    with torch.no_grad():
        found = mean_logits(network, views)
        mirrored, turned = mean_logits(network, views.flip(-1)), mean_logits(network, views.roll(1, 1))
        # Of each piece by itself, too.
        alone = mean_logits(network, views[1:])
        one, other = network(views[:, :1]), network(views[:, :1].flip(-1))
        single = mean_logits(network, views[:, :1])
    torch.testing.assert_close(mirrored.flip(2), found, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(turned, found, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(alone, found[1:], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(single, (one + other.flip(2)) / 2, rtol=1e-3, atol=1e-4)
    assert not torch.allclose(one, other.flip(2), atol=1e-3)


def test_bfloat16_gives_nearly_what_float32_gives(weights):
    network, _ = read_weights(weights)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 127, 127, 4), dtype=np.uint8)
    exact, narrow = predict(network, pictures), predict(network, pictures, "bfloat16")
    assert 0 < np.abs(exact - narrow).max() < 0.05


def test_int8_says_what_it_lacks_and_the_voxels_come_all_the_same(tmp_path, weights, monkeypatch, capsys):
    flags = ["--out", str(tmp_path / "plain"), "--weights", str(weights)]
    assert cli.main(["voxels", str(picture(tmp_path / "a.png")), *flags, "--precision", "float32"]) == 0
    monkeypatch.setattr(precision, "find_spec", lambda name: None)
    flags[1] = str(tmp_path / "narrow")
    assert cli.main(["voxels", str(tmp_path / "a.png"), *flags, "--precision", "int8"]) == 0
    assert "Neural Compressor" in capsys.readouterr().err
    one, other = (read_voxels(tmp_path / name / "voxels.npz").probabilities for name in ("plain", "narrow"))
    np.testing.assert_allclose(one, other, atol=0.02)


def test_the_weights_that_come_with_it_know_furniture():
    """Pieces that they have not learnt from, seen once; how well they know others is in docs/voxels.md."""
    network, facts = read_weights(SHIPPED)
    assert SHIPPED.stat().st_size <= 25_000_000 and facts["network"].endswith("-small")
    scores = []
    for category in ("bed", "cabinet", "chair", "sofa", "table"):
        for number in range(3):
            shape = furniture(category, 5_000_007 + number)
            truth = voxelized(shape).cells
            pictures, _ = random_views(drawable(shape, truth), 1, np.random.default_rng(number))
            found = predict(network, pictures) >= 0.4
            scores.append((found & truth).sum() / (found | truth).sum())
    assert np.mean(scores) > 0.3, scores


@pytest.mark.skipif(
    find_spec("neural_compressor") is None or precision.compiler() is None,
    reason="needs profile ipex (python3 scripts/dev.py setup ipex) and a C++ compiler",
)
def test_int8_gives_nearly_what_the_network_gives():
    torch.manual_seed(1)
    network = networks.RecurrentNetwork(networks.Variant(False, "gru", 3, **TINY)).eval()
    pictures = np.random.default_rng(0).integers(0, 256, (2, 127, 127, 4), dtype=np.uint8)
    exact, narrow = predict(network, pictures), predict(network, pictures, "int8")
    assert 0 < np.abs(exact - narrow).max() < 0.05
