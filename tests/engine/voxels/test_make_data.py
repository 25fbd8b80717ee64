# SPDX-License-Identifier: GPL-3.0-or-later
"""Making data: the layout, going on where it was left, sharing the work, and folders of bad meshes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from engine import voxels
from engine.contract.errors import UserError
from engine.contract.voxels import MakeDataSettings
from engine.formats.binvox import read_binvox
from engine.voxels.cutout import framed
from engine.voxels.dataset import SPLITS, load_split, shape_folders, split_of
from engine.voxels.make_data import make_data

BOX = "".join(f"v {x} {y} {z}\n" for z in (0, 1) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1)))
BOX += "f 4 3 2 1\nf 5 6 7 8\nf 1 2 6 5\nf 2 3 7 6\nf 3 4 8 7\nf 4 1 5 8\n"


def made(data, meshes=None, **settings):
    said = []
    counts = make_data(meshes, data, MakeDataSettings(**{"views": 2, **settings}), lambda *_: None, said.append)
    return counts, said


def files(data):
    return {file.relative_to(data).as_posix(): file.read_bytes() for file in sorted(data.rglob("*")) if file.is_file()}


def test_the_published_layout(tmp_path):
    (count, lost), _ = made(tmp_path / "data", furniture=2)
    assert (count, lost) == (16, 0)
    folders = [folder for split in SPLITS for folder in shape_folders(tmp_path / "data", split)]
    assert len(folders) == 16 and not list((tmp_path / "data").rglob(".*"))
    for folder in folders:
        assert read_binvox(folder / "model.binvox").cells.any()
        names = (folder / "rendering" / "renderings.txt").read_text().split()
        assert names == ["00.png", "01.png"]
        for name in names:
            with Image.open(folder / "rendering" / name) as image:
                assert image.size == (127, 127) and image.mode == "RGBA"
        lines = (folder / "rendering" / "rendering_metadata.txt").read_text().splitlines()
        assert len(lines) == 2 and all(len([float(word) for word in line.split()]) == 8 for line in lines)
        assert split_of(f"{folder.parent.name}/{folder.name}") == folder.parents[1].name


def test_it_goes_on_and_is_shared_and_comes_out_the_same(tmp_path):
    made(tmp_path / "whole", furniture=2)

    class Enough(Exception):
        pass

    def stop(done, _):
        if done == 5:
            raise Enough

    settings = MakeDataSettings(views=2, furniture=2)
    with pytest.raises(Enough):
        make_data(None, tmp_path / "parts", settings, stop, print)
    # A shape that was cut short lies there hidden, and is made anew.
    begun = next(folder for split in SPLITS for folder in shape_folders(tmp_path / "parts", split))
    begun.rename(begun.with_name(f".{begun.name}.part"))
    made(tmp_path / "parts", furniture=2, shard=2, shards=2)
    made(tmp_path / "parts", furniture=2, shard=1, shards=2)
    assert files(tmp_path / "parts") == files(tmp_path / "whole")
    (count, _), _ = made(tmp_path / "parts", furniture=2)
    assert count == 0


def test_files_of_the_user_in_the_data_are_kept(tmp_path):
    data = tmp_path / "data"
    made(data, furniture=1)
    ours = {split: folders for split in SPLITS if (folders := shape_folders(data, split))}
    (split, (shape, *_)), *_ = ours.items()
    shutil.rmtree(shape)
    part = shape.with_name(f".{shape.name}.part")
    for file in (part / "notes.txt", data / "framed" / split / "views.npy", data / "framed" / split / "index.json"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("the user's")
    before = files(data)
    with pytest.raises(UserError, match="not written by Reconstruct"):
        made(data, furniture=1)
    assert files(data) == before
    part.rename(shape)
    (count, _), _ = made(data, furniture=1)
    assert count == 0 and (shape / "notes.txt").read_text() == "the user's"
    shutil.rmtree(shape)
    made(data, furniture=1)
    before = files(data)
    for _ in range(2):
        with pytest.raises(UserError, match="not written by Reconstruct"):
            load_split(data, split)
        assert files(data) == before
        (data / "framed" / split / "index.json").unlink(missing_ok=True)
        before.pop(f"framed/{split}/index.json", None)
    (data / "framed" / split / "views.npy").unlink()
    assert len(load_split(data, split)) == len(ours[split])


def test_a_packing_that_was_killed_is_done_again(tmp_path, monkeypatch):
    made(tmp_path, furniture=1)
    split = next(split for split in SPLITS if shape_folders(tmp_path, split))

    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    with pytest.raises(Killed):
        load_split(tmp_path, split, kill)
    (tmp_path / "framed" / split / "views.npy").write_bytes(b"half")
    assert len(load_split(tmp_path, split)) == len(shape_folders(tmp_path, split))


def test_folders_with_bad_meshes(tmp_path):
    meshes = tmp_path / "meshes"
    (meshes / "chair").mkdir(parents=True)
    (meshes / "chair" / "good.obj").write_text(BOX)
    (meshes / "chair" / "open.obj").write_text(BOX.rsplit("f ", 1)[0])
    (meshes / "chair" / "broken.obj").write_text("v 0 0 0\nf 1 2 3\n")
    (meshes / "chair" / "none.glb").write_bytes(b"glTF")
    (meshes / "notes.txt").write_text("no mesh")
    (count, lost), said = made(tmp_path / "data", meshes)
    assert (count, lost) == (2, 2) and all("Left out" in line for line in said) and "broken.obj" in " ".join(said)
    for folder in (tmp_path / "data").glob("*/chair/*"):
        assert read_binvox(folder / "model.binvox").cells.all(), "a box, open or not, is full"


def test_every_piece_of_a_folder_is_made_once_and_is_on_one_side(tmp_path):
    meshes = tmp_path / "meshes"
    places = [f"shapes/{number}/model/mesh.obj" for number in range(12)]
    places += [f"{form} format/piece{number}.obj" for form in "ab" for number in range(8)]
    for place in places:
        (meshes / place).parent.mkdir(parents=True, exist_ok=True)
        (meshes / place).write_text(BOX)
    trimesh.creation.box().export(meshes / "shapes" / "0" / "model" / "mesh.glb")
    (count, lost), _ = made(tmp_path / "data", meshes, views=1)
    assert (count, lost) == (12 + 16, 0)
    splits = {}
    for folder in (folder for split in SPLITS for folder in shape_folders(tmp_path / "data", split)):
        splits.setdefault(folder.name, set()).add(folder.parents[1].name)
    assert len(splits) == 12 + 8 and all(len(sides) == 1 for sides in splits.values())


def test_other_numbers_of_pictures_are_refused(tmp_path):
    made(tmp_path, furniture=1)
    with pytest.raises(UserError, match="2 pictures each, not 3"):
        made(tmp_path, furniture=2, views=3)


def test_catalogues(tmp_path):
    meshes, catalogue = tmp_path / "meshes", tmp_path / "c.json"
    meshes.mkdir()
    for name in ("a", "b", "c"):
        (meshes / f"{name}.obj").write_text(BOX)
    catalogue.write_text(json.dumps({"turn": 90, "train": {"chair": ["a"]}, "test": {"table": ["b"]}}))
    made(tmp_path / "data", meshes, catalogue=str(catalogue))
    assert sorted(path.relative_to(tmp_path / "data").as_posix() for path in (tmp_path / "data").glob("*/*/*")) == [
        "test/table/b",
        "train/chair/a",
    ]
    for table, said in (
        ({"train": {"chair": ["none"]}}, "none"),
        ({"exam": {"chair": ["a"]}}, "exam"),
        ({"train": ["a"]}, "not a catalogue"),
        ({"turn": "left"}, "not a catalogue"),
        ({"train": {"../up": ["a"]}}, "up"),
    ):
        catalogue.write_text(json.dumps(table))
        with pytest.raises(UserError, match=said):
            made(tmp_path / "other", meshes, catalogue=str(catalogue))
    assert not (tmp_path / "other").exists()


def test_nothing_to_do(tmp_path):
    for meshes, settings, said in (
        (None, {}, "nothing"),
        (tmp_path / "none", {}, "no folder"),
        (tmp_path, {}, "no mesh"),
        (None, {"furniture": 1, "shard": 3, "shards": 2}, "no shard"),
    ):
        with pytest.raises(UserError, match=said):
            made(tmp_path / "data", meshes, **settings)


def test_the_list_of_kenneys_furniture(shared_data):
    meshes = shared_data("kenney_furniture")
    table = json.loads((Path(voxels.__file__).parent / "kenney.json").read_text())
    names = {split: [name for part in table[split].values() for name in part] for split in ("train", "test")}
    assert len(names["test"]) >= 20 and not set(names["test"]) & set(names["train"])
    assert all((meshes / f"{name}.obj").is_file() for part in names.values() for name in part)
    assert not [name for part in names.values() for name in part if name.startswith(("wall", "door", "floor"))]


def test_packed_data(tmp_path):
    made(tmp_path, furniture=2)
    shapes = load_split(tmp_path, "train")
    folders = shape_folders(tmp_path, "train")
    assert len(shapes) == len(folders) and shapes.views.shape == (len(folders), 2, 127, 127, 4)
    for row, folder in enumerate(folders):
        np.testing.assert_array_equal(shapes.cells(np.array([row]))[0], read_binvox(folder / "model.binvox").cells)
        with Image.open(folder / "rendering" / "01.png") as image:
            np.testing.assert_array_equal(shapes.views[row, 1], framed(np.asarray(image)))
        assert shapes.names[row] == f"{folder.parent.name}/{folder.name}" and shapes.categories[row] == folder.parent.name
    before = (tmp_path / "framed" / "train" / "views.npy").stat().st_mtime_ns
    load_split(tmp_path, "train")
    assert (tmp_path / "framed" / "train" / "views.npy").stat().st_mtime_ns == before
    # More shapes are packed anew, one that was made again, too, and what is damaged; who reads the old ones goes on reading them.
    old = np.array(shapes.views)
    made(tmp_path, furniture=3)
    more = load_split(tmp_path, "train")
    assert len(more) > len(shapes)
    np.testing.assert_array_equal(shapes.views, old)
    folder = shape_folders(tmp_path, "train")[0]
    shutil.copy(shape_folders(tmp_path, "train")[1] / "model.binvox", folder)
    again = load_split(tmp_path, "train")
    np.testing.assert_array_equal(again.voxels[0], again.voxels[1])
    file = tmp_path / "framed" / "train" / "views.npy"
    file.write_bytes(file.read_bytes()[:-1000])
    np.testing.assert_array_equal(load_split(tmp_path, "train").views, more.views)


def test_damaged_data(tmp_path):
    with pytest.raises(UserError, match="no shapes"):
        load_split(tmp_path, "train")
    made(tmp_path, furniture=1)
    folder = shape_folders(tmp_path, "train")[0]
    (folder / "rendering" / "00.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="00.png"):
        load_split(tmp_path, "train")
    Image.new("RGB", (64, 64)).save(folder / "rendering" / "00.png")
    with pytest.raises(UserError, match="127"):
        load_split(tmp_path, "train")


def test_variants_have_other_proportions_and_are_learnt_from_only(tmp_path):
    meshes = tmp_path / "meshes"
    (meshes / "box").mkdir(parents=True)
    names = [f"box{number}" for number in range(40)]
    for name in names:
        (meshes / "box" / f"{name}.obj").write_text(BOX)
    (meshes / "box" / f"broken-{next(n for n in range(99) if split_of(f'broken-{n}') == 'train')}.obj").write_text("v 0 0 0\nf 1 2 3\n")
    learnt = [name for name in names if split_of(name) == "train"]
    assert len(learnt) < len(names)
    (count, lost), said = made(tmp_path / "data", meshes, variants=3)
    assert (count, lost) == (len(names) + 3 * len(learnt), 4)
    assert len(said) == 1 and "broken" in said[0]
    folders = {split: shape_folders(tmp_path / "data", split) for split in SPLITS}
    held_out = [folder.name for split in ("val", "test") for folder in folders[split]]
    assert sorted(held_out) == sorted(set(names) - set(learnt))
    stretched = [read_binvox(folder / "model.binvox").cells for folder in folders["train"] if folder.name not in names]
    assert len(stretched) == 3 * len(learnt)
    # A cube's longest side fills all 32 cells, its others hardly do, and few are alike.
    sides = {tuple(int(np.ptp(axis)) + 1 for axis in np.nonzero(cells)) for cells in stretched}
    assert all(max(one) == 32 for one in sides) and sum(min(one) < 30 for one in sides) > len(sides) / 2
    assert len(sides) > 0.6 * len(stretched)
