# SPDX-License-Identifier: GPL-3.0-or-later
"""A new result goes into no folder that holds something else."""

import pytest
from reconstruct.addon.jobs.result_folders import check_result_folder, free_folder, holds_others, image_copy, is_replaceable
from reconstruct.engine.contract import events
from reconstruct.engine.contract.errors import UserError
from reconstruct.engine.contract.result import EVENTS, LOG, Result, write_result


def test_an_empty_folder_and_what_a_run_left_take_a_result(tmp_path):
    check_result_folder(tmp_path / "missing", False)
    check_result_folder(tmp_path, False)
    (tmp_path / LOG).touch()
    check_result_folder(tmp_path, False)
    assert not holds_others(tmp_path)


@pytest.mark.parametrize("name, said", [("photo.png", "other files"), ("transforms.json", "a capture"), ("unfinished", "a capture")])
def test_files_of_others_and_captures_take_none(tmp_path, name, said):
    (tmp_path / name).write_text("the user's")
    for overwrite in (False, True):
        with pytest.raises(UserError, match=f"holds {said}"):
            check_result_folder(tmp_path, overwrite)


def test_a_result_of_ours_is_replaced_where_that_was_asked_for(tmp_path):
    write_result(tmp_path, Result("done", "splat", "capture"))
    with pytest.raises(UserError, match="already holds a result"):
        check_result_folder(tmp_path, False)
    check_result_folder(tmp_path, True)
    (tmp_path / "result.json").write_text("the user's")
    assert not is_replaceable(tmp_path)
    with pytest.raises(UserError, match="other files"):
        check_result_folder(tmp_path, True)


def test_a_result_of_pictures_gets_a_folder_that_is_free(tmp_path):
    assert free_folder(tmp_path, "chair") == tmp_path / "chair"
    (tmp_path / "chair").mkdir()
    assert free_folder(tmp_path, "chair") == tmp_path / "chair", "it is empty"
    (tmp_path / "chair" / EVENTS).write_text("the user's")
    image_copy(tmp_path / "chair_2").touch()
    image_copy(tmp_path / "chair_3", "_mask").touch()
    assert free_folder(tmp_path, "chair") == tmp_path / "chair_4"
    (tmp_path / "chair" / EVENTS).unlink()
    events.append(tmp_path / "chair" / EVENTS, events.Event("done"))
    assert free_folder(tmp_path, "chair") == tmp_path / "chair", "a run left it"
