"""What every part of the gateway is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from pathlib import Path

    from registry.gateway.options import Options
    from registry.gateway.packages import Packages
    from registry.gateway.pushes import Pushes
    from registry.gateway.settings import Settings
    from registry.gateway.world import World


@dataclass(frozen=True, slots=True)
class Context:
    """The world, what changes in it, and where it is stored."""

    world: World
    packages: Packages
    settings: Settings
    pushes: Pushes
    options: Options

    @property
    def storage(self) -> Path:
        """The root of Distribution's storage."""
        return self.options.storage


CONTEXT: web.AppKey[Context] = web.AppKey("context", Context)
