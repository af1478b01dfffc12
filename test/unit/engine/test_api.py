"""Error answers that do not have Docker's form, as servers send that only speak its API."""

import io

import pytest
import requests
from requests.adapters import BaseAdapter
from unit.fakes import Clock, Unchecked

from pipe.config.settings import Credentials
from pipe.engine import events
from pipe.engine.api import Api
from pipe.engine.client import Engine
from pipe.engine.stream import PushStream
from pipe.errors import EngineError
from pipe.oci.reference import Reference

LOGIN = Credentials("user", "token")


class Answering(BaseAdapter):
    """A connection whose every answer is an error."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__()
        self._status, self._body = status, body

    def send(self, request: requests.PreparedRequest, **_: object) -> requests.Response:  # type: ignore[override]
        """Answer."""
        response = requests.Response()
        response.status_code, response.url, response.request = self._status, request.url or "", request
        response.raw = io.BytesIO(self._body.encode())
        return response

    def close(self) -> None:
        """Close nothing."""


def answering(status: int, body: str) -> Api:
    api = Api(version="1.41", base_url="tcp://h:2375")
    api.mount("http://", Answering(status, body))
    return api


def test_requests_need_not_find_out_what_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("requests.models._SupportsRead", Unchecked)
    assert answering(200, '{"ApiVersion": "1.41"}').version() == {"ApiVersion": "1.41"}


SHAPES = ("{}", "[]", "null", "1", '"no"', '{"message": 1}', '{"message": null}', '{"Message": "no"}')


@pytest.mark.parametrize("status", [404, 500])
@pytest.mark.parametrize("body", SHAPES)
def test_an_error_of_any_form_is_the_engines(monkeypatch: pytest.MonkeyPatch, status: int, body: str) -> None:
    monkeypatch.setattr(Api, "get_adapter", lambda *_, **__: Answering(status, body))
    with pytest.raises(EngineError) as raised:
        Engine({"DOCKER_HOST": "tcp://h:2375"}).image("app")
    assert raised.value.exit_code == 3
    assert type(raised.value) is EngineError


@pytest.mark.parametrize("body", ["{}", "[]", "null", '{"cause": "no"}'])
def test_a_push_that_fails_without_a_message_is_the_engines_error(body: str) -> None:
    stream = PushStream(answering(500, body), Reference("h:1", "a/b", "1"), LOGIN, Clock())
    with pytest.raises(EngineError) as raised:
        stream.next(10)
    assert raised.value.exit_code == 3
    assert raised.value.cause == f"HTTP 500: {body}"


def test_a_push_that_fails_with_a_line_of_its_stream_is_understood() -> None:
    """Podman sends status 500 and the line if the push fails before the first progress."""
    body = '{"errorDetail": {"message": "unauthorized: no"}, "error": "no"}'
    stream = PushStream(answering(500, body), Reference("h:1", "a/b", "1"), LOGIN, Clock())
    timed = stream.next(10)
    assert timed is not None
    assert timed[1] == events.Failed("unauthorized: no")


def test_an_error_in_dockers_form_is_unchanged() -> None:
    stream = PushStream(answering(500, '{"message": "disk full"}'), Reference("h:1", "a/b", "1"), LOGIN, Clock())
    timed = stream.next(10)
    assert timed is not None
    assert timed[1] == events.Failed("disk full")
