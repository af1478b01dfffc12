"""An answer of a registry, and what it says about itself."""

import contextlib
import json
import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import NamedTuple

from pipe.retry import retry_after
from pipe.text import clean

_TITLE = r"(?i)<title[^>]{0,100}>([^<]{1,300})</title"


class Answer(NamedTuple):
    """What came back for a request.

    Attributes:
        status: The HTTP status.
        headers: Case-insensitive.
        body: At most as many bytes as the request asked for.
        url: Address of the request.
        method: Method of the request.
        complete: Whether `body` is the whole body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str
    method: str = "GET"
    complete: bool = True

    @property
    def ok(self) -> bool:
        """Whether the status is 2xx."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def redirects(self) -> bool:
        """Whether the answer names another address for the same request."""
        return HTTPStatus.MULTIPLE_CHOICES <= self.status < HTTPStatus.BAD_REQUEST and "Location" in self.headers

    @property
    def is_html(self) -> bool:
        """Whether this is a web page, which no registry returns."""
        kind = self.headers.get("Content-Type", "").strip().lower()
        return kind.startswith("text/html") and "Docker-Distribution-Api-Version" not in self.headers

    @property
    def message(self) -> str:
        """The registry's own words about an error, else the page's title or the status."""
        with contextlib.suppress(ValueError, RecursionError, LookupError, TypeError, AttributeError):
            errors = json.loads(self.body)["errors"]
            message = "; ".join(str(error.get("message") or error["code"]) for error in errors)
            return clean(message) or f"HTTP {self.status}"
        text = self.body.decode("utf-8", "replace")
        if self.is_html:
            title = re.search(_TITLE, text)
            text = title[1] if title else ""
        return clean(text) or f"HTTP {self.status}"

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the registry's errors, such as `BLOB_UPLOAD_UNKNOWN`."""
        with contextlib.suppress(ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return tuple(str(error["code"]) for error in json.loads(self.body)["errors"])
        return ()

    @property
    def retry_after(self) -> float | None:
        """The seconds of `Retry-After`, None if the answer has none."""
        return retry_after(self.headers.get("Retry-After", ""), time.time())
