"""Cores that work on one call of a kernel together, without Python.

To wake a thread through Python takes 40 microseconds: the system has to, and then it waits for Python's lock. Much of what a
batch of one asks for is over sooner. So helpers stay in machine code for a while after each job, and look for the next one on a
board, a few numbers that all share. A job lies there as two addresses, of a function and of its arguments. Where none has come
for a while a helper goes to sleep; the next job wakes it, and does not wait for it.

    NEXT         2³² · number of the job + how many of its parts nobody has taken yet
    JOB          address of the function, and of its ARGUMENTS
    DONE         how many parts are done
    FAILED       how many ended with an error

Who looks for work reads NEXT, JOB and ARGUMENTS, and then takes a part: it puts NEXT − 1 in the place of NEXT, if that still is
what it has read. The processor does this in one step (compare and swap), so no part is taken twice. And a job of which a part
is left is not over: what has been read belongs to it. The caller takes parts like the others, and returns when all are done.
"""

from __future__ import annotations

import atexit
import os
import threading
import time
from functools import cache
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.compiler import compile_internal
from numba.core.targetconfig import ConfigStack
from numba.extending import intrinsic

from ...execution.parallel import cores_taken, threads
from . import KernelError
from .jit import OPTIONS, inline, kernel, on_disk

NEXT, JOB, ARGUMENTS, DONE, FAILED = range(0, 40, 8)  # each on a line of the cache for itself
LEAST = 1e4  # nanoseconds: what is over sooner gains nothing
PARTS = 2  # for each core: a helper that comes late finds some left
LOOKS = 200  # at the board, before whoever else wants the core gets it
PATIENCE = 250  # so many times, before a helper goes to sleep: about half a millisecond

WORD, BYTES = ir.IntType(64), ir.IntType(8).as_pointer()
PART = ir.FunctionType(ir.IntType(1), [BYTES, WORD])  # of the arguments and the number of a part; whether it failed


def in_parts(body: Any, cuts: tuple[int, ...], units: int, cost: float, *arguments: Any) -> None:
    """body(*arguments), its first arrays cut along their leading axis, by all cores that are free where that is worth it.

    body     a kernel that gives no result
    cuts     for each array that is cut, how many of its rows make a unit, which stays whole
    units    how many there are of them
    cost     nanoseconds that all of it takes on one core, roughly
    """
    together = _together(body, cuts)
    cores = 1 if cost < LEAST or units < 2 else threads()
    if cores < 2:
        failed = together(_board(), 1, units, *arguments)
    else:
        with cores_taken() as ours:
            if ours:
                _wake(cores - 1)
            failed = together(_shared if ours else _board(), min(units, PARTS * cores) if ours else 1, units, *arguments)
    if failed:
        raise KernelError(f"the CPU kernel {body.__name__} failed, perhaps for want of memory")


def _board() -> np.ndarray:
    return np.zeros(40, np.int64)


_shared = _board()
_helpers: list[_Helper] = []


class _Helper:
    """A thread that takes parts of jobs."""

    def __init__(self) -> None:
        self.asleep, self._bell = True, threading.Lock()
        self._bell.acquire()
        threading.Thread(target=self._work, name="mvnp kernels", daemon=True).start()

    def _work(self) -> None:
        while True:
            self._bell.acquire()
            _serve(_shared)
            self.asleep = True

    def wake(self) -> None:
        if self.asleep:
            self.asleep = False
            self._bell.release()


def _wake(number: int) -> None:
    """Have so many helpers look at the board, if they do not yet."""
    while len(_helpers) < number:
        _helpers.append(_Helper())
    for helper in _helpers[:number]:
        helper.wake()


@atexit.register
def _until_asleep() -> None:
    """At the end of a process nobody may be in machine code, which goes with it."""
    while not all(helper.asleep for helper in _helpers):
        time.sleep(1e-4)


def _after_fork() -> None:
    """A forked child has none of its parent's threads, and may have come in the midst of a job."""
    _helpers.clear()
    _shared[:] = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


# ----------------------------------------------------------------------------------------------------- in machine code


@kernel
def _serve(board):  # type: ignore[no-untyped-def]
    """Take parts of jobs, until none has come for a while."""
    idle = 0
    while idle < PATIENCE:
        for _ in range(LOOKS):
            if _took_part(board):
                idle = 0
        idle += 1
        _let_others()


@inline
def _took_part(board):  # type: ignore[no-untyped-def]
    """Do a part of the job, if there is one that nobody has taken."""
    before = _read(board, NEXT)
    left = before & 0xFFFFFFFF
    if left == 0:
        return False
    job, arguments = _read(board, JOB), _read(board, ARGUMENTS)
    if _swap(board, NEXT, before, before - 1):
        if _do(job, arguments, left - 1):
            _add_one(board, FAILED)
        _add_one(board, DONE)
    return True


@kernel
def _failed(board, parts):  # type: ignore[no-untyped-def]
    """Offer the job that is put up, take part in it, and wait for its end; whether it failed."""
    _write(board, DONE, 0)
    _write(board, FAILED, 0)
    _write(board, NEXT, (((_read(board, NEXT) >> 32) + 1) << 32) + parts)
    while _took_part(board):
        pass
    looks = 0
    while _read(board, DONE) < parts:
        looks += 1
        if looks % LOOKS == 0:
            _let_others()
    return _read(board, FAILED) > 0


@cache
def _together(body: Any, cuts: tuple[int, ...]) -> Any:
    """A kernel of board, parts, units and the arguments of `body`, which gives whether it failed. It is kept on disk beside the
    others of the body's module."""
    put_up = _put_up(body, cuts)

    def together(board, parts, units, *arguments):  # type: ignore[no-untyped-def]
        put_up(board, parts, units, arguments)
        return _failed(board, parts)

    # Of two functions with one name what is read from the disk finds the first.
    together.__module__, together.__name__ = body.__module__, body.__name__
    together.__qualname__ = "_".join([body.__qualname__, "together", *map(str, cuts)])
    return on_disk(numba.njit(**OPTIONS)(together), body.py_func, cuts)


def _put_up(body: Any, cuts: tuple[int, ...]) -> Any:
    """An intrinsic that writes JOB and ARGUMENTS on a board."""

    @intrinsic
    def put_up(typing: Any, board: Any, parts: Any, units: Any, arguments: Any) -> Any:
        # Some rows of an array that lies by columns do not lie so.
        body_signature = types.void(
            *(
                type_.copy(layout="A") if index < len(cuts) and type_.layout == "F" else type_
                for index, type_ in enumerate(arguments.types)
            )
        )

        def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            board, parts, units, given = values
            given = cgutils.pack_struct(builder, [parts, units, *cgutils.unpack_tuple(builder, given)])
            compiled = _compile_along(context, body.py_func, body_signature)
            part = ir.Function(builder.module, PART, builder.module.get_unique_name("part"))
            part.linkage = "internal"
            _define(context, part, given.type, compiled.fndesc, body_signature)
            for number, pointer in ((JOB, part), (ARGUMENTS, cgutils.alloca_once_value(builder, given))):
                place = _place(context, builder, signature.args[0], board, ir.Constant(WORD, number))
                builder.store_atomic(builder.ptrtoint(pointer, WORD), place, "release", 8)
            return context.get_dummy_value()

        return types.void(board, types.int64, types.int64, arguments), code

    def _define(context: Any, part: Any, given: Any, body: Any, signature: Any) -> None:
        """The function that JOB is the address of: unpack the arguments, cut the arrays, and call the body."""
        builder = ir.IRBuilder(part.append_basic_block())
        place, number = part.args
        parts, units, *arguments = cgutils.unpack_tuple(builder, builder.load(builder.bitcast(place, given.as_pointer())))
        after = builder.add(number, ir.Constant(WORD, 1))
        first, last = (builder.udiv(builder.mul(units, n), parts) for n in (number, after))
        for index, unit in enumerate(cuts):
            array = context.make_array(signature.args[index])(context, builder, arguments[index])
            rows = builder.extract_value(array.shape, 0)
            begin, end = (builder.mul(edge, ir.Constant(WORD, unit)) for edge in (first, last))
            end = builder.select(builder.icmp_unsigned("<", end, rows), end, rows)
            offset = builder.mul(begin, builder.extract_value(array.strides, 0))
            array.data = cgutils.pointer_add(builder, array.data, offset, array.data.type)
            array.nitems = builder.mul(builder.udiv(array.nitems, rows), builder.sub(end, begin))
            array.shape = builder.insert_value(array.shape, builder.sub(end, begin), 0)
            arguments[index] = array._getvalue()
        status, _ = context.call_internal_no_propagate(builder, body, signature, arguments)
        builder.ret(status.is_error)

    return put_up


def _compile_along(context: Any, function: Any, signature: Any) -> Any:
    """Code for a function in the library that is being made, with its options: LLVM goes over both once, at the end."""
    flags = ConfigStack().top().copy()
    flags.no_compile = flags.no_cpython_wrapper = flags.no_cfunc_wrapper = True
    library = context.active_code_library
    return compile_internal(
        context.typing_context, context, library, function, signature.args, signature.return_type, flags, {}
    )


def _place(context: Any, builder: Any, type_: Any, board: Any, number: Any) -> Any:
    return builder.gep(context.make_array(type_)(context, builder, board).data, [number])


@intrinsic
def _read(typing: Any, board: Any, number: Any) -> Any:
    """board[number]: what was written before it is seen too."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.load_atomic(_place(context, builder, signature.args[0], *values), "acquire", 8)

    return types.int64(board, types.int64), code


@intrinsic
def _write(typing: Any, board: Any, number: Any, value: Any) -> Any:
    """board[number] = value, to be seen after all that was written before."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.store_atomic(values[2], _place(context, builder, signature.args[0], *values[:2]), "release", 8)
        return context.get_dummy_value()

    return types.void(board, types.int64, types.int64), code


@intrinsic
def _add_one(typing: Any, board: Any, number: Any) -> Any:
    """board[number] += 1 in one step."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, signature.args[0], *values)
        builder.atomic_rmw("add", place, ir.Constant(WORD, 1), "acq_rel")
        return context.get_dummy_value()

    return types.void(board, types.int64), code


@intrinsic
def _swap(typing: Any, board: Any, number: Any, before: Any, after: Any) -> Any:
    """board[number] = after, if it is `before`, in one step; whether it was."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, signature.args[0], *values[:2])
        return builder.extract_value(builder.cmpxchg(place, *values[2:], "acq_rel", "acquire"), 1)

    return types.boolean(board, types.int64, types.int64, types.int64), code


@intrinsic
def _do(typing: Any, job: Any, arguments: Any, part: Any) -> Any:
    """Call what is at these addresses; whether it failed."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        job, arguments, part = values
        return builder.call(builder.inttoptr(job, PART.as_pointer()), [builder.inttoptr(arguments, BYTES), part])

    return types.boolean(types.int64, types.int64, types.int64), code


@intrinsic
def _let_others(typing: Any) -> Any:
    """Whoever waits for this core gets it, if anyone does."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if os.name == "posix":
            function = ir.FunctionType(ir.IntType(32), [])
            builder.call(cgutils.get_or_insert_function(builder.module, function, "sched_yield"), [])
        return context.get_dummy_value()

    return types.void(), code
