"""The shape of the code base, read from its syntax trees: who may import whom, and what only one file may do."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.syntax import Module, literals, parse, true_keywords

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("datasets", "methods", "benchmark")
SCRIPTS = ("run_all.py", "osma_bench.py")

# The rooms of the house, floor by floor, lowest first. A module imports from its own room and from lower floors; rooms
# of one floor do not know each other. The longest name that fits a module is its room.
FLOORS = (
    ("datasets.errors", "datasets.seeds", "datasets.settings", "datasets.signals", "datasets.columns"),
    ("datasets.console", "datasets.splits"),
    ("datasets.types",),
    ("datasets.core",),
    ("datasets.pixels",),
    ("datasets.files",),
    ("datasets.mini", "datasets.osma", "datasets.folder"),
    ("datasets.catalogue",),
    ("datasets.checks", "datasets.download"),
    ("datasets.commands",),
    ("datasets",),
    ("methods.core.settings", "methods.core.key", "methods.core.device", "methods.core.state", "methods.core.losses"),
    ("methods.core.history", "methods.core.training"),
    ("methods.core.images", "methods.core.networks"),
    ("methods.core",),
    ("methods.core.discovery",),
    ("methods",),
    ("benchmark.metrics",),
    ("benchmark.cells",),
    ("benchmark.evaluation",),
    ("benchmark.boards", "benchmark.running"),
    ("benchmark.studies",),
    ("benchmark.commands",),
    ("benchmark",),
    ("run_all", "osma_bench"),
)
MOST_MODULES = {"methods": None, "methods.core": 16}  # of one folder beside its __init__.py; elsewhere:
USUALLY = 12
LONGEST = 300  # lines of a module that is not a method
# Nobody imports these.
ENTRANCES = ("run_all", "osma_bench", "tests")

TERMINAL = "datasets/console.py"
DEVICES = "methods/core/device.py"
RELEASED_WEIGHTS = "methods/core/released.py"

DEVICE_NAME = re.compile(r"(cuda|cpu|mps|xpu)(:\d+)?")
DEVICE_MODULE = re.compile(r"torch(\.backends)?\.(cuda|cpu|mps|xpu|cudnn)")
UNSAFE_MODULES = ("pickle", "_pickle", "cPickle", "cloudpickle", "dill", "shelve", "marshal")
UNSAFE_CALLS = ("torch.load", "torch.save", "joblib.load", "joblib.dump", "pandas.read_pickle")


def all_modules() -> list[Module]:
    folders = [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]
    files = [*folders, *(ROOT / script for script in SCRIPTS if (ROOT / script).is_file())]
    return [parse(file.relative_to(ROOT).as_posix(), file.read_text(encoding="utf-8")) for file in files]


def is_in(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def room(name: str) -> str | None:
    """The room of one of our modules, by its longest matching prefix; None for a library."""
    return max((room for floor in FLOORS for room in floor if is_in(name, room)), key=len, default=None)


def floor(room: str) -> int:
    """How high a room lies."""
    return next(height for height, rooms in enumerate(FLOORS) if room in rooms)


def target_of(name: str, known: set[str]) -> str | None:
    """The module that an imported name lives in: `datasets.types.ImageSet` is in `datasets.types`."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name or None


def method_names(modules: list[Module]) -> set[str]:
    """Names under which methods register: their files', and the first argument of `@register(...)`."""
    names: set[str] = set()
    for module in modules:
        if not is_in(module.name, "methods") or is_in(module.name, "methods.core") or module.name == "methods":
            continue
        names.add(module.name.split(".")[1])
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and module.dotted(node.func).rpartition(".")[2] == "register":
                names |= set(literals(node.args[:1]))
    return names


# --- One rule a function: the offences of a module, as (line, what) -----------------------------------------------

Offence = tuple[int, str]
Rule = Callable[[Module], Iterator[Offence]]


def imports_upwards(module: Module) -> Iterator[Offence]:
    own = room(module.name)
    assert own is not None
    for name, line in module.imports:
        other = room(name)
        if any(is_in(name, entrance) for entrance in ENTRANCES):
            yield line, f"imports {name}, which is an entrance"
        elif other not in (None, own) and floor(other) >= floor(own):
            yield line, f"imports {name}: {other} does not lie below {own}"


def knows_a_method(module: Module) -> Iterator[Offence]:
    if not is_in(module.name, "benchmark"):
        return
    for name, line in module.imports:
        if is_in(name, "methods") and not is_in(name, "methods.core"):
            yield line, f"imports {name}; the harness imports methods.core alone"
    forbidden = {text for name in method_names(MODULES) for text in (name, f"methods.{name}")}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in forbidden:
            yield node.lineno, f"names the method '{node.value}'; ask the registry"


def writes_to_the_terminal(module: Module) -> Iterator[Offence]:
    if module.path == TERMINAL:
        return
    streams = {"sys.stdout", "sys.stderr", "sys.__stdout__", "sys.__stderr__"}
    printers = {"print", "rich.print", "rich.get_console", "tqdm.tqdm", "tqdm.auto.tqdm"}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Name | ast.Attribute) and module.dotted(node) in streams | printers:
            yield node.lineno, f"uses {module.dotted(node)}; go through {TERMINAL}"
        elif isinstance(node, ast.Call) and module.dotted(node.func) == "rich.console.Console":
            to_a_file = any(keyword.arg == "file" for keyword in node.keywords)
            yield from [] if to_a_file else [(node.lineno, f"opens a console of its own; use the one of {TERMINAL}")]


def names_a_device(module: Module) -> Iterator[Offence]:
    if module.path == DEVICES:
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and DEVICE_NAME.fullmatch(node.value):
            yield node.lineno, f"names the device '{node.value}'; it is chosen in {DEVICES} and passed on"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "cuda":
            yield node.lineno, f"moves to a device by name; it is chosen in {DEVICES} and passed on"
        elif isinstance(node, ast.Attribute) and DEVICE_MODULE.fullmatch(module.dotted(node)):
            yield node.lineno, f"uses {module.dotted(node)}; what concerns one kind of device lies in {DEVICES}"


def unpickles(module: Module) -> Iterator[Offence]:
    for name, line in module.imports:
        if name.split(".")[0] in UNSAFE_MODULES:
            yield line, f"imports {name}; save safetensors and JSON"
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        called = module.dotted(node.func)
        if module.path == RELEASED_WEIGHTS and called == "torch.load":
            if "weights_only" not in true_keywords(node):
                yield node.lineno, "calls torch.load without weights_only=True"
        elif called in UNSAFE_CALLS or called.endswith(".to_pickle"):
            yield node.lineno, f"calls {called}; only {RELEASED_WEIGHTS} reads foreign checkpoints"
        elif "allow_pickle" in true_keywords(node):
            yield node.lineno, "allows pickled arrays"


# --- The tests: the code keeps the rules, and the rules find what they are for --------------------------------------

MODULES = all_modules()


def offences(rule: Rule, modules: list[Module]) -> list[str]:
    return [f"{module.path}:{line}: {what}" for module in modules for line, what in rule(module)]


RULES = (imports_upwards, knows_a_method, writes_to_the_terminal, names_a_device, unpickles)
PLANTED = [
    (imports_upwards, "datasets/a.py", "from methods.core.run import Run"),
    (imports_upwards, "datasets/pixels/a.py", "from datasets.osma.dataset import Osma"),
    (imports_upwards, "datasets/osma/a.py", "from datasets.folder.plan import FolderPlan"),  # beside, not below
    (imports_upwards, "methods/core/images/a.py", "from methods.core.run import Run"),
    (imports_upwards, "benchmark/metrics/a.py", "from benchmark.cells.store import Store"),
    (imports_upwards, "benchmark/boards/a.py", "def f():\n    from benchmark.running.runner import run_plan"),
    (imports_upwards, "benchmark/evaluation/a.py", "from benchmark.boards import rows"),
    (imports_upwards, "datasets/a/b.py", "def f():\n    import benchmark"),
    (imports_upwards, "methods/core/a.py", "from .. import pose"),
    (imports_upwards, "methods/a.py", "import importlib as il\nil.import_module('benchmark.cells.store')"),
    (imports_upwards, "benchmark/a.py", "from run_all import main"),
    (imports_upwards, "run_all.py", "from tests.helpers import tiny"),
    (knows_a_method, "benchmark/a.py", "from methods import anything"),
    (writes_to_the_terminal, "methods/a.py", "from rich import print as show\nshow(1)"),
    (writes_to_the_terminal, "benchmark/a.py", "from sys import stdout\nstdout.write('')"),
    (writes_to_the_terminal, "benchmark/a.py", "from rich.console import Console\nConsole(stderr=True)"),
    (names_a_device, "methods/a.py", "x.to('cuda:0')"),
    (names_a_device, "methods/a.py", "x.cuda()"),
    (names_a_device, "benchmark/running/a.py", "import torch\nERRORS = (OSError, torch.cuda.OutOfMemoryError)"),
    (unpickles, "methods/a.py", "from torch import load as read\nread(path, weights_only=True)"),
    (unpickles, "methods/a.py", "import numpy as np\nnp.load(path, allow_pickle=True)"),
    (unpickles, "benchmark/a.py", "import pickle"),
    (unpickles, RELEASED_WEIGHTS, "import torch\ntorch.load(path)"),
]
ALLOWED = [
    ("benchmark/a.py", "from methods.core import registry\nfrom datasets.types import ImageSet"),
    ("methods/a.py", "from methods.b import loss\nfrom methods.core.run import Run"),
    ("osma_bench.py", "from methods.core.method import Method"),
    (TERMINAL, "import sys\nprint(1)\nsys.stdout.flush()"),
    ("benchmark/a.py", "import io\nfrom rich.console import Console\nConsole(file=io.StringIO())"),
    (DEVICES, "'cuda:0'"),
    ("methods/a.py", "def f(x):\n    'Moves to cpu.'\n    return x.cpu()"),
    (RELEASED_WEIGHTS, "import torch\ntorch.load(path, weights_only=True)"),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_no_module(rule: Rule) -> None:
    assert MODULES
    assert offences(rule, MODULES) == []


@pytest.mark.parametrize(("rule", "path", "source"), PLANTED)
def test_a_planted_offence_is_found(rule: Rule, path: str, source: str) -> None:
    assert len(offences(rule, [parse(path, source)])) == 1


@pytest.mark.parametrize(("path", "source"), ALLOWED)
def test_what_is_allowed_offends_no_rule(path: str, source: str) -> None:
    assert [found for rule in RULES for found in offences(rule, [parse(path, source)])] == []


def test_every_module_has_a_room_and_every_room_has_modules() -> None:
    rooms = {room(module.name) for module in MODULES}
    assert None not in rooms
    assert rooms == {name for floor in FLOORS for name in floor}


def test_a_room_can_be_looked_over() -> None:
    folders: dict[str, int] = {}
    for module in MODULES:
        if not module.path.endswith("__init__.py"):
            folder = ".".join(module.path.split("/")[:-1])
            folders[folder] = folders.get(folder, 0) + 1
    most = {folder: MOST_MODULES.get(folder, USUALLY) for folder in folders}
    assert {name: count for name, count in folders.items() if most[name] is not None and count > most[name]} == {}


def test_a_module_can_be_read_in_one_go() -> None:
    lengths = {m.path: len((ROOT / m.path).read_text(encoding="utf-8").splitlines()) for m in MODULES}
    long = {path: lines for path, lines in lengths.items() if lines > LONGEST}
    assert {path for path in long if not re.fullmatch(r"methods/\w+\.py", path)} == set()


def test_a_method_is_known_by_its_file_and_by_its_registered_name() -> None:
    method = parse("methods/nearest.py", "@register('nearest_mean')\nclass Nearest: ...")
    shared = parse("methods/core/registry.py", "register('not this')")
    assert method_names([method, shared, parse("methods/__init__.py", "")]) == {"nearest", "nearest_mean"}


def import_graph(modules: list[Module]) -> dict[str, set[str]]:
    known = {module.name for module in modules}
    targets = {m.name: {target_of(name, known) for name, _ in m.imports_at_run_time} for m in modules}
    return {name: {t for t in found if t is not None and t != name} for name, found in targets.items()}


def cycle_in(modules: list[Module]) -> list[str]:
    try:
        TopologicalSorter(import_graph(modules)).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    assert cycle_in(MODULES) == []


def test_a_circle_is_found_even_when_it_hides_in_a_function_and_a_relative_import() -> None:
    first = parse("datasets/a.py", "def f():\n    from datasets.b import c")
    second = parse("datasets/b.py", "from . import a")
    assert set(cycle_in([first, second])) == {"datasets.a", "datasets.b"}


def test_an_import_that_only_the_type_checker_reads_makes_no_circle() -> None:
    first = parse("methods/core/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import methods.core.b")
    second = parse("methods/core/b.py", "import methods.core.a")
    assert cycle_in([first, second]) == []
