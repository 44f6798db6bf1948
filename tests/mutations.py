"""One-line faults that a source file could have: where each is, and what the line would say."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import Any

_COMPARE = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
_SWAPPED = {
    "min": "max", "minimum": "maximum", "amin": "amax", "argmin": "argmax", "clamp_min": "clamp_max",
    "floor": "ceil", "any": "all",
}  # fmt: skip
_SWAPPED |= {after: before for before, after in _SWAPPED.items()}
_TYPES = ("bool", "bytes", "dict", "float", "int", "list", "set", "str", "tuple")
_WORDS = re.compile(r"warn|warning|info|debug|unknown_name|_LOG|TypeVar|namedtuple|stacklevel")


@dataclass(frozen=True)
class Mutation:
    """A fault in one line.

    Attributes:
        kind: compare, sign, constant, extreme, mask, slice, gradient or logic.
        line: number of the line, from 1.
        start: first byte of what is replaced in the line.
        end: byte behind it.
        before: what is there.
        after: what would be there.
    """

    kind: str
    line: int
    start: int
    end: int
    before: str
    after: str

    def apply(self, source: str) -> str:
        """The source with the fault.

        Examples:
            >>> [one.apply("y = x[1:] < 2") for one in find_mutations("y = x[1:] < 2")]
            ['y = x[1:] <= 2', 'y = x[:] < 2', 'y = x[2:] < 2', 'y = x[1:] < 3']
        """
        lines = source.encode().split(b"\n")
        line = lines[self.line - 1]
        lines[self.line - 1] = line[: self.start] + self.after.encode() + line[self.end :]
        return b"\n".join(lines).decode()


def find_mutations(source: str) -> list[Mutation]:
    """All faults of a source file; texts, messages, annotations and assertions have none."""
    finder = _Finder(source)
    finder.visit(ast.parse(source))
    return [one for one in finder.found if one.before != one.after]


class _Finder(ast.NodeVisitor):
    def __init__(self, source: str) -> None:
        self.lines = source.encode().split(b"\n")
        self.found: list[Mutation] = []

    def text(self, node: Any) -> str:
        return self.lines[node.lineno - 1][node.col_offset : node.end_col_offset].decode()

    def add(self, kind: str, line: int, start: int, end: int, after: str) -> None:
        before = self.lines[line - 1][start:end].decode()
        self.found.append(Mutation(kind, line, start, end, before, after))

    def replace(self, kind: str, node: Any, after: str) -> None:
        if node.lineno == node.end_lineno:
            self.add(kind, node.lineno, node.col_offset, node.end_col_offset, after)

    def between(self, kind: str, left: Any, right: Any, change: Any) -> None:
        """Changes the operator between two operands on one line."""
        if left.end_lineno != right.lineno:
            return
        start, end = left.end_col_offset, right.col_offset
        text = self.lines[right.lineno - 1][start:end].decode()
        self.add(kind, right.lineno, start, end, change(text))

    # What cannot be a fault that a test should see.
    def visit_Raise(self, node: ast.Raise) -> None: ...
    def visit_Assert(self, node: ast.Assert) -> None: ...
    def visit_JoinedStr(self, node: ast.JoinedStr) -> None: ...

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if node.name in ("__repr__", "__str__"):
            return
        for one in [*node.args.defaults, *filter(None, node.args.kw_defaults), *node.body]:
            self.visit(one)

    def visit_If(self, node: ast.If) -> None:
        if self.text(node.test) != "TYPE_CHECKING":
            self.generic_visit(node)

    # Faults.
    def visit_Compare(self, node: ast.Compare) -> None:
        if len(node.ops) == 1:
            self.between("compare", node.left, node.comparators[0], _swap_compare)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        literal = (ast.List, ast.Tuple, ast.JoinedStr, ast.Dict, ast.Set)
        operands = (node.left, node.right)
        is_text = any(
            isinstance(one, literal) or (isinstance(one, ast.Constant) and isinstance(one.value, str | bytes))
            for one in operands
        )
        if isinstance(node.op, ast.Add | ast.Sub) and not is_text:
            swap = {"+": "-", "-": "+"}
            self.between("sign", *operands, lambda text: re.sub("[+-]", lambda m: swap[m[0]], text))
        if isinstance(node.op, ast.BitAnd | ast.BitOr) and not _is_type(node):
            self.replace("mask", node, self.text(node.left))
            self.replace("mask", node, self.text(node.right))
        if isinstance(node.op, ast.Mult) and re.search("mask|present|valid|alive", self.text(node.right)):
            self.replace("mask", node, self.text(node.left))
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        kinds: dict[type, str] = {ast.Invert: "mask", ast.Not: "logic", ast.USub: "sign"}
        constant = isinstance(node.operand, ast.Constant)
        if type(node.op) in kinds and not constant:
            self.replace(kinds[type(node.op)], node, f"({self.text(node.operand)})")
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        swap = {"and": "or", "or": "and"}
        for left, right in zip(node.values, node.values[1:], strict=False):
            self.between("logic", left, right, lambda text: re.sub("and|or", lambda m: swap[m[0]], text))
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if type(node.value) is int:
            self.replace("constant", node, str(node.value + 1))
        elif type(node.value) is float:
            self.replace("constant", node, repr(node.value * 2 if node.value else 1.0))

    def visit_Slice(self, node: ast.Slice) -> None:
        for bound in (node.lower, node.upper):
            if bound is not None and isinstance(getattr(bound, "operand", bound), ast.Constant):
                self.replace("slice", bound, "")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func
        if _WORDS.search(self.text(called)):
            return
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name == "isinstance":
            return self.visit(node.args[0])
        if name in _SWAPPED and called.end_col_offset is not None and called.end_lineno is not None:
            end = called.end_col_offset
            self.add("extreme", called.end_lineno, end - len(name), end, _SWAPPED[name])
        if isinstance(called, ast.Attribute) and name in ("masked_fill", "detach", "clamp"):
            self.replace("gradient" if name == "detach" else "mask", node, self.text(called.value))
        if name == "where" and len(node.args) == 3:
            for branch in node.args[1:]:
                self.replace("mask", node, f"({self.text(branch)})")
        self.generic_visit(node)


def _is_type(node: ast.expr) -> bool:
    """Whether an expression looks like a type: ``int``, ``Tensor | None``, ``dict[str, int]``."""
    if isinstance(node, ast.BinOp):
        return _is_type(node.left) and _is_type(node.right)
    if isinstance(node, ast.Subscript):
        return _is_type(node.value)
    if isinstance(node, ast.Name | ast.Attribute):
        name = node.id if isinstance(node, ast.Name) else node.attr
        is_constant = name.isupper() and len(name) > 1
        return name in _TYPES or (name[0].isupper() and not is_constant)
    return isinstance(node, ast.Constant) and node.value is None


def _swap_compare(text: str) -> str:
    return re.sub(r"[<>]=?|[!=]=", lambda found: _COMPARE[found[0]], text)
