# SPDX-License-Identifier: GPL-3.0-or-later
"""``render`` from a result to files: PNG, EXR and MP4 read back, sizes, refusals, and being stopped."""

import json

import numpy as np
import pytest
from PIL import Image

from engine import cli
from engine.contract.errors import UserError
from engine.contract.result import SPLATS, Artifact, Result, write_result
from engine.formats.splats import write_splats
from engine.images import exr
from engine.methods.splat import SplatModel

av = pytest.importorskip("av", reason="films need PyAV")
OpenEXR = pytest.importorskip("OpenEXR", reason="EXR pictures need OpenEXR")


@pytest.fixture(scope="module", params=["linear", "srgb"])
def result(request, tmp_path_factory, small_capture, truth):
    """A finished result of the blobs, whose capture is the small one."""
    folder = tmp_path_factory.mktemp("results") / request.param
    folder.mkdir()
    write_splats(folder / SPLATS, truth.splats(request.param, request.param == "linear"))
    write_result(folder, Result("done", "splat", str(small_capture), artifacts=(Artifact("splats", SPLATS),), blend=request.param))
    return folder


@pytest.fixture
def path_file(small_capture, tmp_path):
    """The first three cameras of the small capture, without pictures."""
    table = json.loads((small_capture / "transforms.json").read_text())
    path = {key: table[key] for key in ("w", "h", "fl_x", "fl_y", "cx", "cy")}
    path["frames"] = [{"transform_matrix": frame["transform_matrix"]} for frame in table["frames"][:3]]
    (tmp_path / "path.json").write_text(json.dumps(path))
    return tmp_path / "path.json"


def run(*arguments):
    return cli.main(["render", *map(str, arguments)])


def decode(file):
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        pictures = [picture.to_ndarray(format="rgb24").astype(float) for picture in container.decode(video=0)]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        return pictures, float(stream.average_rate)


def test_exr_holds_the_light_of_the_png_and_its_depth(result, path_file, tmp_path):
    assert run(result, "--cameras", path_file, "--out", tmp_path / "png") == 0
    assert run(result, "--cameras", path_file, "--out", tmp_path / "exr", "--format", "exr") == 0
    assert sorted(file.name for file in (tmp_path / "exr").iterdir()) == ["00000.exr", "00001.exr", "00002.exr"]
    with OpenEXR.File(str(tmp_path / "exr" / "00001.exr"), separate_channels=True) as file:
        channels = {name: channel.pixels.astype(float) for name, channel in file.channels().items()}
        assert {name: channel.pixels.dtype.name for name, channel in file.channels().items()} == {
            **dict.fromkeys("RGBA", "float16"),
            "Depth.Z": "float32",
        }
    alpha, z = channels["A"], channels["Depth.Z"]
    light = np.stack([channels[name] for name in "RGB"])
    blend = result.name
    if blend == "srgb":
        straight = np.divide(light, alpha, out=np.zeros_like(light), where=alpha > 0)
        codes = srgb(straight) * alpha
    else:
        codes = srgb(light)
    png = np.asarray(Image.open(tmp_path / "png" / "00001.png")).transpose(2, 0, 1) / 255
    assert np.abs(codes - png).max() < 0.006
    assert (alpha > 0.9).any() and (alpha == 0).any()
    # The blobs lie in a ball of radius 1 about the origin, and the cameras some 3.1 from it.
    solid = alpha > 0.51
    assert ((z[solid] > 2.0) & (z[solid] < 4.3)).all() and (z[alpha < 0.49] == 1e10).all()


def srgb(light):
    light = np.maximum(light, 0)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def test_the_film_shows_the_pictures(result, path_file, tmp_path):
    arguments = (result, "--cameras", path_file, "--between", "4", "--height", "121")
    assert run(*arguments, "--out", tmp_path / "png") == 0
    assert run(*arguments, "--out", tmp_path / "made" / "a.mp4", "--fps", "12.5") == 0
    pictures, rate = decode(tmp_path / "made" / "a.mp4")
    pngs = [np.asarray(Image.open(file)).astype(float) for file in sorted((tmp_path / "png").iterdir())]
    assert len(pictures) == len(pngs) == 11 and rate == 12.5
    assert pngs[0].shape == (121, 145, 3) and pictures[0].shape == (120, 144, 3)
    for picture, png in zip(pictures, pngs, strict=True):
        small = np.asarray(Image.fromarray(png.astype(np.uint8)).resize((144, 120), Image.Resampling.BICUBIC)).astype(float)
        # Color has half the resolution in a film.
        assert np.abs(picture.mean(axis=2) - small.mean(axis=2)).mean() < 4
        assert np.abs(picture.mean(axis=(0, 1)) - small.mean(axis=(0, 1))).max() < 2.5
    assert [file.name for file in (tmp_path / "made").iterdir()] == ["a.mp4"]


def test_speed_of_the_path_and_a_folder_for_the_film(result, path_file, tmp_path):
    table = json.loads(path_file.read_text())
    path_file.write_text(json.dumps({**table, "fps": 30}))
    assert run(result, "--cameras", path_file, "--out", tmp_path / "out", "--format", "mp4") == 0
    assert decode(tmp_path / "out" / "film.mp4")[1] == 30


def test_sizes(result, path_file, tmp_path):
    for flags, size in ((["--height", "80"], (96, 80)), (["--width", "24"], (24, 20)), (["--width", "160", "--height", "90"], (160, 90))):
        assert run(result, "--cameras", path_file, "--out", tmp_path / "out", *flags) == 0
        assert Image.open(tmp_path / "out" / "00000.png").size == size


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--out", "a.avi"], "a.avi"),
        (["--out", "a.png"], "a folder"),
        (["--out", "a.mp4", "--format", "exr"], "a folder"),
        (["--out", "a.mov", "--format", "mp4"], "ends in .mp4"),
        (["--out", "there.mp4"], "--overwrite"),
        (["--out", "taken", "--format", "mp4"], "film.mp4"),
        (["--out", "there.mp4/below"], "cannot be made"),
        (["--out", "there.mp4/below.mp4"], "cannot be made"),
        (["--out", "x", "--height", "0"], "--height"),
        (["--out", "x", "--width", "99999"], "--width"),
        (["--out", "x", "--between", "-1"], "--between"),
        (["--out", "a.mp4", "--fps", "0"], "--fps"),
        (["--out", "a.mp4", "--fps", "nan"], "--fps"),
        (["--out", "x", "--cameras", "empty.json"], "no frames"),
        (["--out", "x", "--cameras", "missing.json"], "missing.json"),
        (["--out", "x", "--format", "gif"], "gif"),
    ],
)
def test_refusals_leave_nothing(result, path_file, tmp_path, monkeypatch, capsys, flags, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.mp4").write_bytes(b"mine")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "film.mp4").write_bytes(b"mine")
    (tmp_path / "empty.json").write_text('{"frames": []}')
    before = sorted(tmp_path.rglob("*"))
    assert run(result, *([] if "--cameras" in flags else ["--cameras", path_file]), *flags) == 2
    said = capsys.readouterr().err.replace("\n", " ")
    assert words in said and "Traceback" not in said, said
    assert sorted(tmp_path.rglob("*")) == before and (tmp_path / "there.mp4").read_bytes() == b"mine"


def test_overwriting_a_film_when_asked(result, path_file, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"old")
    assert run(result, "--cameras", path_file, "--out", tmp_path / "a.mp4", "--overwrite") == 0
    assert len(decode(tmp_path / "a.mp4")[0]) == 3


@pytest.mark.parametrize("kind, left", [("png", 2), ("exr", 2), ("mp4", 0)])
def test_being_stopped_leaves_only_whole_files(result, path_file, tmp_path, monkeypatch, capsys, kind, left):
    seen = []

    def stopping(method):
        def render(self, *arguments):
            seen.append(1)
            if len(seen) == 3:
                raise KeyboardInterrupt
            return method(self, *arguments)

        return render

    monkeypatch.setattr(SplatModel, "render", stopping(SplatModel.render))
    monkeypatch.setattr(SplatModel, "layers", stopping(SplatModel.layers))
    assert run(result, "--cameras", path_file, "--out", tmp_path / "out", "--format", kind) == 1
    assert "Stopped" in capsys.readouterr().err
    found = sorted((tmp_path / "out").iterdir())
    assert len(found) == left and all(not file.name.startswith(".") for file in found)


@pytest.mark.parametrize("kind, package", [("exr", "openexr"), ("mp4", "av")])
def test_a_missing_package_is_named(result, path_file, tmp_path, monkeypatch, capsys, kind, package):
    import importlib

    real = importlib.import_module
    gone = {"openexr": "OpenEXR"}.get(package, package)

    def without(name, *rest):
        if name == gone:
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    assert run(result, "--cameras", path_file, "--out", tmp_path / "out", "--format", kind) == 2
    assert f"pip install {package}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_exr_that_cannot_be_written_names_its_file(tmp_path):
    plane = np.zeros((4, 6), np.float32)
    with pytest.raises(UserError, match="gone.a.exr could not be written: No such file"):
        exr.write_exr(tmp_path / "gone" / "a.exr", np.stack([plane] * 3), plane, plane)


def test_numbers_beyond_half_precision_stay_finite(tmp_path):
    plane = np.array([[np.nan, np.inf, 1e9, -1e9]], np.float32)
    exr.write_exr(tmp_path / "a.exr", np.stack([plane] * 3), np.ones_like(plane), plane)
    with OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        assert np.isfinite(file.channels()["R"].pixels).all()
        assert file.channels()["Depth.Z"].pixels[0, 3] == 1e10


@pytest.mark.parametrize("format", ["png", "exr"])
def test_images_of_others_are_never_written_over(result, path_file, tmp_path, format):
    """The names are those of the capture's photos, so its folder may be named by mistake."""
    flags = ["--cameras", path_file, "--out", tmp_path / "out", "--format", format]
    for _ in range(2):
        assert run(result, *flags) == 0
    mine = sorted((tmp_path / "out").iterdir())[1]
    Image.new("RGB", (4, 4)).save(mine.with_suffix(".png"))
    mine.write_bytes(mine.with_suffix(".png").read_bytes())
    before = {file: file.read_bytes() for file in (tmp_path / "out").iterdir()}
    assert run(result, *flags, "--overwrite") != 0
    assert {file: file.read_bytes() for file in (tmp_path / "out").iterdir()} == before


def test_a_film_of_others_in_a_folder_is_never_written_over(result, path_file, tmp_path):
    flags = ["--cameras", path_file, "--out", tmp_path, "--format", "mp4", "--overwrite"]
    for _ in range(2):
        assert run(result, *flags) == 0
    (tmp_path / "film.mp4").write_bytes(b"mine")
    assert run(result, *flags) != 0 and (tmp_path / "film.mp4").read_bytes() == b"mine"
