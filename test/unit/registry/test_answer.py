"""What an answer says about itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from pipe.registry.answer import Answer


def answer(body: bytes, status: int = 404, **headers: str) -> Answer:
    """Make an answer; underscores in the names of headers stand for hyphens."""
    named = CaseInsensitiveDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Answer(status, named, body, "https://crg.apkg.io/v2/")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b'{"errors":[{"code":"DENIED","message":"no"}]}', "no", id="message"),
        pytest.param(b'{"errors":[{"code":"DENIED","message":""}]}', "DENIED", id="code"),
        pytest.param(b'{"errors":[{"code":"A","message":"a"},{"code":"B","message":"b"}]}', "a; b", id="two"),
        pytest.param(b'{"errors":[]}', "HTTP 404", id="no-errors"),
        pytest.param(b"", "HTTP 404", id="nothing"),
        pytest.param(b"<html>\x1b[31m404</html>", "<html>404</html>", id="html"),
        pytest.param(b'{"message":"no"}', '{"message":"no"}', id="another-object"),
        pytest.param(b'{"errors":{"code":"x"}}', '{"errors":{"code":"x"}}', id="errors-of-another-type"),
        pytest.param(b'{"errors":[null]}', '{"errors":[null]}', id="null"),
        pytest.param(b"\xff\xfe", "\ufffd\ufffd", id="not-utf-8"),
        pytest.param(b"[" * 50_000, "[" * 299 + "…", id="deep"),
        pytest.param(b'{"errors":[{"message":"see https://h/p?_state=x"}]}', "see https://h/p?…", id="query"),
    ],
)
def test_the_words_of_an_answer(body: bytes, words: str) -> None:
    assert answer(body).message == words


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(b"<html><TITLE lang=en>413 Too\nlarge</TITLE>", "413 Too\nlarge", id="title"),
        pytest.param(b"<html><h1>413</h1>", "HTTP 413", id="no-title"),
        pytest.param(b"<title " * 9000, "HTTP 413", id="endless-title"),
    ],
)
def test_the_words_of_a_web_page_are_its_title(body: bytes, words: str) -> None:
    assert answer(body, 413, Content_Type="text/html; charset=utf-8").message == words


@given(st.binary(max_size=100))
def test_any_answer_has_words(body: bytes) -> None:
    assert answer(body).message


@pytest.mark.parametrize(
    ("made", "html"),
    [
        pytest.param(answer(b"", Content_Type="text/html"), True, id="page"),
        pytest.param(answer(b"", Content_Type="application/json"), False, id="json"),
        pytest.param(answer(b""), False, id="no-type"),
        pytest.param(
            answer(b"", Content_Type="text/html", Docker_Distribution_Api_Version="registry/2.0"), False, id="registry"
        ),
    ],
)
def test_a_web_page_is_not_from_a_registry(made: Answer, html: bool) -> None:
    assert made.is_html is html
