"""What is done around a block of code or the calls of a function."""

from __future__ import annotations

import functools
import inspect
from types import TracebackType
from typing import Any, Callable, Generic, Optional, TypeVar, cast

Began = TypeVar("Began")
Function = TypeVar("Function", bound=Callable[..., Any])


class Around(Generic[Began]):
    """A context manager, and a decorator of functions, `async` ones included. What it does must not raise."""

    def __init__(
        self, before: Callable[[], Began], after: Callable[[Began, Optional[type[BaseException]]], object]
    ) -> None:
        """`after` is given what `before` returned, and the kind of exception that ended the block, if one did."""
        self._before = before
        self._after = after
        self._began: list[Began] = []

    def __enter__(self) -> None:
        """Begins."""
        self._began.append(self._before())

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        """Ends; an exception goes on its way."""
        self._after(self._began.pop(), kind)

    def __call__(self, function: Function) -> Function:
        """The function with this around each of its calls, also of those that overlap."""
        before, after = self._before, self._after

        async def run_async(*args: Any, **kwargs: Any) -> Any:
            with Around(before, after):
                return await function(*args, **kwargs)

        def run(*args: Any, **kwargs: Any) -> Any:
            with Around(before, after):
                return function(*args, **kwargs)

        wrapper = run_async if inspect.iscoroutinefunction(function) else run
        return cast(Function, functools.wraps(function)(wrapper))
