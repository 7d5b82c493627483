"""Tests go through the public surface: one that holds on to a private name blocks the next redesign."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PRIVATE = re.compile(r"_[A-Za-z]\w*$")
OF_OTHERS = {"_qualified_op_name", "_set_obj_xyz"}
"""Torch's and Metaworld's, which have no public name."""


def private_names(source: str) -> list[str]:
    """Private names that a test takes from elsewhere: attributes of others, imports, and words patched in."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") not in ("self", "cls"):
            found.append(node.attr)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("dreamgym"):
            found += [name.name for name in node.names]
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("setattr", "delattr"):
            found += [
                word.value for word in node.args if isinstance(word, ast.Constant) and isinstance(word.value, str)
            ]
    return [name for name in found if PRIVATE.match(name) and name not in OF_OTHERS]


def test_no_test_holds_on_to_a_private_name() -> None:
    found = {str(file.relative_to(TESTS)): private_names(file.read_text()) for file in TESTS.rglob("*.py")}
    assert len(found) > 200
    assert {file: names for file, names in found.items() if names} == {}


def test_private_names_are_found() -> None:
    bad = "import x\nfrom dreamgym.a import _b\nx._c = 1\npatch.setattr(x, '_d', 2)\nself._e = x.f\n"
    assert sorted(private_names(bad)) == ["_b", "_c", "_d"]
