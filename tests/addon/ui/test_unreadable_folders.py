# SPDX-License-Identifier: GPL-3.0-or-later
"""Panels and buttons on a folder that the system does not let anyone look into: they say why, and print nothing."""

import errno
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import MagicMock

import bpy
import pytest
from reconstruct.addon.jobs import running
from reconstruct.addon.ui.capture import RECONSTRUCT_PT_capture
from reconstruct.addon.ui.results import RECONSTRUCT_PT_results
from reconstruct.addon.ui.train import RECONSTRUCT_PT_train

root = sys.modules["reconstruct"]
PANELS = {
    RECONSTRUCT_PT_capture: [("capture", "out")],
    RECONSTRUCT_PT_train: [("train", "capture"), ("train", "out")],
    RECONSTRUCT_PT_results: [("import_", "result")],
}


@pytest.fixture
def settings():
    bpy.ops.wm.read_factory_settings(use_empty=True)
    root.register()
    yield bpy.context.scene.reconstruct
    root.unregister()


@pytest.fixture(params=["long", "locked"])
def unreadable(request, tmp_path, monkeypatch):
    """A folder, and what the system says of it."""
    if request.param == "long":
        return tmp_path / ("x" * 300), "File name too long"
    locked, stat = tmp_path / "locked", Path.stat
    locked.mkdir()

    def refuse(path, **options):
        if locked in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refuse)
    monkeypatch.setattr(Path, "read_text", lambda path, **_: refuse(path))
    return locked, "Permission denied"


def drawn(panel):
    """The texts that a panel shows."""
    layout = MagicMock()
    for part in ("row", "column", "box"):
        getattr(layout, part).return_value = layout
    context = SimpleNamespace(
        scene=bpy.context.scene,
        window_manager=bpy.context.window_manager,
        preferences=SimpleNamespace(system=SimpleNamespace(ui_scale=1.0)),
        region=SimpleNamespace(width=10_000),
    )
    panel.draw(SimpleNamespace(layout=layout), context)
    return "\n".join(str(call.kwargs["text"]) for call in layout.label.call_args_list)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_says_why(settings, unreadable, panel):
    folder, reason = unreadable
    for group, name in PANELS[panel]:
        setattr(getattr(settings, group), name, str(folder))
        assert f"cannot be read: {reason}" in drawn(panel)
        getattr(settings, group).property_unset(name)


def test_buttons_and_the_search_for_a_running_job_print_nothing(settings, unreadable, capfd):
    folder, reason = unreadable
    settings.capture.out = settings.train.capture = settings.import_.result = settings.train.out = str(folder)
    buttons = [getattr(bpy.ops.reconstruct, name) for name in ("capture", "train", "import_result", "make_proxy")]
    for button in buttons:
        button.poll()
    assert not bpy.ops.reconstruct.train.poll()
    with pytest.raises(RuntimeError, match=reason):
        bpy.ops.reconstruct.import_result()
    running.find_running(bpy.context.scene)
    assert running.current() is None
    assert "Traceback" not in "".join(capfd.readouterr())
