"""Pages work in threads of their own."""

from __future__ import annotations

import asyncio
from threading import Event

from registry.gateway.threads import in_thread


def test_a_queue_of_pages_keeps_no_push_waiting() -> None:
    done = Event()

    @in_thread
    def page() -> bool:
        return done.wait(30)

    async def ask() -> None:
        pages = [asyncio.ensure_future(page()) for _ in range(100)]
        await asyncio.sleep(0)
        try:
            # As pushes and pulls do.
            assert await asyncio.wait_for(asyncio.to_thread(lambda: "pushed"), 10) == "pushed"
        finally:
            done.set()
        assert all(await asyncio.gather(*pages))

    asyncio.run(ask())
