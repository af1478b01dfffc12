"""README, pipe.yml, CHANGELOG and the pages agree with the code: variables, defaults, exit codes, errors, names."""

import ast
import json
import re
import shutil
import signal
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it ships no types
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema  # type: ignore[import-untyped] # it ships no types
from semversioner import Semversioner  # type: ignore[import-untyped] # it ships no types

from pipe.config.tag_templates import NAMES, Placeholders, template_problems
from pipe.config.variables import VARIABLES
from pipe.errors import PipeError, StoppedError
from pipe.main import UNEXPECTED
from pipe.oci.image import Layer
from pipe.oci.reference import Reference
from pipe.push.limits import REGISTRY_LIMIT
from pipe.push.result import LayerResult, LayerStatus, Result, TagResult, TagStatus

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TROUBLESHOOTING = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BENCHMARKS = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
HOW_IT_WORKS = (ROOT / "docs/how-it-works.md").read_text(encoding="utf-8")
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
)
PIPE_YML = yaml.safe_load((ROOT / "pipe.yml").read_text(encoding="utf-8"))
PROGRAM, VERSION = PIPE_YML["image"].split(":")

SECTIONS = (
    "YAML Definition",
    "Variables",
    "Details",
    "Prerequisites",
    "Authentication",
    "Examples",
    "Support",
    "License",
    "Development",
)
"""The order that users of official pipes know, with the development part at the end."""

MOST_WORDS = 1800
"""Words of README outside tables and snippets: tables and snippets are looked up, all else is read."""
MOST_IN_A_CELL = 400
"""Characters of a cell of README's tables; what is longer is a section, to which a link can lead."""
USUAL_ERRORS = 5
"""Rows of README's table of errors; docs/troubleshooting.md has the complete one."""
CREDENTIALS = ("BITBUCKET_PACKAGES_USERNAME", "BITBUCKET_PACKAGES_TOKEN")
CREDENTIALS_BELONG_HERE = "# credentials: see Basic"
"""Stands in an example in place of the two lines; "Basic" explains it."""

QUESTIONS = [
    pytest.param("We protect tags", ("IF_TAG_EXISTS", "`skip`", "latest", "Container settings"), id="immutable-tags"),
    pytest.param("api, worker and web", ("IMAGE_NAME: ['api', 'worker', 'web']", "uploaded once"), id="several-images"),
    pytest.param(
        "Git tag `v1.4.2`",
        ("`{version}`", "`v1.4.2` becomes `1.4.2`", "feature-login", "  tags:\n"),
        id="tags-from-git",
    ),
    pytest.param("promote `:rc-17`", ("PROMOTE: 'rc-17'", "FROM_PACKAGE", "signatures"), id="promotion"),
    pytest.param(
        "arm64 from an ARM step",
        ("arch: arm", "PLATFORM_TAGS: ['1.4.2-amd64', '1.4.2-arm64']", "Keep the platforms' tags"),
        id="platforms-of-two-steps",
    ),
    pytest.param("My `image.tar` is 2.3 GB", ("1 GB of artifacts", "in the step that writes it"), id="artifacts"),
    pytest.param(
        "14 GB over 30 MB/s",
        (
            "| 30 MB/s (240 Mbit/s) | 12.6 GB |",
            "34 MB/s",
            "SPLIT_LAYERS: 'auto'",
            "`TMPDIR`",
            "size: 4x",
            "2 GB at 30 MB/s",
        ),
        id="time-limit",
    ),
    pytest.param(
        "sign the image with cosign",
        ("cosign generate-key-pair", "cosign sign", "base64 -d", "cosign verify"),
        id="cosign",
    ),
    pytest.param(
        "docker compose build",
        ("COMPOSE_FILE: 'compose.yaml'", "`<project>-<service>`", "image: docker:cli", "`extends`"),
        id="compose",
    ),
    pytest.param(
        "which commit", ("org.opencontainers.image.revision", "skopeo inspect", "docker inspect"), id="revision"
    ),
    pytest.param(
        "the `image:` of a later step", ("username:", "read:package:bitbucket", "docker run"), id="build-environment"
    ),
    pytest.param("two parallel steps", ("The last push wins", "exit code 6", "it succeeds"), id="one-tag-at-once"),
    pytest.param("zstd?", ("COMPRESSION: 'small'", "UPLOADER: 'pipe'", "| `zstd` |"), id="compression"),
    pytest.param(
        "Docker 29 and", ("containerd", "Docker 26.1", "`crg.apkg.io`", "docker:28-dind"), id="tested-versions"
    ),
    pytest.param(
        "podman, rootless", ("$XDG_RUNTIME_DIR/podman/podman.sock", "quay.io/podman/stable", "vfs save"), id="podman"
    ),
    pytest.param("delete old tags", ("no API", "**Delete tag**"), id="retention"),
]
"""Questions of new users: words of the question, and words of the answer."""

NEEDS = {
    r"docker (?!buildx|compose)": "services: [docker]",
    r"docker (?:buildx|compose)": "services: [docker], image: docker:cli, version: 3",
    r"podman|buildah|kaniko": "image: ",
    r"jq|cosign": "apk add",
}
"""What a step must have for commands of its script: the default image has neither these tools nor, in runtime 3, the
docker command, and only runtime 3 allows buildx."""

CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^(#+) (.*)$", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")
REQUIRED_MARK = re.compile(r" \(\*+\)$")
DEFAULT = re.compile(r"Default: (.+)\.$")


def section(heading: str) -> str:
    """Return the text of README below a heading, up to the next one of its level or above."""
    level = heading.index(" ")
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found is not None, f"README has no heading {heading!r}"
    return found[1]


def table(heading: str) -> dict[str, list[str]]:
    """Return README's first table below a heading: the other cells by the first."""
    text = section(heading)
    return cells(text[text.index("\n|") :].lstrip("\n").partition("\n\n")[0])


def cells(text: str) -> dict[str, list[str]]:
    """Return the rows of a text's only table: the other cells by the first."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {first: rest for first, *rest in rows[2:]}


def snippets() -> list[tuple[str, str]]:
    """Return README's snippets of YAML, each with the line that leads to it."""
    return re.findall(r"^([^\n]+)\n\n```yaml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def pipelines(snippet: str) -> dict[str, object]:
    """Complete a snippet: it may be a script, steps, or a whole file."""
    example = yaml.safe_load(snippet)
    if isinstance(example, dict) and "pipelines" in example:
        return example
    items = example["script"] if isinstance(example, dict) else example
    steps = items if "step" in items[0] or "parallel" in items[0] else [{"step": {"script": items}}]
    return {"pipelines": {"default": steps}}


def steps(example: object) -> Iterator[dict[str, Any]]:
    """Yield every step of a snippet."""
    if isinstance(example, dict) and "script" in example:
        yield example
    elif isinstance(example, dict | list):
        for each in example.values() if isinstance(example, dict) else example:
            yield from steps(each)


def anchors(page: str) -> set[str]:
    """Return the anchors of a page of Markdown, as bitbucket.org renders them."""
    return {anchor_of(title) for _, title in HEADING.findall(CODE.sub("", page))}


def anchor_of(title: str) -> str:
    """Return the anchor of a heading."""
    name = re.sub(r"[^\w -]", "", title).lower().replace(" ", "-")
    return f"markdown-header-{name}"


def kinds(base: type[PipeError] = PipeError) -> list[type[PipeError]]:
    """Return every kind of error that can be raised: the classes without subclasses."""
    subclasses = base.__subclasses__()
    return [kind for subclass in subclasses for kind in kinds(subclass)] if subclasses else [base]


def plain(text: str) -> str:
    """Return text without backticks."""
    return text.replace("`", "")


def test_sections_stand_in_the_order_of_official_pipes() -> None:
    """Users of official pipes find everything in its usual place."""
    assert tuple(re.findall(r"^## (.*)$", README, re.MULTILINE)) == SECTIONS


def test_the_table_has_every_variable_with_its_default() -> None:
    """The code and the README list the same variables, in one order."""
    documented = {
        REQUIRED_MARK.sub("", name): plain(default[1]) if (default := DEFAULT.search(usage)) else None
        for name, (usage,) in table("## Variables").items()
    }
    expected = {variable.name: plain(variable.default) if variable.default else None for variable in VARIABLES}
    assert list(documented.items()) == list(expected.items())


def test_readme_begins_as_the_help_does() -> None:
    """README continues the words of `--help`."""
    usages = [usage for (usage,) in table("## Variables").values()]
    assert [usage[: len(each.usage)] for usage, each in zip(usages, VARIABLES, strict=True)] == [
        each.usage for each in VARIABLES
    ]


def test_the_snippet_offers_every_variable() -> None:
    """Users copy the snippet and uncomment what they need; what every push needs comes first."""
    offered = re.findall(r"^ +(?:# )?([A-Z_]+): ['$]", section("## YAML Definition"), re.MULTILINE)
    first = ["IMAGE_NAME", *CREDENTIALS]
    assert offered == [*first, *(variable.name for variable in VARIABLES if variable.name not in first)]


@pytest.mark.parametrize("text", [pytest.param(text, id=lead.strip("# :")) for lead, text in snippets()])
def test_every_snippet_passes_the_credentials(text: str) -> None:
    """Pipelines gives a pipe that is named by its image nothing but what the snippet names, or a comment marks."""
    pipes = re.findall(r"^( *)- pipe: docker://.*\n((?:\1  .*\n)+)", text, re.MULTILINE)
    assert len(pipes) == text.count("pipe: docker://")
    own = {name: f"${name}" for name in CREDENTIALS}
    shared = []
    for _, pipe in pipes:
        passed = dict(re.findall(r"^ +(\w+): (\$\w+)$", pipe, re.MULTILINE))
        if passed:
            assert passed == own or "REGISTRY:" in pipe, f"expected: {own}\nactual:   {passed}"
            assert set(passed) == set(CREDENTIALS)
            shared += re.findall(r"variables: &(\w+)$", pipe, re.MULTILINE)
        elif CREDENTIALS_BELONG_HERE not in pipe:
            [merged] = re.findall(r"<<: \*(\w+)$", pipe, re.MULTILINE)
            assert merged in shared


def test_the_snippets_that_users_copy_first_are_complete() -> None:
    """The comment that stands for the credentials is explained before its first use, and refers to complete lines."""
    definition, examples = README.index("## YAML Definition"), README.index("## Examples")
    for text in (README[:definition], section("## YAML Definition")):
        assert all(f"{name}: ${name}" in text for name in CREDENTIALS)
    assert CREDENTIALS_BELONG_HERE.partition(":")[0] not in README[:examples]
    assert f"`{CREDENTIALS_BELONG_HERE}`" in section("### Basic")


def answer(question: str) -> str:
    """Return the answer to the one question that contains some words: its cell, and the sections it links to."""
    [[cell]] = [cells for row, cells in table("### Questions").items() if question in row]
    headings = {anchor_of(title): f"{level} {title}" for level, title in HEADING.findall(CODE.sub("", README))}
    return "\n".join([cell, *(section(headings[name]) for _, name in LINK.findall(cell))])


@pytest.mark.parametrize(("question", "words"), QUESTIONS)
def test_every_question_finds_its_answer(question: str, words: tuple[str, ...]) -> None:
    """A new user finds a question in the table, and the answer one click away."""
    found = answer(question)
    assert [each for each in words if each not in found] == []


def test_the_table_of_links_is_computed() -> None:
    """Each speed, in bytes and bits, goes with what it carries in 7 minutes, at most 32 GB."""
    for speed, [largest] in table("#### A layer that is too large or too slow").items():
        megabytes, megabits = map(int, re.findall(r"\d+", speed))
        assert round(8 * megabytes, -1) == megabits
        assert min(7 * 60 * megabytes / 1000, REGISTRY_LIMIT / 1e9) == pytest.approx(float(largest.split()[0]))


def test_the_table_of_pushes_over_links_is_that_of_the_benchmarks() -> None:
    """In tenths of a second."""
    for link, times in table("### Who uploads").items():
        name = "loopback" if link.startswith("none") else link
        measured = cells(BENCHMARKS.partition(f"500 MB in 3 layers, {name}\n")[2].partition("\n## ")[0])
        seconds = [float(row[0].removesuffix(" s")) for row in measured.values()]
        assert list(measured) == ["the pipe", "the pipe, zstd", "`docker push`"]
        assert times == [f"{each:.1f} s" for each in seconds], link


def test_the_table_has_every_placeholder() -> None:
    """The table lists the placeholders of the code, in one order."""
    placeholders = [name for row in table("#### Tags from Git") for name in re.findall(r"`\{(\w+)\}`", row)]
    assert placeholders == list(NAMES)


def test_the_examples_of_placeholders_are_computed() -> None:
    """What the table shows is what a pipeline for a Git tag or a branch gets."""
    environment = {"BITBUCKET_TAG": "v1.4.2", "BITBUCKET_BRANCH": "feature/login", "BITBUCKET_COMMIT": "f25b7a1" * 5}
    environment |= {"BITBUCKET_BUILD_NUMBER": "17", "BITBUCKET_PR_ID": "42"}
    placeholders = Placeholders(environment, date(2026, 3, 1))
    for row, (*_, example) in table("#### Tags from Git").items():
        templates = re.findall(r"`(\{.*?\})`", row)
        values = [placeholders.fill(template) for template in templates]
        assert re.findall("`(.*?)`", example)[-1] == values[-1]


def test_the_tags_of_every_snippet_are_valid() -> None:
    """Placeholders in snippets are those of the code."""
    snippet = section("#### Tags from Git")
    templates = re.findall(r"'([^']*\{[^']*)'", snippet)
    assert templates
    assert [problem for template in templates for problem in template_problems(template)] == []


def test_questions_come_right_after_the_snippet() -> None:
    """The table is met before anything that is read, and the top of the page leads to it."""
    before = README[: README.index("### Questions")]
    assert re.findall("^## (.*)$", before, re.MULTILINE) == ["YAML Definition"]
    assert "](#markdown-header-questions)" in before


def test_context_variables_are_marked() -> None:
    """Two stars: the step's environment provides the value."""
    marked = [name.removesuffix(" (**)") for name in table("## Variables") if name.endswith(" (**)")]
    assert marked == [variable.name for variable in VARIABLES if variable.context]


def test_pipe_yml_lists_the_context_variables() -> None:
    """Bitbucket passes to a pipe only the context variables that pipe.yml lists."""
    listed = {variable["name"]: variable["default"] for variable in PIPE_YML["variables"]}
    assert listed == {variable.name: variable.default for variable in VARIABLES if variable.context}


def test_the_table_has_every_exit_code() -> None:
    """Success and the unexpected have no kind of error; the code of a signal is 128 plus its number."""
    stopped = StoppedError(signal.SIGTERM)
    assert stopped.exit_code == 128 + signal.SIGTERM
    raised = {str(kind.exit_code) for kind in kinds()}
    assert set(table("### Exit codes")) == {"0", str(UNEXPECTED), "128 + N"} | raised


def test_the_example_result_has_every_key() -> None:
    """The documented keys of RESULT_FILE are the real ones."""
    example = json.loads(section("### Output").split("```json\n")[1].split("```")[0])
    tags = (TagResult(Reference("crg.apkg.io", "workspace/package", "tag")),)
    layers = (LayerResult(Layer(1, ""), LayerStatus.UPLOADED),)
    real = json.loads(json.dumps(Result("image", None, dry_run=False, tags=tags, layers=layers, exit_code=0).as_json()))
    assert list(example) == list(real)
    assert list(example["tags"][0]) == list(real["tags"][0])
    assert list(example["layers"][0]) == list(real["layers"][0])


def test_every_status_is_named() -> None:
    """The sentence on statuses lists all of them."""
    [(of_tag, of_layer)] = re.findall(r"`status` is (.*?); a layer's is (.*?)\.", section("### Output"))
    assert re.findall("`(.*?)`", of_tag) == list(TagStatus)
    reported = [LayerStatus.UPLOADED, LayerStatus.ALREADY_THERE, LayerStatus.MOUNTED, LayerStatus.WOULD_UPLOAD]
    assert re.findall("`(.*?)`", of_layer) == reported


def test_troubleshooting_has_every_kind_of_error() -> None:
    """A message begins with the words of its row."""
    assert set(cells(TROUBLESHOOTING)) == {kind.title for kind in kinds()} | {StoppedError.title}


def test_readme_has_the_usual_errors() -> None:
    """README repeats the most common rows, word for word."""
    usual = table("### What went wrong?")
    everything = cells(TROUBLESHOOTING.replace("../README.md#", "#"))
    assert len(usual) == USUAL_ERRORS
    assert usual == {title: everything.get(title) for title in usual}


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in kinds()])
def test_every_row_says_cause_and_fix(kind: type[PipeError]) -> None:
    """A row adds to the message: cause and fix are sentences."""
    cause, fix = cells(TROUBLESHOOTING)[kind.title]
    assert cause.endswith(".")
    assert fix.endswith(".")


def test_readme_is_short() -> None:
    """Tables and snippets are looked up; all else must be read."""
    text = "\n".join(line for line in CODE.sub("", README).splitlines() if not line.startswith("|"))
    assert len(text.split()) < MOST_WORDS


def test_tables_have_short_cells() -> None:
    """A paragraph in a table cannot be read on a narrow screen."""
    lines = [line for line in CODE.sub("", README).splitlines() if line.startswith("|")]
    assert [cell for line in lines for cell in line.strip("| ").split(" | ") if len(cell) > MOST_IN_A_CELL] == []


@pytest.mark.parametrize("text", [pytest.param(text, id=lead.strip("# :")) for lead, text in snippets()])
def test_examples_are_valid_pipelines(text: str) -> None:
    """Bitbucket accepts what users copy into their bitbucket-pipelines.yml."""
    jsonschema.validate(pipelines(text), get_builtin_schema("vendor.bitbucket-pipelines"))


@pytest.mark.parametrize("text", [pytest.param(text, id=lead.strip("# :")) for lead, text in snippets()])
def test_steps_have_what_their_commands_need(text: str) -> None:
    """A snippet runs as it is printed: its image has the tools, and the step has an Engine."""
    for step in steps(yaml.safe_load(text)):
        has = yaml.safe_dump(step, width=10000).replace("'", "").replace("services:\n- docker", "services: [docker]")
        commands = [line for line in step["script"] if isinstance(line, str)]
        for command, needed in NEEDS.items():
            if any(re.match(rf"(?:.*\$\(|/)?(?:{command})\b", line) for line in commands):
                assert [need for need in needed.split(", ") if need not in has] == []


def test_contributing_shows_every_package() -> None:
    """The tree shows every package, and the modules that it names exist."""
    [tree] = re.findall(r"^    pipe/\n((?:      .*\n)+)", CONTRIBUTING, re.MULTILINE)
    shown = dict(re.findall(r"^ {6}(\w+)/ +(.*)$", tree, re.MULTILINE))
    assert set(shown) == {path.parent.name for path in (ROOT / "pipe").glob("*/__init__.py")}
    assert all(shown.values())
    assert [name for name in re.findall(r"\w+\.py", tree) if not (ROOT / "pipe" / name).exists()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "pipe").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_lives_there(path: Path) -> None:
    """The first line is a sentence, for readers in search of something."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert re.match(r"\S.*[.:]$", docstring.partition("\n")[0]), docstring


@pytest.mark.parametrize("name", ["README.md", "pipe.yml"])
def test_every_reference_to_the_image_has_the_version(name: str) -> None:
    """The release replaces the version in these files, so they must agree."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert set(re.findall(rf"{PROGRAM}:([0-9][\w.-]*)", text)) == {VERSION}


def test_changelog_is_what_semversioner_makes(tmp_path: Path) -> None:
    """CHANGELOG is generated, and its newest version is the one in pipe.yml."""
    shutil.copytree(ROOT / ".changes", tmp_path / ".changes")
    semversioner = Semversioner(tmp_path)
    assert (ROOT / "CHANGELOG.md").read_text(encoding="utf-8") == semversioner.generate_changelog()
    assert semversioner.get_last_version() == VERSION


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """Links into the repository name an existing file and heading."""
    page = ROOT / name
    for file, anchor in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        target = page.parent / file if file else page
        assert target.exists(), f"{name} links to {file}"
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), f"{name} links to {file}#{anchor}"


def definitions() -> set[str]:
    """Return the names of the code as pages write them: `Class`, `Class.method()` and `function()`."""
    names: set[str] = set()
    for path in (ROOT / "pipe").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                names.add(f"{node.name}()")
            elif isinstance(node, ast.ClassDef):
                methods = [each.name for each in node.body if isinstance(each, ast.FunctionDef)]
                names |= {node.name, *(f"{node.name}.{method}()" for method in methods)}
    return names


@pytest.mark.parametrize(
    ("way", "least"),
    [
        pytest.param("A push by Docker Engine", 25, id="engine"),
        pytest.param("A push by the pipe", 25, id="pipe"),
        pytest.param("A push of an archive", 8, id="archive"),
        pytest.param("A layer that is split", 15, id="split"),
        pytest.param("A promotion", 8, id="promotion"),
    ],
)
def test_the_way_of_an_image_has_the_names_of_the_code(way: str, least: int) -> None:
    """Every function and class on the page exists, and each way names enough of them to be followed."""
    text = HOW_IT_WORKS.split(f"## {way}\n")[1].split("\n## ")[0]
    named = re.findall(r"`(\w+(?:\.\w+)?\(\)|[A-Z]\w*[a-z]\w*)`", text)
    assert len(set(named)) >= least
    assert sorted(set(named) - definitions()) == []


@pytest.mark.parametrize("name", [name for name in PAGES if name != "README.md"])
def test_files_that_pages_name_exist(name: str) -> None:
    """Pages follow files that are renamed."""
    named = re.findall(r"`((?:pipe|test|docs)/[\w./-]+)`", (ROOT / name).read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []
