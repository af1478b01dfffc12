"""Work that may take long, beside everything else."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial, wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")

# Not those threads that pushes and pulls need: these have no part in a queue of pages.
_PAGES = ThreadPoolExecutor(2, "pages")


def in_thread(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, Awaitable[_Result]]:
    """Run a function that reads many files in a thread for pages, so that no other request waits for it."""

    @wraps(function)
    async def run(*arguments: _Arguments.args, **options: _Arguments.kwargs) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(_PAGES, partial(function, *arguments, **options))

    return run
