"""Compose files: which images they name, and which the pipe does not read."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipe.config.compose import ComposeFile
from pipe.config.interpolation import Interpolation


def read(folder: Path, text: str, **environment: str) -> ComposeFile:
    """Read a compose file in a folder."""
    path = folder / "compose.yaml"
    path.write_text(text)
    return ComposeFile(path, environment)


def images(folder: Path, text: str, **environment: str) -> tuple[str, ...]:
    """Return the images of a valid compose file."""
    file = read(folder, text, **environment)
    assert file.problems == []
    return file.images


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Make the directory of a project whose name Compose makes `myshop_1`."""
    folder = tmp_path / "-My Shop_1"
    folder.mkdir()
    return folder


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("services: {api: {build: .}}", ("myshop_1-api",), id="by-the-directory"),
        pytest.param("name: shop\nservices: {api: {build: .}}", ("shop-api",), id="by-the-name"),
        pytest.param("name: ${P:-shop}\nservices: {api: {build: .}}", ("shop-api",), id="by-the-name-with-a-default"),
        pytest.param("services: {api: {build: {context: x}, image: 'x/api:1'}}", ("x/api:1",), id="image"),
        pytest.param("services: {b: {build: .}, a: {build: .}}", ("myshop_1-b", "myshop_1-a"), id="in-order"),
        pytest.param("services: {a: {build: ., image: x}, b: {build: ., image: x}}", ("x",), id="one-image-twice"),
        pytest.param(
            "services: {a: {build: .}, db: {image: postgres}, none: {build: null}}", ("myshop_1-a",), id="only-built"
        ),
        pytest.param(
            f"x: &x {{{', '.join(f'k{n}: 1' for n in range(200))}}}\nservices: {{a: {{build: {{<<: *x}}}}}}",
            ("myshop_1-a",),
            id="many-merged-keys",
        ),
        pytest.param("services: {a: {build: ., profiles: []}}", ("myshop_1-a",), id="empty-profiles"),
        pytest.param(
            "services: {db: {image: postgres, profiles: [dev]}, a: {build: .}}",
            ("myshop_1-a",),
            id="profiles-of-what-is-not-built",
        ),
        pytest.param(
            "x-b: &b {build: .}\nservices:\n  a:\n    <<: *b\n    image: x\n  c: *b", ("x", "myshop_1-c"), id="anchors"
        ),
        pytest.param(
            "services:\n  a:\n    build: !reset {x: [1]}\n    ports: !override [1]\n    image: !x y", ("y",), id="tags"
        ),
        pytest.param("services: {1: {build: .}}", ("myshop_1-1",), id="service-named-by-a-number"),
        pytest.param("name: 1\nservices: {a: {build: .}}", ("1-a",), id="project-named-by-a-number"),
        pytest.param(
            "services: {on: {build: .}, 012: {build: .}, 2024-01-01: {build: .}}",
            ("myshop_1-on", "myshop_1-012", "myshop_1-2024-01-01"),
            id="services-named-by-words-of-yaml",
        ),
        pytest.param(
            "services: {a: {build: ., image: '${V-}'}, b: {build: ., image: x}}",
            ("myshop_1-a", "x"),
            id="image-without-a-name",
        ),
        pytest.param("name: ${V-}\nservices: {a: {build: .}}", ("myshop_1-a",), id="project-without-a-name"),
        pytest.param(
            "services: {a: {build: {}}, b: {build: ''}}", ("myshop_1-a", "myshop_1-b"), id="built-with-defaults"
        ),
        pytest.param("x: 2001-99-99\nservices: {a: {build: .}}", ("myshop_1-a",), id="impossible-date"),
        pytest.param(
            "a: &a [x]\n"
            + "".join(f"{n}: &b{n} [{f'*b{n - 1}, ' * 9}*a]\n" for n in range(1, 9)).replace("*b0", "*a")
            + "services: {a: {build: .}}",
            ("myshop_1-a",),
            id="aliases-of-aliases",
        ),
    ],
)
def test_images_have_the_names_that_compose_gives_them(project: Path, text: str, expected: tuple[str, ...]) -> None:
    assert images(project, text) == expected


def test_the_environment_names_the_project_before_the_file(project: Path) -> None:
    text = "name: shop\nservices: {api: {build: .}}"
    assert images(project, text, COMPOSE_PROJECT_NAME="ours") == ("ours-api",)
    (project / ".env").write_text("COMPOSE_PROJECT_NAME=theirs\n")
    assert images(project, text) == ("theirs-api",)
    assert images(project, text, COMPOSE_PROJECT_NAME="ours") == ("ours-api",)


def test_a_reference_that_pipelines_did_not_expand_is_no_value(project: Path) -> None:
    assert images(project, "services: {a: {build: ., image: 'x:${V:-1}'}}", V="$V") == ("x:1",)


INSTEAD = "name the images in IMAGE_NAME instead"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", ["it has no services"], id="empty"),
        pytest.param("- a", ["it has no services"], id="list"),
        pytest.param("services: []", ["it has no services"], id="services-as-a-list"),
        pytest.param("services: {db: {image: x}}", ["none of its services has `build`"], id="nothing-built"),
        pytest.param("services: {a: 1}", ["none of its services has `build`"], id="service-of-another-kind"),
        pytest.param("a: b: c", ["it is not valid YAML: line 1: mapping values are not allowed here"], id="not-yaml"),
        pytest.param("a: [1", ["it is not valid YAML: line 1: expected ',' or ']', but got '<stream end>'"], id="cut"),
        pytest.param("a: \x00", ["it is not valid YAML"], id="control-characters"),
        pytest.param("[" * 3000, ["it is not valid YAML"], id="deeply-nested"),
        pytest.param("a: !!int ''", ["it is not valid YAML"], id="number-without-digits"),
        pytest.param("a: !!bool x", ["it is not valid YAML"], id="neither-true-nor-false"),
        pytest.param(
            "a0: &a0 {k: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{f'*a{n - 1}, ' * 9}]}}\n" for n in range(1, 9)),
            ["it is not valid YAML: line 6: a mapping has more than 10000 keys"],
            id="merged-mappings-of-merged-mappings",
        ),
        pytest.param(
            f"a: &a {{k: 1}}\nb: {{<<: [{'*a, ' * 101}]}}",
            ["it is not valid YAML: line 2: more than 100 mappings are merged"],
            id="many-merged-mappings",
        ),
        pytest.param("? {a: 1}\n: 2", ["it is not valid YAML: line 1: found unhashable key"], id="unhashable-key"),
        pytest.param(
            "services: {a: {build: .}, a: {build: .}}",
            ["it is not valid YAML: line 1: 'a' occurs twice"],
            id="service-twice",
        ),
        pytest.param(
            "services: {a: {build: ., profiles: [dev]}, b: {extends: a, image: x}}",
            [
                f"service 'a' has `profiles`, which the pipe does not follow: {INSTEAD}",
                f"service 'b' has `extends`, which the pipe does not follow: {INSTEAD}",
            ],
            id="profiles-and-extends",
        ),
        pytest.param(
            "include: [x.yaml]\nservices: {a: {build: .}}",
            [f"it has `include`, which the pipe does not follow: {INSTEAD}"],
            id="include",
        ),
        pytest.param(
            "services: {a: {build: ., image: 1.0}, b: {build: ., image: ''}}",
            ["the image of service 'a' is not a name", "the image of service 'b' is not a name"],
            id="image-that-is-no-name",
        ),
        pytest.param(
            "name: [shop]\nservices: {a: {build: .}}",
            ["\"['shop']\" is not the name of a project: set `name` in the file"],
            id="project-that-is-no-name",
        ),
        pytest.param(
            "name: My Shop\nservices: {a: {build: .}, b: {build: .}}",
            ["'My Shop' is not the name of a project: set `name` in the file"],
            id="invalid-project-once",
        ),
        pytest.param(
            "services: {a: {build: ., image: 'x:$V'}, b: {build: ., image: 'x:${W:?set}'}, c: {build: ., image: '${'}}",
            [
                "the image of service 'a': $V has no value in this step; add it to the pipe's `variables`",
                "the image of service 'b': $W has no value in this step; add it to the pipe's `variables`",
                "the image of service 'c': '${' has no closing brace",
            ],
            id="variables",
        ),
        pytest.param(
            "name: $P\nservices: {a: {build: .}, b: {build: .}}",
            ["its `name`: $P has no value in this step; add it to the pipe's `variables`"],
            id="variable-in-the-name",
        ),
    ],
)
def test_what_is_wrong_with_a_compose_file(project: Path, text: str, expected: list[str]) -> None:
    assert read(project, text).problems == expected


def test_a_directory_whose_name_has_no_letter_names_no_project(tmp_path: Path) -> None:
    folder = tmp_path / "…"
    folder.mkdir()
    text = "services: {a: {build: .}, b: {build: ., image: x}}"
    assert read(folder, text).problems == ["'' is not the name of a project: set `name` in the file"]
    assert images(folder, f"name: shop\n{text}") == ("shop-a", "x")


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(Path.mkdir, "it cannot be read: Is a directory", id="directory"),
        pytest.param(lambda _: None, "it cannot be read: No such file or directory", id="gone"),
        pytest.param(
            lambda path: path.write_bytes(b" " * (1024 * 1024 + 1)),
            "it is larger than a compose file can be",
            id="too-large",
        ),
    ],
)
def test_a_compose_file_that_cannot_be_read(tmp_path: Path, make: Callable[[Path], object], expected: str) -> None:
    path = tmp_path / "compose.yaml"
    make(path)
    assert ComposeFile(path, {}).problems == [expected]


VALUES = {"A": "a", "EMPTY": "", "_B1": "b"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("x", "x", id="none"),
        pytest.param("$A-${A}$_B1", "a-ab", id="values"),
        pytest.param("$EMPTY${EMPTY}", "", id="empty"),
        pytest.param("${A:-x} ${A-x} ${EMPTY:-x} ${EMPTY-x} ${NONE:-x} ${NONE-x}", "a a x  x x", id="defaults"),
        pytest.param("${A:+x} ${A+x} ${EMPTY:+x} ${EMPTY+x} ${NONE:+x}|${NONE+x}", "x x  x |", id="alternatives"),
        pytest.param("${A:?x} ${A?x} ${EMPTY?x}", "a a ", id="required"),
        pytest.param("${NONE:-${A}} ${NONE:-${NONE:-$A}} ${NONE:-a}b}", "a a ab}", id="nested"),
        pytest.param("${NONE:-}x", "x", id="empty-default"),
        pytest.param("$$A $${A} $ $1 a$", "$A ${A} $ $1 a$", id="dollars"),
    ],
)
def test_variables_are_filled_as_compose_does(text: str, expected: str) -> None:
    assert Interpolation(VALUES).fill(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("$NONE", r"\$NONE has no value", id="unset"),
        pytest.param("${NONE}", r"\$NONE has no value", id="unset-in-braces"),
        pytest.param("${NONE:?why}", r"\$NONE has no value", id="required"),
        pytest.param("${EMPTY:?why}", r"\$EMPTY has no value", id="required-and-empty"),
        pytest.param("${BITBUCKET_TAG}", "for tag pipelines only", id="of-other-pipelines"),
        pytest.param("${A", "has no closing brace", id="open"),
        pytest.param("${A:-${B}", "has no closing brace", id="nested-open"),
        pytest.param("${}", "is not a variable", id="nothing"),
        pytest.param("${A/x/y}", "is not a variable", id="substitution-of-the-shell"),
        pytest.param("$A" * 40_000, "is too long", id="too-long"),
        pytest.param("${X:-" * 30 + "}" * 30, "is nested too deeply", id="nested-too-deeply"),
    ],
)
def test_a_variable_without_a_value_is_a_problem(text: str, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Interpolation(VALUES).fill(text)


ENV = """
# a comment
export A=1 # more
B = "two # 2" # more
C='$A'
D=$A-${SET}
E=x#y
F: colon
G=$NONE
no line
"""


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("A", "1", id="export-and-comment"),
        pytest.param("B", "two # 2", id="double-quotes"),
        pytest.param("C", "$A", id="single-quotes"),
        pytest.param("D", "1-set", id="variables"),
        pytest.param("E", "x#y", id="no-comment"),
        pytest.param("F", "colon", id="colon"),
        pytest.param("SET", "set", id="environment"),
        pytest.param("G", "default", id="without-a-value"),
    ],
)
def test_the_file_env_adds_variables(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / ".env").write_text(ENV + "SET=other\n")
    text = f"services: {{a: {{build: ., image: '${{{name}:-default}}'}}}}"
    assert images(tmp_path, text, SET="set") == (expected,)


def test_variables_that_multiply_in_the_file_env_fill_no_memory(tmp_path: Path) -> None:
    lines = [f"V{number}={f'$V{number - 1}' * 10}" for number in range(1, 20)]
    (tmp_path / ".env").write_text("\n".join(["V0=0123456789", *lines, "LAST=ok"]))
    text = "services: {a: {build: ., image: '${LAST}${V3:+3}${V19:+19}'}}"
    assert images(tmp_path, text) == ("ok3",)


@pytest.mark.parametrize(
    "line",
    [pytest.param(f"A=x{' ' * 200_000}y", id="spaces"), pytest.param("A=" + "$" * 500_000, id="dollars")],
)
def test_a_long_line_of_the_file_env_takes_no_time(tmp_path: Path, line: str) -> None:
    (tmp_path / ".env").write_text(f"{line}\nB=ok\n")
    assert images(tmp_path, "services: {a: {build: ., image: '$B'}}") == ("ok",)
