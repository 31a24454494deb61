"""Source files as syntax trees: what a file imports, and what a name in it stands for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Module:
    """A source file with its dotted name, its path below the root and its syntax tree."""

    name: str
    path: str
    tree: ast.Module

    @property
    def package(self) -> str:
        return self.name if self.path.endswith("/__init__.py") else self.name.rpartition(".")[0]

    @cached_property
    def imports(self) -> list[tuple[str, int]]:
        """What is imported anywhere in the file, as (dotted name, line); `from a import b` gives "a.b"."""
        return list(self._imports_below(self.tree))

    @cached_property
    def imports_at_run_time(self) -> list[tuple[str, int]]:
        """As `imports`, less what stands under `if TYPE_CHECKING:` and is never executed."""
        type_only = {
            found for block in ast.walk(self.tree) if _for_types(block) for found in self._imports_below(block)
        }
        return [found for found in self.imports if found not in type_only]

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Local names of imports, such as {"np": "numpy", "load": "torch.load"}."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.asname: alias.name for alias in node.names if alias.asname}
            elif isinstance(node, ast.ImportFrom):
                found |= {alias.asname or alias.name: f"{self._source(node)}.{alias.name}" for alias in node.names}
        return found

    def dotted(self, node: ast.expr) -> str:
        """The full name behind an expression such as `np.load`, import aliases replaced; "" for other expressions."""
        if isinstance(node, ast.Name):
            return self.aliases.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            owner = self.dotted(node.value)
            return f"{owner}.{node.attr}" if owner else ""
        return ""

    def _imports_below(self, top: ast.AST) -> Iterator[tuple[str, int]]:
        for node in ast.walk(top):
            if isinstance(node, ast.Import):
                yield from ((alias.name, node.lineno) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from ((f"{self._source(node)}.{alias.name}", node.lineno) for alias in node.names)
            elif isinstance(node, ast.Call) and self.dotted(node.func) in ("importlib.import_module", "__import__"):
                yield from ((name, node.lineno) for name in literals(node.args[:1]))

    def _source(self, node: ast.ImportFrom) -> str:
        """The absolute module of a `from ... import`, relative ones resolved."""
        if not node.level:
            return node.module or ""
        parts = self.package.split(".")
        base = parts[: len(parts) - (node.level - 1)]
        return ".".join([*base, node.module] if node.module else base)


def parse(path: str, source: str) -> Module:
    name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return Module(name, path, ast.parse(source, filename=path))


def literals(nodes: list[ast.expr]) -> list[str]:
    """Those of the expressions that are plain strings."""
    return [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def true_keywords(call: ast.Call) -> set[str | None]:
    """Keywords that a call sets to the literal True."""
    return {k.arg for k in call.keywords if isinstance(k.value, ast.Constant) and k.value.value is True}


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING"
