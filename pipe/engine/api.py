"""The Docker SDK's client, for servers whose errors do not have Docker's form."""

import requests
from docker import APIClient
from docker.errors import APIError


class NoMessageError(APIError):
    """An error answer that does not say what failed."""


class Api(APIClient):
    """The SDK's client."""

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare a request; without parameters, it gets an empty text as such.

        To find out whether an empty mapping can be read, requests loads Python's parser and disassembler.
        """
        request.params = request.params or ""
        return super().prepare_request(request)

    def _raise_for_status(self, response: requests.Response) -> None:
        """Raise the Engine's error; the SDK fails if it is JSON without `message`, as podman's answer to a push is."""
        try:
            super()._raise_for_status(response)  # type: ignore[misc]
        except (LookupError, TypeError, AttributeError) as error:
            from pipe.engine import events  # noqa: PLC0415

            event = events.parse(response.content)
            if isinstance(event, events.Failed):
                raise APIError(str(error), response, event.message) from error
            raise NoMessageError(str(error), response, f"HTTP {response.status_code}: {response.text}") from error
