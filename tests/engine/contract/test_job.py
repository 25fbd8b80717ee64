# SPDX-License-Identifier: GPL-3.0-or-later
import dataclasses
import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine.contract import job as stages
from engine.contract.errors import UserError
from engine.contract.job import check_job, job_from_mapping, read_job, write_toml
from engine.contract.presets import PRESETS, with_preset
from engine.contract.schema import from_mapping
from engine.contract.settings import ImportSettings, PlaceSettings, ProxySettings, TrainSettings
from engine.contract.voxels import VoxelSettings

STAGES = {
    "capture": [stages.CaptureStage],
    "train": [stages.TrainStage, TrainSettings],
    "proxy": [stages.ProxyStage, ProxySettings],
    "voxels": [stages.VoxelStage, VoxelSettings],
    "import": [ImportSettings],
    "place": [PlaceSettings],
    "render": [stages.RenderStage],
    "save": [stages.SaveStage],
}


def written(folder, text):
    (folder / "job.toml").write_text(text, encoding="utf-8")
    return folder / "job.toml"


@pytest.mark.parametrize(
    "text",
    ["a = " + "[" * 50_000, "[train]\nsteps = " + "9" * 5_000, "[train]\nsteps = 0x" + "f" * 5_000, "[train]\nminutes = " + "9" * 400],
    ids=["nesting", "digits", "hexadecimal", "float"],
)
def test_deep_nesting_and_long_numbers_are_refused(tmp_path, text):
    with pytest.raises(UserError) as refused:
        read_job(written(tmp_path, text))
    assert len(str(refused.value)) < 400 + len(str(tmp_path))


def test_a_whole_job(tmp_path):
    job = read_job(
        written(
            tmp_path,
            """
            schema = "1.0"
            scene = "room é.blend"
            [capture]
            views = 12
            [train]
            out = "out"
            steps = 100
            [train.splat]
            sh_degree = 0
            [import]
            [render]
            [place]
            room = true
            room_size = [4, 5, 2.5]
            [save]
            """,
        )
    )
    assert job.path(job.scene) == tmp_path.resolve() / "room é.blend"
    assert job.capture.views == 12 and job.train.out == "out" and job.train.settings.steps == 100
    assert job.train.settings.splat.sh_degree == 0 and job.place.room_size == (4, 5, 2.5)
    assert job.import_ is not None and job.render is not None and job.save.out == "scene.blend"


def test_stages_that_are_left_out_are_none(tmp_path):
    job = read_job(written(tmp_path, "[train]\n"))
    assert job.capture is None and job.import_ is None and job.save is None and job.scene == ""


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "nothing"),
        ("schema = '9.0'\n[train]", "version"),
        ("[dance]", "dance"),
        ("scene = 5\n[train]", "scene"),
        ("[train]\nstps = 5", "stps"),
        ("[train]\nsteps = -5", "steps"),
        ("[train]\noverwrite = 'yes'", "overwrite"),
        ("[train.splat]\nsh_degree = 9", "train.splat.sh_degree"),
        ("train = 5", "train"),
        ("capture = []", "capture"),
        ("[capture]\nviews = 'many'", "views"),
        ("[capture", "TOML"),
    ],
)
def test_bad_jobs_are_refused_by_name(tmp_path, text, named):
    with pytest.raises(UserError, match=named):
        read_job(written(tmp_path, text))


def test_files_that_are_no_jobs_are_refused(tmp_path):
    with pytest.raises(UserError, match="no job file"):
        read_job(tmp_path / "none.toml")
    with pytest.raises(UserError):
        read_job(tmp_path)
    (tmp_path / "job.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError):
        read_job(tmp_path / "job.toml")


def test_keys_of_many_parts_and_long_files_are_refused(tmp_path):
    """The parser would take memory by the square of their length."""
    for text in ("a" + ".a" * 20_000 + " = 1", "a = [" + "1," * 100_000 + "]"):
        with pytest.raises(UserError, match="dots|characters"):
            read_job(written(tmp_path, text))


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False) | words


@given(st.dictionaries(words, values | st.lists(values, max_size=3) | st.dictionaries(words, values, max_size=3), max_size=4))
@settings(deadline=None)
@example({"path": 'C:\\new\\room 🛏 𠮷 "é" \x7f\x00\x1f', "🛏": {"a.b": "\ufeff"}})
def test_what_is_written_is_read_back(table):
    assert tomllib.loads(write_toml(table)) == table


def test_a_text_that_is_not_unicode_is_refused():
    with pytest.raises(UserError, match="not valid Unicode"):
        write_toml({"out": "caf\udce9"})


plain = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["steps", "splat", "out", "room_size", "x"]), inner, max_size=2)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["schema", "scene", "capture", "train", "import", "place", "render", "save", "x"]), plain))
@settings(deadline=None)
def test_any_table_gives_a_job_or_a_user_error(tmp_path_factory, table):
    try:
        check_job(job_from_mapping(table, tmp_path_factory.getbasetemp()))
    except UserError:
        pass


def test_a_preset_lies_below_what_the_table_gives(tmp_path):
    text = """
    [train]
    preset = "gsplat"
    [train.splat]
    half_until = 0.3
    """
    settings = read_job(written(tmp_path, text)).train.settings
    assert settings.preset == "gsplat" and settings.steps == 30_000 and settings.blend == "srgb"
    assert settings.splat.means_rate == 1.6e-4 and settings.splat.sh_degree == 3 and settings.splat.refine_start == 500
    assert settings.splat.half_until == 0.3, "given, though it is the default"
    settings = read_job(written(tmp_path, '[train]\npreset = "gsplat-mcmc"\nminutes = 5')).train.settings
    assert settings.minutes == 5 and settings.steps is None, "there is one budget"
    assert settings.splat.strategy == "mcmc" and settings.splat.sh_degree == 3


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_valid(name):
    assert from_mapping(TrainSettings, with_preset({"preset": name})).preset == name


def test_an_unknown_preset_is_answered_with_the_names(tmp_path):
    with pytest.raises(UserError) as caught:
        read_job(written(tmp_path, '[train]\npreset = "fast"'))
    assert all(name in caught.value.message for name in ("train.preset", "fast", *PRESETS))
    with pytest.raises(UserError, match="train.preset"):
        read_job(written(tmp_path, "[train]\npreset = [1]"))


def test_voxels_have_their_settings_beside_the_stages_own_keys(tmp_path):
    text = '[voxels]\nimages = ["a.png", "b.png"]\nout = "chair"\ndimension = "height"\nlength = 1\n'
    stage = read_job(written(tmp_path, text)).voxels
    assert (stage.images, stage.masks, stage.out, stage.overwrite) == (("a.png", "b.png"), (), "chair", False)
    assert (stage.settings.dimension, stage.settings.length, stage.settings.threshold) == ("height", 1.0, 0.4)


@pytest.mark.parametrize(
    "table, named",
    [
        ({"images": "a.png"}, "voxels.images"),
        ({"images": [3]}, "voxels.images"),
        ({"threshold": 1.0}, "voxels.threshold"),
        ({"dimension": "girth"}, "voxels.dimension"),
        ({"length": 0}, "voxels.length"),
        ({"settings": {}}, "settings"),
        ({"treshold": 0.4}, "treshold"),
        (3, "voxels"),
    ],
)
def test_bad_voxels_are_named(tmp_path, table, named):
    with pytest.raises(UserError, match=named):
        job_from_mapping({"voxels": table}, tmp_path)


def test_the_documentation_names_every_key():
    text = (Path(__file__).parents[3] / "docs" / "batch.md").read_text(encoding="utf-8")
    for name, settings_of_stage in STAGES.items():
        table = text.split(f"### [{name}]")[1].split("###")[0]
        for stage in settings_of_stage:
            for field in dataclasses.fields(stage):
                if field.name != "settings" and not dataclasses.is_dataclass(field.default_factory):
                    assert f"| `{field.name}` |" in table, f"[{name}] {field.name}"
