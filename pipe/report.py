"""What code that only reports needs of the log."""

from typing import Protocol


class Report(Protocol):
    """Receives lines for the log."""

    def info(self, text: str, /) -> None:
        """Log what happens."""

    def warning(self, text: str, /) -> None:
        """Log what people should know."""

    def debug(self, text: str, /) -> None:
        """Log what matters only if something is wrong."""
