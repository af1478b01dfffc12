"""A registry that answers in rounds: requests that are under way at the same time cost one round trip together."""

import threading
from collections.abc import Mapping
from typing import Any

import requests
from unit.http import FakeRegistryServer

QUIET = 0.15
"""Seconds without a further request after which those under way are answered, if nothing else is given."""


class Rounds(FakeRegistryServer):
    """Answers no request before all that do not depend on its answer were sent.

    Attributes:
        rounds: The requests of each round trip, as method and last part of the path.
    """

    def __init__(self, quiet: float = QUIET) -> None:
        super().__init__()
        self._quiet = quiet
        self.rounds: list[list[str]] = []
        self._waiting: list[str] = []
        self._answered = threading.Condition()

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:  # noqa: ANN401
        """Wait for the end of the round, then answer."""
        response = super().send(request, *args, **options)
        with self._answered:
            number = len(self.rounds)
            self._waiting.append(f"{request.method} {request.path_url.partition('?')[0].removeprefix('/v2/acme/app/')}")
            self._answered.notify_all()
            while len(self.rounds) == number:
                before = len(self._waiting)
                self._answered.wait(self._quiet)
                if len(self.rounds) == number and len(self._waiting) == before:
                    self.rounds.append(self._waiting)
                    self._waiting = []
                    self._answered.notify_all()
        return response


def shown(rounds: list[list[str]], names: Mapping[str, str]) -> str:
    """Return the rounds for a message of a test, with names in place of digests."""
    lines = []
    for number, each in enumerate(rounds, 1):
        text = ", ".join(sorted(each))
        for digest, name in names.items():
            text = text.replace(digest, name)
        lines.append(f"{number}: {text}")
    return "\n".join(lines)
