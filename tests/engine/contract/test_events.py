# SPDX-License-Identifier: GPL-3.0-or-later
import json
import os

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.contract.events import Event, append, parse, read_new, started
from engine.contract.schema import SCHEMA


def test_a_follower_sees_each_event_once(tmp_path):
    file = tmp_path / "events.jsonl"
    assert read_new(file) == ([], 0)
    append(file, started(method="splat"))
    events, offset = read_new(file)
    assert events[0].kind == "started" and events[0].values == {"schema": SCHEMA, "method": "splat"} and events[0].time > 0
    assert read_new(file, offset) == ([], offset)
    append(file, Event("progress", {"step": 1}))
    append(file, Event("done", {"cancelled": False}))
    events, _ = read_new(file, offset)
    assert [event.kind for event in events] == ["progress", "done"]


def test_a_half_written_line_is_read_when_it_is_whole(tmp_path):
    file = tmp_path / "events.jsonl"
    line = Event("warning", {"message": "Zu wenig Licht für Ärger"}).line().encode()
    for cut in range(len(line)):
        file.write_bytes(line + line[:cut])
        events, offset = read_new(file)
        assert len(events) == 1 and offset == len(line)
        file.write_bytes(line + line)
        assert len(read_new(file, offset)[0]) == 1


def test_paths_that_are_not_utf8_are_carried(tmp_path):
    path = os.fsdecode(b"/caf\xe9")
    append(tmp_path / "events.jsonl", started(capture=path))
    assert read_new(tmp_path / "events.jsonl")[0][0].values["capture"] == path
    # As it is printed for a program, too.
    assert json.loads(started(capture=path).line().encode("utf-8"))["capture"] == path


def test_what_is_not_known_is_left_out():
    values = json.loads(Event("progress", {"loss": float("nan"), "psnr": None, "eta_seconds": float("inf"), "step": 0}).line())
    assert set(values) == {"event", "time", "step"}


def test_foreign_lines_are_passed_over(tmp_path):
    file = tmp_path / "events.jsonl"
    lines = [b"Segmentation fault", b"{}", b"[1]", b'{"event": "party"}', b"\xff\xfe", b"", Event("done").line().strip().encode()]
    file.write_bytes(b"\n".join(lines) + b"\n")
    assert [event.kind for event in read_new(file)[0]] == ["done"]


def test_line_ends_inside_a_text_do_not_split_an_event(tmp_path):
    for separator in ("\n", "\r", "\u2028", "\x85", "\x0c", "\x1c"):
        file = tmp_path / f"{ord(separator)}.jsonl"
        append(file, Event("warning", {"message": f"one{separator}two"}))
        assert [event.values["message"] for event in read_new(file)[0]] == [f"one{separator}two"]


@given(st.binary(max_size=60), st.integers(0, 60))
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_can_be_followed(tmp_path, data, cut):
    file = tmp_path / "events.jsonl"
    file.write_bytes(data[:cut])
    _, offset = read_new(file)
    file.write_bytes(data)
    _, end = read_new(file, offset)
    assert offset <= end <= len(data)


@given(st.text(max_size=40))
def test_any_line_can_be_parsed(line):
    parse(line)
