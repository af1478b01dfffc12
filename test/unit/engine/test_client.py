"""What is told of an Engine that cannot even be asked. All else is tested with an Engine, elsewhere."""

import pytest

from pipe.engine.client import Engine
from pipe.errors import EngineUnreachableError

FIX = "add `docker` to the step's `services`"


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        pytest.param({"DOCKER_HOST": "nonsense://h"}, ["nonsense://h", FIX], id="unknown-scheme"),
        pytest.param({"DOCKER_HOST": "tcp://"}, ["tcp://: ", FIX], id="no-host"),
        pytest.param({"DOCKER_HOST": "tcp://h:port"}, ["tcp://h:port: ", FIX], id="no-port"),
        pytest.param({"DOCKER_HOST": "tcp://me:s3cr3t@:port"}, ["tcp://***@:port", FIX], id="password"),
        pytest.param(
            {"DOCKER_HOST": "tcp://h:2376", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/gone"},
            ["Check DOCKER_TLS_VERIFY and DOCKER_CERT_PATH."],
            id="no-certificates",
        ),
    ],
)
def test_an_address_that_leads_nowhere(environment: dict[str, str], words: list[str]) -> None:
    with pytest.raises(EngineUnreachableError) as raised:
        Engine(environment).image("app")
    message = str(raised.value)
    assert raised.value.exit_code == 3
    assert [word for word in words if word not in message] == [], message
    assert "s3cr3t" not in message


def test_an_engine_that_went_away_is_told_with_its_address() -> None:
    error = Engine({"DOCKER_HOST": "tcp://h:2375"}).gone("reset.")
    assert error.summary == "Docker Engine does not answer: tcp://h:2375: reset."
    assert "may have run out of memory" in error.fix
    assert "unix:///var/run/docker.sock: " in Engine({}).gone("x").cause
