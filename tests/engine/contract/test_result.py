# SPDX-License-Identifier: GPL-3.0-or-later
import contextlib
import errno
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.errors import UserError
from engine.contract.result import Result, inside, read_result, replacing, write_result

RESULT = Result(
    status="done",
    method="splat",
    capture="/somewhere/é",
    settings={"steps": 3},
    metrics={"psnr": 30.5},
    bounds=((0.0, 1.0, 2.0), (3.0, 4.0, 5.0)),
    scale="unknown",
    step=7,
).with_artifact("splats", "splats.ply")


def test_what_is_written_is_read(tmp_path):
    write_result(tmp_path, RESULT)
    assert read_result(tmp_path) == RESULT
    assert [file.name for file in tmp_path.iterdir()] == ["result.json"]


def test_an_artifact_is_listed_once():
    twice = RESULT.with_artifact("metrics", "metrics.json").with_artifact("splats", "new.ply")
    assert twice.artifact("splats") == "new.ply" and twice.artifact("metrics") == "metrics.json" and twice.artifact("mesh") is None
    assert len(twice.artifacts) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", '{"schema": "1.0"}', '{"schema": "9.0"}', "\xff"])
def test_damaged_results_are_refused(tmp_path, text):
    (tmp_path / "result.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError):
        read_result(tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"antialias": []}, "antialias"),
        ({"antialias": 1}, "antialias"),
        ({"status": ["done"]}, "status"),
        ({"bounds": [[0, 1, float("nan")], [1, 2, 3]]}, r"bounds\[0\]\[2\]"),
        ({"bounds": [[0, 1], [1, 2, 3]]}, "bounds"),
        ({"bounds": [["0", 1, 2], [1, 2, 3]]}, "bounds"),
        ({"bounds": {}}, "bounds"),
        ({"up": [0, 0, 1e999]}, "up"),
        ({"dimensions": [1, 2, 10**400]}, "dimensions"),
        ({"metrics": {"psnr": "high"}}, "metrics.psnr"),
        ({"metrics": {"psnr": [30]}}, "metrics.psnr"),
        ({"metrics": [30]}, "metrics"),
        ({"timing": {"total": {}}}, "timing.total"),
        ({"settings": {"a": [1.0, [float("inf")]]}}, "settings.a"),
        ({"settings": 3}, "settings"),
        ({"versions": {"torch": 2}}, "versions.torch"),
        ({"artifacts": [{"kind": "splats"}]}, "path"),
        ({"artifacts": [{"kind": 3, "path": "a"}]}, "kind"),
        ({"artifacts": {"kind": "splats", "path": "a"}}, "artifacts"),
        ({"step": -1}, "step"),
        ({"step": 1.5}, "step"),
        ({"capture": None}, "capture"),
        ({"blend": "log"}, "blend"),
    ],
)
def test_values_inside_are_checked_and_named(tmp_path, change, named):
    write_result(tmp_path, RESULT)
    table = json.loads((tmp_path / "result.json").read_text("utf-8"))
    (tmp_path / "result.json").write_text(json.dumps(table | change))
    with pytest.raises(UserError, match=named) as refused:
        read_result(tmp_path)
    assert refused.value.code == "damaged" and str(tmp_path / "result.json") in refused.value.message and len(refused.value.message) < 400


@pytest.mark.parametrize("text", ["[" * 50_000, '{"step": ' + "9" * 5_000 + "}", '{"settings": ' + '{"a":' * 400 + "1" + "}" * 400 + "}"])
def test_deep_nesting_and_long_numbers_are_refused(tmp_path, text):
    write_result(tmp_path, RESULT)
    good = (tmp_path / "result.json").read_text("utf-8")
    (tmp_path / "result.json").write_text(text if text[0] == "[" else good.rstrip("}\n ") + "," + text[1:])
    with pytest.raises(UserError, match="result.json is damaged|nested too deeply"):
        read_result(tmp_path)


def test_keys_of_later_minor_versions_are_passed_over(tmp_path):
    write_result(tmp_path, RESULT)
    table = json.loads((tmp_path / "result.json").read_text("utf-8"))
    table["artifacts"][0]["bytes"] = 3
    (tmp_path / "result.json").write_text(json.dumps(table | {"invented": [1]}))
    assert read_result(tmp_path) == RESULT


def test_a_folder_without_result_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no result"):
        read_result(tmp_path)


@pytest.mark.parametrize("path", ["../out.ply", "/etc/passwd", "a/../../out.ply", "..\\out.ply"])
def test_artifacts_outside_the_folder_are_refused(tmp_path, path):
    write_result(tmp_path, RESULT.with_artifact("splats", path))
    with pytest.raises(UserError, match="outside"):
        read_result(tmp_path)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@given(st.sampled_from(sorted(Result.__dataclass_fields__)), plain)
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_gives_a_result_or_a_user_error(tmp_path, key, value):
    write_result(tmp_path, RESULT)
    table = json.loads((tmp_path / "result.json").read_text("utf-8"))
    (tmp_path / "result.json").write_text(json.dumps(table | {key: value}))
    try:
        read_result(tmp_path)
    except UserError:
        pass


def test_paths_inside_stay_inside(tmp_path):
    assert inside(tmp_path, "a/./b/../c.png", "x") == tmp_path.resolve() / "a" / "c.png"
    assert inside(tmp_path, "a\\b.png", "x") == tmp_path.resolve() / "a" / "b.png"


def test_links_that_lead_outside_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    try:
        (tmp_path / "in" / "link").symlink_to(tmp_path / "out")
    except OSError:
        pytest.skip("this system makes no symbolic links for us")
    with pytest.raises(UserError, match="outside"):
        inside(tmp_path / "in", "link/a.png", "x")


def test_replacing_keeps_the_old_file_when_writing_fails(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(RuntimeError), replacing(file) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert file.read_text() == "old" and list(tmp_path.iterdir()) == [file]
    with replacing(file) as temporary:
        temporary.write_text("new")
    assert file.read_text() == "new" and list(tmp_path.iterdir()) == [file]


def test_what_a_killed_process_left_of_a_file_is_removed_by_the_next_try(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    kept = {f".a.txt.{os.getppid()}.part", ".a.txt.part", ".a.txt.mine.part", f".b.txt.{gone.pid}.part", f"a.txt.{gone.pid}.part"}
    for name in (*kept, f".a.txt.{gone.pid}.part"):
        (tmp_path / name).write_text("half")
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert {item.name for item in tmp_path.iterdir()} == {*kept, "a.txt"}


def test_a_file_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    """Without that, a loss of power may leave an empty file under the name of the old one."""
    done = []

    def flush(descriptor):
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        done.append(f"{kind} of {os.fstat(descriptor).st_size}" if kind == "file" else kind)

    move = os.replace
    monkeypatch.setattr(os, "fsync", flush)
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("replace"), move(*paths)))
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert done == ["file of 3", "replace", *(["folder"] if os.name != "nt" else [])]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_a_file_system_that_cannot_flush_is_written_all_the_same(tmp_path, monkeypatch, number):
    def flush(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", flush)
    fails = pytest.raises(OSError) if number == errno.EIO else contextlib.nullcontext()
    with fails, replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("new")
    assert (tmp_path / "a.txt").is_file() == (number != errno.EIO)


def test_damage_is_said_without_words_of_python(tmp_path):
    write_result(tmp_path, RESULT)
    (tmp_path / "result.json").write_bytes((tmp_path / "result.json").read_bytes()[:20] + b"\xa8")
    with pytest.raises(UserError, match=r"result.json is damaged: it is not UTF-8 text from byte 20 on\. Train again"):
        read_result(tmp_path)


def test_paths_that_are_not_utf8_come_back(tmp_path):
    path = os.fsdecode(b"/captures/caf\xe9 \xc3\xa9")
    write_result(tmp_path, replace(RESULT, capture=path))
    assert read_result(tmp_path).capture == path
    assert "\\udce9 \u00e9" in (tmp_path / "result.json").read_text("utf-8")


def test_a_full_disk_is_said_plainly(tmp_path):
    with pytest.raises(UserError, match="disk is full") as error, replacing(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert error.value.code == "disk_full"


@pytest.mark.parametrize("name", ["loop", "loop/a.png", "x" * 300, "a\0b"])
def test_a_path_inside_that_the_system_refuses_is_named(tmp_path, name):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UserError, match="x.json names a file that cannot be used"):
        inside(tmp_path, name, "x.json")
    with pytest.raises(UserError, match="cannot be used"):
        inside(tmp_path / name, "a.png", "x.json")
