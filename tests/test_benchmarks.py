# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of figures: what stands in it, what stays of it, and where each figure is from."""

import json

import pytest

from scripts.benchmarks import __main__ as benchmarks
from scripts.benchmarks import measure, page, plan, plots

MACHINE = {"processor": "Some Processor, AVX2", "threads": 4, "memory_gib": 16, "system": "Linux", "versions": {"torch": "2.13.0"}}
STEP = {
    "gaussians": 50_000,
    "visible": 40_000,
    "size": [400, 400],
    "milliseconds": {"step": 79.96, "forward": 20.0, "loss": 5.0, "backward": 50.0, "update": 4.9},
    "evaluated_pairs": 20_000_000,
    "useful_pairs": 5_000_000,
    "evaluated_pairs_per_second": {"forward": 1.5e9, "backward": 0.5e9},
    "useful_pairs_per_second": {"forward": 0.375e9, "backward": 0.125e9},
    "share_of_peak": {"forward": 0.41, "backward": 0.23},
    "peak_vector_operations_per_second": 5_200_000_000,
}
FIELD = {
    "samples_per_second": 1_500_000,
    "learnt_per_second": 1_000_000,
    "samples_per_step": 32_000,
    "log2_table": 17,
    "encoded": 65_536,
    "size": [400, 400],
    "milliseconds": {"step": 32.0, "encode": 10.0, "encode_backward": 15.0, "picture": 1500.0},
}
TRAINED = {
    "command": "train lego400 --minutes 5",
    "steps": 3225,
    "seconds": 298.4,
    "train_seconds": 280.1,
    "step_milliseconds": 86.9,
    "gaussians": 149_999,
    "psnr": 33.5,
    "ssim": 0.97,
    "peak_bytes": 2 * 2**30,
    "curve": [[10.0, 20.0], [100.0, 30.0]],
}


def source(commit="abc1234", clean=True, machine=MACHINE):
    return {"measured": {"commit": commit, "clean": clean, "date": "2026-01-02", "machine": machine}}


def shells(name, milliseconds, gib):
    thousands, size = name.removeprefix("shells-").split("-")
    facts = {"gaussians": 1000 * int(thousands[:-1]), "size": list(map(int, size.split("x")))}
    return {**STEP, **facts, "milliseconds": {**STEP["milliseconds"], "step": milliseconds}, "peak_bytes": gib * 2**30, **source()}


def cells(text, name):
    """The cells of every row that starts with a name."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith(f"| {name} |")]
    assert rows, f"no row {name} in:\n{text}"
    return rows


@pytest.fixture
def docs(tmp_path):
    (tmp_path / "benchmarks.md").write_text(f"# By hand\n\n{page.BEGIN}\nold\n{page.END}\n\nBelow, × by hand.\n", encoding="utf-8")
    return tmp_path


def test_a_goal_is_met_at_its_bound_and_missed_beyond_it():
    slow = {**STEP, "milliseconds": {**STEP["milliseconds"], "step": 80.01}}
    met = page.generated({"fixtures": {"object-50k": {**STEP, **source()}}, "runs": {"lego-5min": {**TRAINED, **source()}}})
    missed = page.generated(
        {
            "fixtures": {"object-50k": {**slow, **source()}},
            "runs": {"lego-5min": {**TRAINED, "gaussians": 150_001, **source()}, "fox-7000": {**TRAINED, "seconds": 420.1, **source()}},
        }
    )
    assert "≤ 80 ms: met" in cells(met, "object-50k")[0]
    assert "≥ 33.5 dB: met, ≤ 150,000 gaussians: met" in cells(met, "lego-5min")[0]
    assert "≤ 80 ms: **missed**" in cells(missed, "object-50k")[0]
    assert "≥ 33.5 dB: met, ≤ 150,000 gaussians: **missed**" in cells(missed, "lego-5min")[0]
    assert "≥ 28.0 dB: met, ≤ 420 s: **missed**" in cells(missed, "fox-7000")[0]


def test_rows_hold_the_figures():
    text = page.generated({"fixtures": {"object-50k": {**STEP, **source()}}, "runs": {"lego-5min": {**TRAINED, **source(clean=False)}}})
    times, work = cells(text, "object-50k")
    assert times[1:8] == ["50,000", "400×400", "80.0", "20.0", "5.0", "50.0", "4.9"]
    assert work[1:] == ["20.0", "25%", "1.50", "0.38", "41%", "0.50", "0.12", "23%", "5.2"]
    (run,) = cells(text, "lego-5min")
    assert run[1:9] == ["`train lego400 --minutes 5`", "3,225", "298 (280)", "86.9", "149,999", "33.50", "0.9700", "2.00"]
    assert run[-1] == "abc1234 with changes, 2026-01-02" and times[-1] == "abc1234, 2026-01-02"
    # Every row has as many cells as its table's head.
    for table in text.split("\n\n"):
        if table.startswith("|"):
            assert len({line.count("|") for line in table.splitlines()}) == 1, table


def test_a_field_meets_each_of_its_goals_or_misses_it():
    met = page.generated({"fields": {"ngp-lego-every": {**FIELD, **source()}}})
    slow = {**FIELD, "learnt_per_second": 990_000, "milliseconds": {**FIELD["milliseconds"], "encode": 10.1, "picture": 1501.0}}
    missed = page.generated({"fields": {"ngp-lego-every": {**slow, **source()}, "ngp-lego": {**slow, **source()}}})
    assert "≥ 1 M learnt from/s: met, encoding ≤ 25 ms: met, picture ≤ 1500 ms: met" in cells(met, "ngp-lego-every")[0]
    missing = "≥ 1 M learnt from/s: **missed**, encoding ≤ 25 ms: **missed**, picture ≤ 1500 ms: **missed**"
    assert missing in cells(missed, "ngp-lego-every")[0]
    # How many of its samples are learnt from is what training chooses.
    assert "learnt from/s" not in str(cells(missed, "ngp-lego")[0])


def test_a_run_may_be_so_much_below_another():
    for psnr, word in ((32.0, "met"), (31.9, "**missed**")):
        runs = {"fox-splats": {**TRAINED, **source()}, "fox-ngp": {**TRAINED, "psnr": psnr, **source()}}
        assert f"≤ 1.5 dB below fox-splats: {word}" in cells(page.generated({"runs": runs}), "fox-ngp")[0]
    assert "below" not in page.generated({"runs": {"fox-ngp": {**TRAINED, **source()}}})


def test_the_slow_one_of_two_has_not_yet_reached_what_the_other_did():
    for psnr, word in ((23.99, "met"), (24.0, "**missed**")):
        runs = {"nerf-paper": {**TRAINED, "psnr": psnr, **source()}}
        assert f"not yet 24.0 dB: {word}" in cells(page.generated({"runs": runs}), "nerf-paper")[0]


def test_growth_is_told_beside_the_growth_of_the_work():
    small, large = "shells-500k-1920x1080", "shells-1000k-1920x1080"
    text = page.generated({"scaling": {small: shells(small, 400.0, 1), large: shells(large, 700.0, 5)}})
    assert "×1.75 for ×2" in text and "≤ 4 GiB: **missed**" in text


def test_rows_of_two_machines_name_theirs():
    other = {**MACHINE, "processor": "Another Processor"}
    runs = {"lego-90s": {**TRAINED, **source()}, "lego-5min": {**TRAINED, **source("def5678", machine=other)}}
    text = page.generated({"runs": runs})
    assert "- A: Some Processor" in text and "- B: Another Processor" in text
    assert cells(text, "lego-90s")[0][-1].endswith(", A") and cells(text, "lego-5min")[0][-1] == "def5678, 2026-01-02, B"
    assert "A: " not in page.generated({"runs": {"lego-90s": {**TRAINED, **source()}}})


def test_a_figure_that_is_no_longer_planned_is_left_out():
    assert page.generated({"runs": {"bygone": {**TRAINED, **source()}}}) == page.generated({})


def test_what_is_written_by_hand_stays(docs):
    page.write(docs / "benchmarks.md", {"fixtures": {"object-50k": {**STEP, **source()}}})
    page.write(docs / "benchmarks.md", {"fixtures": {"fox-seed": {**STEP, **source()}}})
    text = (docs / "benchmarks.md").read_text(encoding="utf-8")
    assert text.startswith(f"# By hand\n\n{page.BEGIN}\n") and text.endswith(f"{page.END}\n\nBelow, × by hand.\n")
    assert "fox-seed" in text and "object-50k |" not in text and "old" not in text


@pytest.mark.parametrize("text", ["", page.BEGIN, f"{page.END}\n{page.BEGIN}"])
def test_a_page_without_its_marks_is_left_alone(tmp_path, text):
    (tmp_path / "benchmarks.md").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit, match="marks"):
        page.write(tmp_path / "benchmarks.md", {})
    assert (tmp_path / "benchmarks.md").read_text(encoding="utf-8") == text


def test_the_page_of_the_checkout_has_its_marks(tmp_path):
    text = (measure.ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    (tmp_path / "benchmarks.md").write_text(text, encoding="utf-8")
    page.write(tmp_path / "benchmarks.md", {})


def result(folder, **changes):
    """A result's folder as training leaves it: started at time 1000, 7 s into its clock."""
    facts = {"status": "done", "step": 1500, "timing": {"total": 95.04, "train": 88.0, "step": 0.0586}}
    # Training scored some of the views, eval all of them.
    facts["metrics"] = {"psnr": 31.7, "ssim": 0.97, "count": 60000.0}
    scores = {"psnr": 31.512, "ssim": 0.96123, "views": []}
    events = [
        {"event": "started", "time": 1000.0},
        {"event": "progress", "time": 1000.5, "stage": "load", "step": 1, "steps": 100, "seconds": 7.5},
        {"event": "preview", "time": 1004.2, "path": "previews/0000031.png", "step": 31, "psnr": 21.004},
        {"event": "progress", "time": 1005.0, "stage": "train", "step": 40, "steps": 1500, "seconds": 12.0},
        {"event": "preview", "time": 1014.0, "path": "previews/0000131.png", "step": 131, "psnr": 25.0},
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps({**facts, **changes}), encoding="utf-8")
    (folder / "metrics.json").write_text(json.dumps(scores), encoding="utf-8")
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


def test_a_result_gives_its_figures_and_its_curve_on_its_own_clock(tmp_path):
    result(tmp_path)
    row = measure.read_run(tmp_path)
    assert row["curve"] == [[11.2, 21.0], [21.0, 25.0]]
    assert (row["steps"], row["seconds"], row["train_seconds"], row["step_milliseconds"]) == (1500, 95.0, 88.0, 58.6)
    assert (row["gaussians"], row["psnr"], row["ssim"]) == (60000, 31.51, 0.9612)


@pytest.mark.parametrize("changes", [{"status": "cancelled"}, {"metrics": {}}])
def test_a_training_that_did_not_end_well_gives_no_figures(tmp_path, changes):
    result(tmp_path, **changes)
    with pytest.raises(SystemExit, match="not taken"):
        measure.read_run(tmp_path)


def fake_engine(*arguments, output=None):
    """Says and writes what the engine would."""
    if arguments[0] == "doctor":
        libraries = {"torch": "2.13.0", "numba": "0.68", "numpy": "1.26"}
        json.dump({"engine": "0.1.0", "processor": "P", "threads": 2, "memory_gib": 15.6, "libraries": libraries}, output)
    elif arguments[0] == "bench":
        step = {key: STEP[key] for key in STEP if key != "peak_vector_operations_per_second"}
        rows = {name: FIELD if name in plan.FIELDS else step for name in arguments[2:]}
        json.dump({"peak_vector_operations_per_second": 5e9, "fixtures": rows}, output)
    elif arguments[0] == "train":
        result(measure.Path(arguments[arguments.index("--out") + 1]))
    return 3 * 2**30


def test_one_part_is_measured_and_the_others_stay(docs, monkeypatch):
    monkeypatch.setattr(measure, "run_engine", fake_engine)
    monkeypatch.setattr(measure, "ROOT", docs)
    kept = {"runs": {"fox-7000": {**TRAINED, **source("0ld0000")}}}
    (docs / "benchmarks.json").write_text(json.dumps(kept), encoding="utf-8")
    assert benchmarks.main(["--only", "lego-90s"], docs) == 0
    figures = json.loads((docs / "benchmarks.json").read_text(encoding="utf-8"))
    assert figures["runs"]["fox-7000"] == kept["runs"]["fox-7000"]
    assert figures["runs"]["lego-90s"]["command"] == "train lego400 --minutes 1.5 --background white --blend srgb"
    text = (docs / "benchmarks.md").read_text(encoding="utf-8")
    assert cells(text, "fox-7000")[0][-1] == "0ld0000, 2026-01-02, A" and cells(text, "lego-90s")[0][8:10] == ["3.00", "≥ 31.5 dB: met"]


def test_everything_is_measured_drawn_and_linked(docs, monkeypatch):
    monkeypatch.setattr(measure, "run_engine", fake_engine)
    monkeypatch.setattr(measure, "ROOT", docs)
    assert benchmarks.main([], docs) == 0
    figures = json.loads((docs / "benchmarks.json").read_text(encoding="utf-8"))
    assert {kind: set(rows) for kind, rows in figures.items()} == {
        "runs": set(plan.RUNS),
        "fixtures": set(plan.FIXTURES),
        "fields": set(plan.FIELDS),
        "scaling": set(plan.SIZES),
    }
    text = (docs / "benchmarks.md").read_text(encoding="utf-8")
    for name in ("benchmarks_curves.png", "benchmarks_scaling.png"):
        assert f"({name})" in text
        drawn = (docs / name).read_bytes()
        assert drawn.startswith(b"\x89PNG")
        # The page can be made again from what is kept, to the byte.
        benchmarks.main(["--page"], docs)
        assert (docs / name).read_bytes() == drawn and (docs / "benchmarks.md").read_text(encoding="utf-8") == text


def test_a_run_without_previews_and_a_single_size_are_drawn(tmp_path):
    plots.curves(tmp_path / "curves.png", {"lego-90s": {**TRAINED, "curve": []}})
    plots.scaling(tmp_path / "scaling.png", {plan.BY_PIXELS[0]: shells(plan.BY_PIXELS[0], 20.0, 1)})
    assert (tmp_path / "curves.png").is_file() and (tmp_path / "scaling.png").is_file()


def test_an_unknown_part_is_refused(docs, capsys):
    with pytest.raises(SystemExit):
        benchmarks.main(["--only", "nothing"], docs)
    assert "nothing" in capsys.readouterr().err


def test_a_child_that_fails_stops_and_one_that_ends_well_tells_its_memory(tmp_path, capfd):
    with open(tmp_path / "said", "w+", encoding="utf-8") as output:
        peak = measure.run_engine("--help", output=output)
        output.seek(0)
        assert "bench" in output.read()
    assert 2**22 < peak < 2**33
    with pytest.raises(SystemExit, match="no-such"):
        measure.run_engine("no-such")
