"""`python run_all.py`, called in this process on toy data."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from benchmark.cells.path import CELL
from benchmark.cells.presets import load_preset
from benchmark.cells.store import Store
from benchmark.commands import run as running
from benchmark.commands import run_all
from benchmark.commands.options import job_count, requested
from datasets.console import exit_status
from datasets.core.split_list import number_list, split_list
from tests.benchmark.rows import row_cell, store_row
from tests.benchmark.toy import ToyRequest, planned, refused, toy_request


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """The command with a results folder of its own: exit status, standard output, standard error."""
    monkeypatch.setattr(running, "DataRequest", ToyRequest)
    monkeypatch.chdir(tmp_path)
    places = ["--results", "my results", "--leaderboards", "my boards", "--preset", "smoke", "--jobs", "1"]

    def run(*words):
        capsys.readouterr()
        status = exit_status(lambda: run_all.main([*places, *words]))
        output = capsys.readouterr()
        return status, output.out, output.err

    return run


def cells_of(tmp_path):
    return sorted(path.parent.relative_to(tmp_path / "my results").as_posix() for path in tmp_path.rglob(CELL))


def snapshot(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


# -- a run -------------------------------------------------------------------------------------------


def test_a_run_computes_shows_progress_writes_the_board_and_prints_it(call, tmp_path):
    status, out, err = call("--methods", "follower")
    assert status == 0
    assert cells_of(tmp_path) == [
        f"toy/smoke/{key}/{split}-seed0" for key in ("follower", "nearest") for split in ("split1", "split2")
    ]
    page = (tmp_path / "my boards" / "toy-smoke" / "README.md").read_text()
    assert page in out
    assert "4 of 4 cells to compute, 1 side by side; results in my results\n" in out
    assert out.endswith("4 of 4 cells done, 4 computed now\n")
    lines = err.splitlines()
    assert [re.sub(r"\d+\.\d s", "T", line) for line in lines] == [
        "done     nearest  split1  seed 0  T  (1/4)",
        "done     nearest  split2  seed 0  T  (2/4)",
        "done     follower  split1  seed 0  T  (3/4)",
        "done     follower  split2  seed 0  T  (4/4)",
    ]


def test_a_second_run_computes_nothing_changes_no_result_and_prints_the_board_again(call, tmp_path):
    _, first, _ = call("--methods", "nearest")
    before = snapshot(tmp_path / "my results")
    status, out, err = call("--methods", "nearest")
    assert (status, err) == (0, "")
    assert snapshot(tmp_path / "my results") == before
    assert out.endswith("2 of 2 cells done, 0 computed now\n")
    assert "to compute" not in out
    assert out.split("leaderboard: ")[0] == first.split("results in my results\n")[1].split("leaderboard: ")[0]


def test_a_failure_is_shown_with_reason_and_log_and_ends_with_1(call, tmp_path):
    status, out, err = call("--methods", "nearest,follower@of_raising")
    assert status == 1
    log = Path("my results", "toy", "smoke", "nearest@raising", "split1-seed0", "run.log")
    assert log.is_file()
    assert f"         ValueError: no [rings] please\n         log: {log}\n" in err
    assert "skipped  follower@of_raising  split1  seed 0" in err
    assert out.endswith(
        "4 of 6 cells done, 4 computed now; 2 failed, were skipped or were not reached: "
        "the same command tries them again\n"
    )
    assert "| 1 of 2 (1 failed)" in out
    assert "| 1 of 2 (1 skipped)" in out


def test_force_computes_again_and_moves_the_old_cells_aside(call, tmp_path):
    call("--methods", "nearest", "--splits", "1")
    old = snapshot(tmp_path / "my results" / "toy")
    status, out, _ = call("--methods", "nearest", "--splits", "1", "--force")
    assert status == 0
    assert out.endswith("1 of 1 cells done, 1 computed now\n")
    method = tmp_path / "my results" / "toy" / "smoke" / "nearest"
    assert sorted(path.name for path in method.iterdir()) == ["split1-seed0", "split1-seed0.old0"]
    aside = {path.name: facts for path, facts in snapshot(method / "split1-seed0.old0").items()}
    assert aside == {path.name: facts for path, facts in old.items()}


def test_fail_fast_stops_and_says_that_cells_were_not_reached(call):
    status, out, _ = call("--methods", "nearest@raising,nearest", "--fail-fast")
    assert status == 1
    assert out.endswith("0 of 4 cells done, 0 computed now; 4 failed, were skipped or were not reached: "
                        "the same command tries them again\n")  # fmt: skip


def test_a_split_of_no_board_can_be_run_and_leaves_the_board_alone(call, tmp_path):
    status, out, _ = call("--methods", "nearest", "--splits", "calibration")
    assert status == 0
    assert cells_of(tmp_path) == ["toy/smoke/nearest/calibration-seed0"]
    assert "leaderboard" not in out


def test_seeds_and_splits_are_chosen(call, tmp_path):
    call("--methods", "nearest", "--splits", "split2", "--seeds", "1-2")
    assert cells_of(tmp_path) == ["toy/smoke/nearest/split2-seed1", "toy/smoke/nearest/split2-seed2"]


def test_without_methods_all_are_run_with_their_standing_variants(call):
    _, out, _ = call("--plan")
    assert {line.split()[0] for line in out.splitlines()[2:] if line} == {"nearest", "nearest@steady", "follower"}


def test_a_study_runs_its_rows_beside_the_named_methods(call):
    _, out, _ = call("--plan", "--ablation", "ways", "--methods", "follower", "--splits", "1")
    assert [line.split()[0] for line in out.splitlines()[2:] if line] == ["nearest", "follower", "nearest@raising"]


# -- settings ----------------------------------------------------------------------------------------


def test_changed_settings_make_a_row_under_their_name(call, tmp_path):
    call("--methods", "nearest", "--splits", "1", "--set", "nearest.rate=1e-3", "--variant", "slow")
    (cell,) = cells_of(tmp_path)
    assert cell == "toy/smoke/nearest@slow/split1-seed0"
    record = json.loads((tmp_path / "my results" / cell / CELL).read_text())
    assert record["cell"]["config"]["rate"] == 0.001


def test_changed_data_settings_make_a_board_of_their_own(call, tmp_path):
    call("--methods", "nearest", "--splits", "1", "--set", "data.train_per_class=4", "--variant", "few")
    assert cells_of(tmp_path) == ["toy/smoke~few/nearest/split1-seed0"]
    assert (tmp_path / "my boards" / "toy-smoke~few" / "README.md").is_file()


@pytest.mark.parametrize(
    ("first", "second"), [("nearest.rate=1", "nearest.rate=2"), ("data.train_per_class=4", "data.train_per_class=5")]
)
def test_a_name_keeps_its_settings_for_good(call, tmp_path, first, second):
    words = ["--methods", "nearest", "--splits", "1", "--variant", "mine"]
    assert call(*words, "--set", first)[0] == 0
    before = snapshot(tmp_path)
    status, _, err = call(*words, "--set", second)
    assert status == 2
    assert "holds results with other settings; choose another --variant, or add --force to replace them" in err
    assert snapshot(tmp_path) == before
    assert call(*words, "--set", first)[0] == 0
    assert call(*words, "--set", second, "--force")[0] == 0


def test_an_empty_folder_left_by_a_kill_does_not_use_up_a_name(call, tmp_path):
    (tmp_path / "my results" / "toy" / "smoke" / "nearest@mine" / "split1-seed0").mkdir(parents=True)
    words = ["--methods", "nearest", "--splits", "1", "--variant", "mine", "--set", "nearest.rate=1"]
    assert call(*words)[0] == 0


# -- looking without running -------------------------------------------------------------------------


def test_a_plan_shows_order_status_and_who_needs_what_and_writes_nothing(call, tmp_path):
    call("--methods", "nearest", "--splits", "1")
    before = snapshot(tmp_path)
    status, out, err = call("--methods", "follower", "--plan")
    assert (status, err) == (0, "")
    title, head, *lines = out.splitlines()
    assert (title, head.split()) == ("plan", ["method", "split", "seed", "status", "hash", "needed", "by"])
    body = [re.split(r"  +", line.strip()) for line in lines if line]
    assert [(row[0], row[1], row[3], *row[5:]) for row in body] == [
        ("nearest", "split1", "done", "follower"),
        ("follower", "split1", "to do"),
        ("nearest", "split2", "to do", "follower"),
        ("follower", "split2", "to do"),
    ]
    assert snapshot(tmp_path) == before


def test_a_list_shows_methods_variants_and_studies_in_lines_of_any_width(call, tmp_path):
    status, out, _ = call("--list")
    assert status == 0
    line = next(line for line in out.splitlines() if line.startswith("nearest"))
    assert "Nearest mean" in line
    assert "raising, exiting, sleepy" in line
    assert "https://doi.org/10.1111/j.1469-1809.1936.tb02137.x" in line
    assert re.search(r"^ways +nearest, nearest@raising$", out, re.MULTILINE)
    assert list(tmp_path.iterdir()) == []


def test_a_plugin_that_cannot_be_imported_is_named_and_the_others_run(call, tmp_path, monkeypatch):
    folder = tmp_path / "broken plugins"
    folder.mkdir()
    (folder / "faulty.py").write_text("import nothing_of_this_name\n")
    monkeypatch.setenv("OSMA_BENCH_PLUGINS", f"{os.environ['OSMA_BENCH_PLUGINS']}{os.pathsep}{folder}")
    status, _, err = call("--methods", "nearest", "--splits", "1")
    assert status == 0
    reason = "ModuleNotFoundError: No module named 'nothing_of_this_name'"
    assert f"warning: method 'faulty' is left out: {folder / 'faulty.py'}: {reason}\n" in err
    status, _, err = call("--methods", "faulty")
    assert status == 2
    assert err.splitlines()[-1] == (
        f"error: method 'faulty' could not be imported from {folder / 'faulty.py'}: {reason}"
    )


# -- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--methods", "neares"],
            "unknown method 'neares'; did you mean 'nearest'?  (all 2: python run_all.py --list)",
        ),
        (["--methods", " , "], "--methods ' , ' is empty; write names with commas between"),
        (["--methods", "nearest@"], "'nearest@' names no variant; write nearest, or nearest@VARIANT"),
        (["--methods", "n" * 300], "unknown method '" + "n" * 117 + "...'"),
        (["--results", "r" * 300], "--results " + "r" * 117 + "...: a name of 300 bytes"),
        (["--seeds", "0-99999999999"], "--seeds 0-99999999999: more than 10,000 numbers"),
        (["--splits", "1-99999999999"], "--splits 1-99999999999: more than 10,000 numbers"),
        (["--splits", "9" * 5000], "--splits 999"),
        (["--set", "run.threads='8'"], "setting run.threads='8' is text; write 8 without quotes"),
        (["--set", "nearest.rate=" + "[" * 5000], "--set nearest.rate=[[["),
        (["--methods", "nearest,nearest"], "method 'nearest' is asked for twice"),
        (["--ablation", "none"], "unknown ablation 'none'; the methods declare ways"),
        (["--splits", "7"], "--splits 7: toy has no 'split7'; it has split1, split2, calibration"),
        (["--splits", "2-1"], "--splits 2-1: the range 2-1 runs backwards"),
        (["--seeds", "x"], "--seeds x: write numbers such as 0, 0-2 or 0,3"),
        (["--preset", "fast"], "unknown preset 'fast'; use one of paper, quick, smoke, standard"),
        (["--jobs", "0"], "--jobs 0: write auto or a positive number"),
        (["--jobs", "many"], "--jobs many: write auto or a positive number"),
        (["--device", "abacus"], "unknown device 'abacus'; use one of auto"),
        (["--scheduler", "here:1"], "--scheduler here:1 is an address of dask; add --backend dask"),
        (["--backend", "abacus"], "argument --backend: invalid choice: 'abacus'"),
        (["--set", "nearest.rat=1"], "nearest has no setting 'rat'; did you mean 'rate'?"),
        (["--set", "nearest.rate=fast"], "setting nearest.rate='fast' is refused: input should be a valid number"),
        (["--set", "rate=1"], "--set rate=1: write METHOD.KEY=VALUE, data.KEY=VALUE or run.KEY=VALUE"),
        (["--variant", "mine"], "--variant mine names what --set changes; add --set OWNER.KEY=VALUE"),
        (["--nonsense"], "unrecognized arguments: --nonsense  (all options: python run_all.py --help)"),
    ],
)
def test_a_request_that_cannot_be_run_is_one_line_on_stderr_and_2(call, tmp_path, words, message):
    status, out, err = call(*words)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {message}")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_cell_is_one_line_on_stderr_and_2(call, tmp_path):
    folder = store_row(tmp_path / "my results", row_cell())
    (folder / CELL).write_text("{")
    status, _, err = call("--methods", "nearest")
    assert status == 2
    assert err.count("\n") == 1
    assert "is damaged" in err


@pytest.mark.parametrize("option", ["results", "leaderboards"])
def test_a_folder_that_cannot_be_used_is_one_line_on_stderr_and_2_before_anything_runs(call, tmp_path, option):
    (tmp_path / "a file").touch()
    status, out, err = call("--methods", "nearest", f"--{option}", str(tmp_path / "a file"))
    assert (status, out) == (2, "")
    assert err.startswith(f"error: --{option} {tmp_path / 'a file'} cannot be used: ")
    assert err.count("\n") == 1


def test_help_lists_the_options_of_the_contract(capsys):
    with pytest.raises(SystemExit) as end:
        run_all.main(["--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    for option in ("methods", "splits", "seeds", "dataset", "data-root", "preset", "set", "variant", "ablation",
                   "device", "jobs", "backend", "scheduler", "results", "leaderboards", "force", "fail-fast",
                   "list", "plan"):  # fmt: skip
        assert f"--{option}" in shown


# -- parts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, ["split1", "split2"]),
        ("1", ["split1"]),
        ("1-2", ["split1", "split2"]),
        ("2, 1,2", ["split2", "split1"]),
        ("split2,1", ["split2", "split1"]),
        ("calibration", ["calibration"]),
    ],
)
def test_splits_are_numbers_ranges_or_names(text, names):
    assert split_list(text, toy_request().open()) == names


@pytest.mark.parametrize(("text", "numbers"), [("0", [0]), ("0-2", [0, 1, 2]), ("3,0", [3, 0]), ("1-2,2-3", [1, 2, 3])])
def test_numbers_are_single_or_ranges(text, numbers):
    assert number_list(text, "--seeds") == numbers


@pytest.mark.parametrize("text", ["", "-1", "1-", "a", "1,,2", "1.5", "1-3-5"])
def test_numbers_of_another_form_are_refused(text):
    with refused(f"--seeds {text}: write numbers such as 0, 0-2 or 0,3"):
        number_list(text, "--seeds")


def test_jobs_follow_the_cores_and_the_threads_of_a_cell_unless_given(monkeypatch):
    preset = load_preset("smoke", "toy", {})
    two = load_preset("smoke", "toy", {"run": {"threads": 3}})
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    assert job_count("5", "cpu", preset) == 5
    assert (job_count("auto", "cpu", preset), job_count("auto", "cpu", two)) == (8, 2)
    monkeypatch.setattr("joblib.cpu_count", lambda: 1)
    assert job_count("auto", "cpu", two) == 1
    monkeypatch.setattr("methods.core.device.is_accelerator", lambda device: True)
    assert job_count("auto", "cpu", preset) == 1


def test_methods_default_to_all_and_keep_the_order_given(registry):
    assert requested(None, None, registry) == ["follower", "nearest", "nearest@steady"]
    assert requested("nearest, follower@of_raising,", None, registry) == ["nearest", "follower@of_raising"]


def test_the_place_of_a_cell_is_the_one_that_the_command_uses(registry, tmp_path, call):
    call("--methods", "nearest", "--splits", "1")
    (cell,) = planned(registry, "nearest", splits=("split1",))
    assert Store(tmp_path / "my results").folder(cell).is_dir()
