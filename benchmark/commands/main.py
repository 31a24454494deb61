"""The commands of `python -m benchmark`; their options are a contract, as those of run_all.py."""

from __future__ import annotations

from collections.abc import Sequence

from datasets.core.command import door, run_command

COMMANDS = {
    "evaluate": door("benchmark.commands.stored", "Evaluate", "compute every evaluation again from stored predictions"),
    "leaderboard": door("benchmark.commands.stored", "WriteBoards", "write the boards from stored cells"),
    "figures": door("benchmark.commands.stored", "DrawFigures", "draw the pictures of the boards"),
    "verify": door("benchmark.commands.stored", "Verify", "check that hashes and figures follow from what cells hold"),
    "cluster": door("benchmark.commands.cluster", "ClusterCells", "cluster stored features, for the discovery table"),
    "similarity": door(
        "benchmark.commands.similarity", "CompareViews", "compare the views of methods, such as augmentation models"
    ),
    "agreement": door(
        "benchmark.commands.agreement", "CompareRankings", "compare the boards' rankings with published ones"
    ),
    "submit": door(
        "benchmark.commands.stored", "Submit", "copy this machine's cells into the leaderboards folder, to be committed"
    ),
    "predict": door("benchmark.commands.predict", "Predict", "attribute images of your own by a fitted cell"),
    "tune": door("benchmark.commands.tune", "Tune", "search the settings of a preset on validation images"),
    "new-method": door("benchmark.commands.new_method", "NewMethod", "write a plugin and its test to start from"),
}


def main(argv: Sequence[str] | None = None) -> int:
    about = "What is made from stored cells, and what leads to them."
    return run_command("python -m benchmark", about, COMMANDS, argv)
