"""Work that may take long, beside everything else."""

from __future__ import annotations

import asyncio
from functools import wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def in_thread(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, Awaitable[_Result]]:
    """Run a function that reads many files in a thread, so that other requests are not kept waiting."""

    @wraps(function)
    async def run(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        return await asyncio.to_thread(function, *arguments, **options)

    return run
