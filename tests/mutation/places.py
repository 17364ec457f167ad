"""Where in a file a mutant is: so which tests can notice it, and how it is put in place."""

import ast
import math
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise


class When(StrEnum):
    """When Python looks at a place."""

    NEVER = "in an annotation"
    IMPORT = "as the module is imported"
    CALL = "as a function is called"


@dataclass(frozen=True)
class Place:
    """`first` and `last`: lines of the innermost statement, of one with a body its head alone."""

    when: When
    first: int
    last: int


def place(tree: ast.Module, line: int, column: int) -> Place:
    """That of the character there; lines from 1, columns from 0."""
    path = _path(tree, (line, column))
    when = When.IMPORT
    for outer, inner in pairwise(path):
        if _annotates(outer, inner):
            when = When.NEVER
            break
        if isinstance(outer, ast.FunctionDef) and inner in outer.body:
            when = When.CALL
    heads = [node for node in path if isinstance(node, ast.stmt | ast.ExceptHandler)]
    # A decorator is of no statement: it stands before that which it decorates.
    return Place(when, *_head(heads[-1])) if heads else Place(when, line, line)


def _annotates(outer: ast.AST, inner: ast.AST) -> bool:
    return inner is getattr(outer, "annotation", None) or inner is getattr(outer, "returns", None)


def _head(node: ast.stmt | ast.ExceptHandler) -> tuple[int, int]:
    body = getattr(node, "body", None)
    last = body[0].lineno - 1 if body else node.end_lineno or node.lineno
    return node.lineno, max(node.lineno, last)


def _path(node: ast.AST, at: tuple[int, int]) -> list[ast.AST]:
    """From this node to the innermost that has the character."""
    for child in ast.iter_child_nodes(node):
        # Most of a file is elsewhere. (A decorator stands before the lines of what it decorates.)
        decorated = getattr(child, "decorator_list", None)
        if not decorated and not getattr(child, "lineno", 0) <= at[0] <= _last(child):
            continue
        below = _path(child, at)
        if _has(child, at) or len(below) > 1:
            return [node, *below]
    return [node]


def _last(node: ast.AST) -> float:
    return getattr(node, "end_lineno", None) or math.inf


def _has(node: ast.AST, at: tuple[int, int]) -> bool:
    """False of what has no position, as arguments in a whole."""
    if not isinstance(node, ast.stmt | ast.expr | ast.arg | ast.ExceptHandler | ast.keyword):
        return False
    end = (node.end_lineno or 0, node.end_col_offset or 0)
    return (node.lineno, node.col_offset) <= at < end
