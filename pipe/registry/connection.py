"""Requests to one repository: over TLS or, on a loopback host without it, over HTTP; authenticated as it asks."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

from pipe.errors import ImageRefusedError, PipeError
from pipe.oci.manifest import MEDIA_TYPES
from pipe.oci.reference import Reference
from pipe.registry import errors
from pipe.registry.authentication import Authentication, asked_to_wait, origin, place
from pipe.registry.transport import ERROR_BODY, Answer, Bearer, NoTLSError, Request, Transport

Body = bytes | Iterable[memoryview]


class Connection:
    """Sends requests to one repository of a registry; may be used by several threads once it was `opened`."""

    def __init__(self, target: Reference, token: str, transport: Transport, authentication: Authentication) -> None:
        """Prepare; the first request opens the connection.

        Args:
            target: The repository.
            token: The secret part of the credentials, of which only the kind is looked at for messages.
            transport: Sends the requests.
            authentication: What to show.
        """
        self.target = target
        self._token = token
        self._transport = transport
        self._authentication = authentication
        self.base = ""

    def call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: Body = b"",
        maximum: int = ERROR_BODY,
    ) -> Answer:
        """Send a request to the repository.

        Args:
            method: The HTTP method.
            path: Below the repository, such as `manifests/latest`.
            headers: Instead of an `Accept` for every kind of manifest.
            body: Sent once more where a token had run out, so it has to be repeatable.
            maximum: Bytes of the answer's body to read.

        Returns:
            The answer, whatever its status; for a 401, that of the second try with a new token.

        Raises:
            PipeError: There is no answer.
        """
        self.open()
        headers = headers or {"Accept": ", ".join(MEDIA_TYPES)}
        url = f"{self.base}/v2/{self.target.path}/{path}"
        return self._authenticated(Request(method, url, headers, {}, body, maximum))

    def follow(self, request: Request) -> Answer:
        """Send a request to an address that the registry named; one on another host sees no credentials.

        Args:
            request: Sent once more where a token had run out.

        Returns:
            The answer, whatever its status.

        Raises:
            PipeError: There is no answer.
        """
        if origin(urlsplit(request.url)) != origin(urlsplit(self.base)):
            return self._transport.send(request, Bearer())
        return self._authenticated(request)

    def location(self, answer: Answer) -> SplitResult:
        """Read where an upload goes on.

        Args:
            answer: One with the header `Location`.

        Returns:
            The address, absolute.

        Raises:
            RegistryFailedError: It is none.
        """
        return place(self.target, answer.url, answer.headers.get("Location", ""))

    def error(self, answer: Answer) -> PipeError:
        """Tell what an answer that is not a success means."""
        if "insufficient_scope" in answer.headers.get("WWW-Authenticate", ""):
            return errors.push_denied(self.target, answer.message)
        refusal = errors.Refusal(answer.status, answer.message, answer.codes, asked_to_wait(answer))
        return errors.from_status(self.target, refusal, self._token)

    def open(self) -> None:
        """Find out, once, how the registry speaks.

        Raises:
            PipeError: No registry answers there.
        """
        if self.base:
            return
        try:
            answer = self._ping("https")
        except NoTLSError:
            answer = self._ping("http")
        if answer.status == HTTPStatus.UNAUTHORIZED:
            self._authentication.answer(answer, self.base, self._authentication.shown)
        elif answer.status == HTTPStatus.NOT_FOUND:
            raise ImageRefusedError(
                f"{self.target.domain} answered 404 for /v2/: it is not a container registry.", fix="Check REGISTRY."
            )
        elif answer.status != HTTPStatus.OK:
            raise self.error(answer)

    def _ping(self, scheme: str) -> Answer:
        base = f"{scheme}://{self.target.domain}"
        answer = self._transport.send(Request("GET", f"{base}/v2/", {}, {}), self._authentication.shown)
        self.base = base
        return answer

    def _authenticated(self, request: Request) -> Answer:
        """Send a request, once more with a new token where the old one has run out."""
        before = self._authentication.shown
        shown = self._authentication.current()
        answer = self._transport.send(request, shown)
        renewed = shown is not before
        if answer.status != HTTPStatus.UNAUTHORIZED or renewed:
            return answer
        if self._authentication.answer(answer, self.base, shown):
            answer = self._transport.send(request, self._authentication.shown)
        return answer
