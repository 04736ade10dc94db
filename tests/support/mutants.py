"""Faults made from the source: what a tired person might write in place of a line, one change at a time.

    for mutant in mutants("layers/softmax"):
        mutant.line, mutant.operator, mutant.before, mutant.after
        mutant.code()                                # the module with this fault, compiled

A mutant changes one place of the module's syntax tree: a term or a factor goes, a sign flips, operands of a difference change
places, an axis is another, a bound is off by one, a comparison takes in its edge, a statement is forgotten. Only what computes
is changed: no docstring, annotation, decorator, assertion or import, nothing of an error's message, and no `__repr__`.
"""

from __future__ import annotations

import ast
import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType
from typing import Any

PACKAGE = Path(__file__).parents[2] / "mvnp"

# Not part of what a model computes.
UNTOUCHED_FUNCTIONS = {"__repr__", "__str__", "__dir__", "__getattr__"}
UNTOUCHED_NAMES = {"__all__", "__version__"}
# Options that decide about time, memory or the checking of lengths, and no number.
UNTOUCHED_OPTIONS = {"strict", "copy", "cost", "dtype", "maxsize", "stacklevel"}

COMPARISONS: dict[type, type] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
# These have their opposite among the comparisons, so that "negate condition" would say the same again.
OWN_OPPOSITE = (ast.Eq, ast.NotEq, ast.Is, ast.IsNot, ast.In, ast.NotIn)
OTHER_FUNCTION = {
    "min": ("swap min and max", "max"),
    "max": ("swap min and max", "min"),
    "minimum": ("swap min and max", "maximum"),
    "maximum": ("swap min and max", "minimum"),
    "any": ("and for or", "all"),
    "all": ("and for or", "any"),
}
TRANSPOSES = {"transpose", "swapaxes", "moveaxis"}
ROLE_OF_ARGUMENTS = {
    "range": "range",
    "reshape": "sizes",
    "expand_dims": "axis",
    "squeeze": "axis",
    **dict.fromkeys(TRANSPOSES, "axes"),  # another axis would be another transpose, or none at all
}
ARRAY_MODULES = {"np", "xp"}


@dataclass(frozen=True)
class Mutant:
    """One fault. `module` is its path in the package without `.py`, `before` and `after` the statement that it changes, as
    `ast.unparse` writes it; a compound one by its head. `number` counts the changes of the module."""

    module: str
    line: int
    function: str
    operator: str
    before: str
    after: str
    number: int = field(compare=False)
    package: Path = field(default=PACKAGE, compare=False)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What stays the same when lines move: function, operator, before, after."""
        return self.function, self.operator, self.before, self.after

    @property
    def path(self) -> Path:
        return self.package / f"{self.module}.py"

    @property
    def name(self) -> str:
        """The dotted name of the module."""
        return ".".join([self.package.name, *self.module.split("/")])

    def code(self) -> CodeType:
        """The module with the fault, compiled as if it were the file."""
        return compile(self.tree(), str(self.path), "exec", dont_inherit=True)

    def tree(self) -> ast.Module:
        tree = ast.parse(self.path.read_text(encoding="utf-8"))
        change = next(itertools.islice(_changes(tree), self.number, None))
        change.apply()
        return ast.fix_missing_locations(tree)

    def __str__(self) -> str:
        place = f"{self.package.name}/{self.module}.py:{self.line}"
        return f"{place}: {self.operator}, in {self.function}: {self.before}  →  {self.after}"


def mutants(module: str, package: Path = PACKAGE) -> list[Mutant]:
    """Every mutant of a module of the package ("layers/softmax"), in the order of the source; of those that read the same, the
    first."""
    tree = ast.parse((package / f"{module}.py").read_text(encoding="utf-8"))
    found = {}
    for number, change in enumerate(_changes(tree)):
        before = change.shown()
        undo = change.apply()
        after = change.shown()
        undo()
        if after != before:
            mutant = Mutant(module, change.line, change.function, change.operator, before, after, number, package)
            found.setdefault((id(change.statement), mutant.after), mutant)
    return list(found.values())


@dataclass
class _Change:
    """`owner.field`, or its entry `index`, becomes `new`."""

    statement: ast.stmt | _Default
    function: str
    operator: str
    line: int
    owner: ast.AST
    field: str
    index: int | None
    new: Any

    def current(self) -> Any:
        value = getattr(self.owner, self.field)
        return value if self.index is None else value[self.index]

    def put(self, node: Any) -> None:
        if self.index is None:
            setattr(self.owner, self.field, node)
        else:
            getattr(self.owner, self.field)[self.index] = node

    def apply(self) -> Callable[[], None]:
        """Make the change; the result takes it back."""
        old = self.current()
        self.put(self.new)
        return lambda: self.put(old)

    def shown(self) -> str:
        """The statement as it is now, in one line; of a compound one the head, of a default value the argument."""
        statement = self.current() if isinstance(self.new, ast.stmt) else self.statement
        if isinstance(statement, _Default):
            return f"{statement.argument}={ast.unparse(getattr(statement.owner, statement.field)[statement.index])}"
        if not hasattr(statement, "body"):
            return " ".join(ast.unparse(statement).split("\n"))
        head = copy.copy(statement)
        head.body, head.orelse = [ast.Pass()], []
        return ast.unparse(head).split("\n")[0]


def _changes(tree: ast.Module) -> Iterator[_Change]:
    """All changes, in an order that depends on the tree alone. The tree must be as it was when the next one is asked for."""
    idle = UNTOUCHED_NAMES | _names_in_options(tree)
    for index, statement in enumerate(tree.body):
        of_time = isinstance(statement, ast.Assign) and _names(statement.targets) <= idle
        if not (of_time or _untouched(statement)):
            yield from _Statements("").changes(statement, tree, "body", index)


def _names(nodes: list[ast.expr]) -> set[str]:
    return {node.id for tree in nodes for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _names_in_options(tree: ast.Module) -> set[str]:
    """Constants that decide about time alone: those of which a cost is made."""
    return {
        name for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "cost" for name in _names([node.value])
    }


@dataclass(frozen=True)
class _Default:
    """In place of the statement: the default value of an argument."""

    argument: str
    owner: ast.arguments
    field: str
    index: int


class _Statements:
    """The changes of the statements of a function or a class, or of a module, whose name is empty."""

    def __init__(self, function: str) -> None:
        self.function = function

    def of(self, owner: ast.AST, field: str) -> Iterator[_Change]:
        for index, statement in enumerate(getattr(owner, field)):
            if not _untouched(statement):
                yield from self.changes(statement, owner, field, index)

    def changes(self, statement: ast.stmt, owner: ast.AST, field: str, index: int) -> Iterator[_Change]:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = _Statements(f"{self.function}.{statement.name}".lstrip("."))
            if not isinstance(statement, ast.ClassDef):
                yield from inner.defaults(statement.args)
            yield from inner.of(statement, "body")
            return
        for operator, new in _instead_of_statement(statement):
            yield _Change(statement, self.function, operator, statement.lineno, owner, field, index, new)
        for name, value in ast.iter_fields(statement):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                yield from self.of(statement, name)
            elif isinstance(value, list):
                for number, entry in enumerate(value):
                    if isinstance(entry, ast.withitem):
                        yield from self.expression(statement, entry, "context_expr", None)
                    elif isinstance(entry, ast.ExceptHandler):
                        yield from self.of(entry, "body")
                    elif isinstance(entry, ast.expr):
                        yield from self.expression(statement, statement, name, number)
            elif isinstance(value, ast.expr) and name != "annotation":
                role = "condition" if name == "test" else ""
                yield from self.expression(statement, statement, name, None, role)

    def defaults(self, arguments: ast.arguments) -> Iterator[_Change]:
        """The changes of default values; each is shown as an assignment to its argument."""
        named = [*arguments.posonlyargs, *arguments.args][-len(arguments.defaults) or None :]
        for names, kind in ((named, "defaults"), (arguments.kwonlyargs, "kw_defaults")):
            for index, (argument, default) in enumerate(zip(names, getattr(arguments, kind), strict=False)):
                if default is not None:
                    yield from self.expression(_Default(argument.arg, arguments, kind, index), arguments, kind, index)

    def expression(
        self, statement: ast.stmt | _Default, owner: ast.AST, field: str, index: int | None, role: str = ""
    ) -> Iterator[_Change]:
        """The changes of an expression and of those within it. `role`: what it is for, where that matters."""
        node = getattr(owner, field) if index is None else getattr(owner, field)[index]
        if node is None or _untouched_expression(node):
            return
        for operator, new in _instead_of(node, role):
            yield _Change(statement, self.function, operator, node.lineno, owner, field, index, new)
        for child, name, number, child_role in _within(node, role):
            yield from self.expression(statement, child, name, number, child_role)


def _untouched(statement: ast.stmt) -> bool:
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.Raise() | ast.Assert() | ast.Global() | ast.Nonlocal() | ast.Pass():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.FunctionDef(name=name):
            return name in UNTOUCHED_FUNCTIONS
        case ast.AnnAssign(value=None) | ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
    return False


def _untouched_expression(node: ast.AST) -> bool:
    """Text, and unions of types."""
    match node:
        case ast.JoinedStr():
            return True
        case ast.Call(func=ast.Name(id="cast" | "TypeVar")):
            return True
        case ast.BinOp(op=ast.Add() | ast.Mod() | ast.Mult(), left=left, right=right):
            return _is_text(left) or _is_text(right)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _is_type(left) or _is_type(right)
    return False


def _is_text(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.JoinedStr)
        or (isinstance(node, ast.Constant) and isinstance(node.value, str))
        or (isinstance(node, ast.BinOp) and (_is_text(node.left) or _is_text(node.right)))
    )


def _is_type(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return (isinstance(node, ast.Constant) and node.value is None) or name[:1].isupper() or name == "ndarray"


def _is_sequence(node: ast.AST) -> bool:
    """A tuple or a list, as far as one can see."""
    return isinstance(node, ast.Tuple | ast.List) or (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "tuple")


def _number(node: ast.AST | None) -> float | None:
    """The value of a number written out, its sign included."""
    match node:
        case ast.Constant(value=bool()):
            return None
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=operand) if _number(operand) is not None:
            return -_number(operand)  # type: ignore[operator]
    return None


def _constant(value: float) -> ast.expr:
    return ast.UnaryOp(ast.USub(), ast.Constant(-value)) if value < 0 else ast.Constant(value)


def _plus(node: ast.expr, by: int) -> ast.expr:
    return ast.BinOp(node, ast.Add() if by > 0 else ast.Sub(), ast.Constant(abs(by)))


def _instead_of_statement(statement: ast.stmt) -> Iterator[tuple[str, ast.stmt]]:
    """(operator, new statement)"""
    match statement:
        case ast.Expr(value=ast.Call()):
            yield "drop statement", ast.Pass()
        case ast.Continue():
            yield "drop statement", ast.Pass()
        case ast.AugAssign(target=target, op=op, value=value):
            yield "drop statement", ast.Pass()
            if isinstance(op, ast.Add | ast.Sub):
                yield "flip sign", ast.AugAssign(target, ast.Sub() if isinstance(op, ast.Add) else ast.Add(), value)
            written = copy.deepcopy(target)
            if isinstance(op, ast.Add | ast.Mult):
                yield (
                    "drop term" if isinstance(op, ast.Add) else "lose factor",
                    ast.Assign([written], value, lineno=statement.lineno),
                )
        case ast.Assign(targets=[target], value=value):
            if _is_update(target, value):
                yield "drop statement", ast.Pass()
        case ast.Return(value=ast.Tuple(elts=elts)):
            for i in range(len(elts) - 1):
                swapped = [*elts[:i], elts[i + 1], elts[i], *elts[i + 2 :]]
                yield "swap results", ast.Return(ast.Tuple(swapped, ast.Load()))


def _is_update(target: ast.expr, value: ast.expr) -> bool:
    """Whether an assignment changes what was there before: without a first one, nothing could run."""
    if isinstance(target, ast.Name):
        return any(isinstance(node, ast.Name) and node.id == target.id for node in ast.walk(value))
    of_self = isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self"
    return isinstance(target, ast.Subscript | ast.Attribute) and not of_self


def _instead_of(node: ast.expr, role: str) -> Iterator[tuple[str, ast.expr | None]]:
    """(operator, new expression)"""
    yield from _in_its_role(node, role)
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            for operator, new in _instead_of_operation(left, op, right):
                if not (role == "squared" and operator == "swap operands"):
                    yield operator, new
        case ast.UnaryOp(op=ast.USub(), operand=operand) if role not in ("axis", "axes", "step"):
            yield "flip sign", operand
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            yield "negate condition", operand
        case ast.Constant(value=bool() as value):
            yield "change constant", ast.Constant(not value)
        case ast.Constant(value=int() as value) if role not in ("axis", "step", "axes"):
            yield "off by one", ast.Constant(value + 1)
            if role in ("bound", "range") and value > 0:
                yield "off by one", ast.Constant(value - 1)
        case ast.Constant(value=float() as value):
            yield "change constant", ast.Constant(2 * value if value else 1.0)
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            for i, op in enumerate(ops):
                if type(op) in COMPARISONS:
                    changed = [*ops[:i], COMPARISONS[type(op)](), *ops[i + 1 :]]
                    yield "comparison", ast.Compare(left, changed, comparators)
        case ast.BoolOp(op=op, values=values):
            yield "and for or", ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
            for i in range(len(values)):
                rest = [*values[:i], *values[i + 1 :]]
                yield "drop operand", rest[0] if len(rest) == 1 else ast.BoolOp(op, rest)
        case ast.Call():
            yield from _instead_of_call(node)
        case ast.Attribute(value=value, attr="T" | "mT"):
            yield "drop transpose", value


def _instead_of_operation(left: ast.expr, op: ast.operator, right: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    match op:
        case ast.Add():
            yield "drop term", left
            yield "drop term", right
            if not (_is_sequence(left) or _is_sequence(right)):
                yield "flip sign", ast.BinOp(left, ast.Sub(), right)
        case ast.Sub():
            yield "drop term", left
            yield "drop term", ast.UnaryOp(ast.USub(), right)
            yield "flip sign", ast.BinOp(left, ast.Add(), right)
            yield "swap operands", ast.BinOp(right, op, left)
        case ast.Mult():
            yield "lose factor", left
            yield "lose factor", right
        case ast.Div() | ast.FloorDiv() | ast.Mod() | ast.Pow():
            yield "lose factor", left
            yield "swap operands", ast.BinOp(right, op, left)
        case ast.MatMult():
            yield "swap operands", ast.BinOp(right, op, left)
        case ast.BitAnd() | ast.BitOr():
            yield "and for or", ast.BinOp(left, ast.BitOr() if isinstance(op, ast.BitAnd) else ast.BitAnd(), right)
            yield "drop operand", left
            yield "drop operand", right


def _instead_of_call(node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    func, args = node.func, node.args
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    if name in OTHER_FUNCTION:
        operator, other = OTHER_FUNCTION[name]
        renamed = ast.Attribute(func.value, other, func.ctx) if isinstance(func, ast.Attribute) else ast.Name(other, ast.Load())
        yield operator, ast.Call(renamed, args, node.keywords)
    if name == "reversed" and args:
        yield "drop reversal", args[0]
    if name == "flip" and args:
        yield "drop reversal", args[0]
    if name in TRANSPOSES and isinstance(func, ast.Attribute):
        of_module = isinstance(func.value, ast.Name) and func.value.id in ARRAY_MODULES
        yield "drop transpose", args[0] if of_module else func.value
        axes = args[1:] if of_module else args
        if len(axes) == 1 and isinstance(axes[0], ast.Tuple):
            order, before = axes[0].elts, args[: len(args) - 1]
            for swapped in _neighbours_swapped(order):
                yield "swap axes", ast.Call(func, [*before, ast.Tuple(swapped, ast.Load())], node.keywords)
        elif name == "transpose":
            for swapped in _neighbours_swapped(axes):
                yield "swap axes", ast.Call(func, [*args[: len(args) - len(axes)], *swapped], node.keywords)
    if name == "range" and isinstance(func, ast.Name):
        stop = 0 if len(args) == 1 else 1
        if args and _number(args[stop]) is None:
            yield "off by one", ast.Call(func, [*args[:stop], _plus(args[stop], -1), *args[stop + 1 :]], [])
        if len(args) > 1 and _number(args[0]) is None:
            yield "off by one", ast.Call(func, [_plus(args[0], 1), *args[1:]], [])
        elif len(args) == 1:
            yield "off by one", ast.Call(func, [ast.Constant(1), args[0]], [])


def _neighbours_swapped(entries: list[ast.expr]) -> Iterator[list[ast.expr]]:
    for i in range(len(entries) - 1):
        yield [*entries[:i], entries[i + 1], entries[i], *entries[i + 2 :]]


def _in_its_role(node: ast.expr, role: str) -> Iterator[tuple[str, ast.expr | None]]:
    """What depends on where the expression stands."""
    value = _number(node)
    if role == "axis":
        if isinstance(value, int):
            yield "change axis", _constant({-1: 0, 0: -1}.get(value, value + 1 if value < 0 else value - 1))
        elif isinstance(node, ast.Tuple):
            for i in range(len(node.elts) if len(node.elts) > 1 else 0):
                yield "change axis", ast.Tuple([*node.elts[:i], *node.elts[i + 1 :]], ast.Load())
    elif role == "bound" and value is not None:
        yield "off by one", None
    elif role in ("lower", "upper"):
        yield "off by one", _plus(node, 1 if role == "lower" else -1)
    elif role == "step":
        yield "drop reversal" if value == -1 else "lose factor", None
    elif role == "condition" and not _has_opposite(node):
        yield "negate condition", ast.UnaryOp(ast.Not(), node)


def _has_opposite(condition: ast.expr) -> bool:
    """Whether another operator makes the opposite of a condition, or nearly."""
    if isinstance(condition, ast.Compare):
        return len(condition.ops) == 1 and isinstance(condition.ops[0], OWN_OPPOSITE)
    return isinstance(condition, ast.UnaryOp | ast.BoolOp | ast.Constant)


def _within(node: ast.expr, role: str) -> Iterator[tuple[ast.AST, str, int | None, str]]:
    """(owner, field, index, role) of the expressions in an expression."""
    match node:
        case ast.Call(func=func, args=args, keywords=keywords):
            name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
            if isinstance(func, ast.Attribute):
                yield func, "value", None, ""
            elif not isinstance(func, ast.Name):
                yield node, "func", None, ""
            for i in range(1 if name == "isinstance" else len(args)):
                yield node, "args", i, ROLE_OF_ARGUMENTS.get(name, "")
            for keyword in keywords:
                if keyword.arg not in UNTOUCHED_OPTIONS:
                    yield keyword, "value", None, "axis" if keyword.arg in ("axis", "axes") else ""
        case ast.BinOp(op=ast.Pow(), right=ast.Constant(value=2)):
            yield node, "left", None, "squared"  # which does not know the sign
            yield node, "right", None, ""
        case ast.Slice(lower=lower, upper=upper, step=step):
            for name, bound in (("lower", lower), ("upper", upper)):
                if bound is not None:
                    yield node, name, None, name if _number(bound) is None else "bound"
            if step is not None:
                yield node, "step", None, "step"
        case ast.Lambda():
            yield node, "body", None, ""
        case ast.IfExp():
            yield node, "test", None, "condition"
            yield node, "body", None, ""
            yield node, "orelse", None, ""
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            for name in ("key", "value", "elt"):
                if hasattr(node, name):
                    yield node, name, None, ""
            for generator in node.generators:
                yield generator, "iter", None, ""
                for i in range(len(generator.ifs)):
                    yield generator, "ifs", i, "condition"
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            if _number(operand) is None or role not in ("axis", "axes", "step", "sizes"):
                yield node, "operand", None, "range" if role == "bound" else ""
        case _:
            for name, value in ast.iter_fields(node):
                if isinstance(value, ast.expr):
                    yield node, name, None, ""
                elif isinstance(value, list):
                    for i, entry in enumerate(value):
                        if isinstance(entry, ast.expr):
                            inherited = role in ("axis", "axes", "sizes") and isinstance(node, ast.Tuple)
                            yield node, name, i, ("axes" if role == "axis" else role) if inherited else ""
