"""Which libraries a piece of the project loads only when it is called.

Nodes import heavy libraries inside their functions, so that a command which does not need them starts fast. In one
thread that is all there is to say. Where nodes run in threads, two of them can import one package for the first time at
once, and CPython resolves the deadlock of two import locks by handing one of them a half loaded module ("cannot import
name ... from partially initialized module"). Whoever starts threads therefore imports these libraries before.
"""

import ast
import importlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

PACKAGE = "augury"


def deferred_imports(modules: Iterable[str]) -> list[str]:
    """Find what modules, and the modules of this package that they import, import inside functions.

    Args:
        modules: Dotted names of modules of this package; others are ignored.

    Returns:
        Dotted names of modules outside this package, sorted.
    """
    waiting, seen, found = list(modules), set[str](), set[str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name.split(".")[0] != PACKAGE:
            continue
        source = _source(name)
        if source is None:
            continue
        tree = ast.parse(source)
        inner = {id(node) for function in _functions(tree) for node in ast.walk(function)}
        for node in ast.walk(tree):
            for imported in _imported(node):
                if imported.split(".")[0] == PACKAGE:
                    waiting.append(imported)
                elif id(node) in inner:
                    found.add(imported)
    return sorted(found)


def import_all(modules: Iterable[str]) -> None:
    """Import modules in order; what is not installed is left to whoever needs it, with its own message.

    Args:
        modules: Dotted names, some of which may be attributes of a module (``sklearn.base.clone``).
    """
    for name in modules:
        parent, _, _ = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ImportError:
            if parent:
                import_all([parent])


def _functions(tree: ast.Module) -> list[ast.AST]:
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def _imported(node: ast.AST) -> list[str]:
    """The modules that an import statement may load; of ``from a import b``, ``b`` may be a module or not."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def _source(name: str) -> str | None:
    """The text of a module of this package; of an attribute of one, that module's."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        parent, _, _ = name.rpartition(".")
        return _source(parent) if parent else None
    return Path(spec.origin).read_text(encoding="utf-8") if spec.origin else None
