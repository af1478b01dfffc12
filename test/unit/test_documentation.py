"""README, pipe.yml and CHANGELOG say what the code does: no variable, default, code, kind or version differs."""

import ast
import json
import re
import shutil
import signal
from pathlib import Path

import jsonschema  # type: ignore[import-untyped] # it ships no types
import pytest
import yaml
from check_jsonschema.builtin_schemas import get_builtin_schema  # type: ignore[import-untyped] # it ships no types
from semversioner import Semversioner  # type: ignore[import-untyped] # it ships no types

from pipe.config.variables import VARIABLES
from pipe.errors import PipeError, StoppedError
from pipe.main import UNEXPECTED
from pipe.oci.image import Layer
from pipe.oci.reference import Reference
from pipe.push.result import LayerResult, LayerStatus, Result, TagResult, TagStatus

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
TROUBLESHOOTING = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
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
"""The order that users of official pipes know, and the project's own part at the end."""

MOST_WORDS = 1500
"""Of README, outside tables and snippets: who must read more than that looks elsewhere."""
USUAL_ERRORS = 5
"""Rows of README's own table of errors; the complete one has a page of its own."""
CREDENTIALS = ("BITBUCKET_PACKAGES_USERNAME", "BITBUCKET_PACKAGES_TOKEN")

CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
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
    return cells(section(heading))


def cells(text: str) -> dict[str, list[str]]:
    """Return the rows of a text's only table: the other cells by the first."""
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {first: rest for first, *rest in rows[2:]}


def snippets() -> list[tuple[str, str]]:
    """Return README's pieces of YAML, each after the line that leads to it."""
    return re.findall(r"^([^\n]+)\n\n```yaml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def pipelines(snippet: str) -> dict[str, object]:
    """Return the whole file that a snippet is a part of: of a script, of a pipeline, or all of it."""
    example = yaml.safe_load(snippet)
    if isinstance(example, dict) and "pipelines" in example:
        return example
    items = example["script"] if isinstance(example, dict) else example
    steps = items if "step" in items[0] else [{"step": {"script": items}}]
    return {"pipelines": {"default": steps}}


def anchors(page: str) -> set[str]:
    """Return what links into a page of Markdown may name: its headings, as bitbucket.org renders them."""
    headings = re.findall(r"^#+ (.*)$", CODE.sub("", page), re.MULTILINE)
    names = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    return {f"markdown-header-{name}" for name in names}


def kinds(base: type[PipeError] = PipeError) -> list[type[PipeError]]:
    """Return every kind of error that can be raised: the classes that no other derives from."""
    subclasses = base.__subclasses__()
    return [kind for subclass in subclasses for kind in kinds(subclass)] if subclasses else [base]


def plain(text: str) -> str:
    """Return text without Markdown's code marks."""
    return text.replace("`", "")


def test_sections_stand_in_the_order_of_official_pipes() -> None:
    """Who knows one pipe's README finds everything in this one."""
    assert tuple(re.findall(r"^## (.*)$", README, re.MULTILINE)) == SECTIONS


def test_the_table_has_every_variable_with_its_default() -> None:
    """What the code reads and what the README promises are one list, in one order."""
    documented = {
        REQUIRED_MARK.sub("", name): plain(default[1]) if (default := DEFAULT.search(usage)) else None
        for name, (usage,) in table("## Variables").items()
    }
    expected = {variable.name: plain(variable.default) if variable.default else None for variable in VARIABLES}
    assert list(documented.items()) == list(expected.items())


def test_readme_begins_as_the_help_does() -> None:
    """`--help` has the first words, README has all of them."""
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
def test_every_snippet_hands_over_the_credentials(text: str) -> None:
    """Pipelines gives a pipe that is named by its image nothing but what the snippet names."""
    pipes = re.findall(r"^( *)- pipe: docker://.*\n((?:\1  .*\n)+)", text, re.MULTILINE)
    assert len(pipes) == text.count("pipe: docker://")
    for _, pipe in pipes:
        handed = dict(re.findall(r"^ +(\w+): (\$\w+)$", pipe, re.MULTILINE))
        own = {name: f"${name}" for name in CREDENTIALS}
        assert handed == own or "REGISTRY:" in pipe, f"expected: {own}\nactual:   {handed}"
        assert set(handed) == set(CREDENTIALS)


def test_context_variables_are_marked() -> None:
    """Two stars mean that the step's environment has the value."""
    marked = [name.removesuffix(" (**)") for name in table("## Variables") if name.endswith(" (**)")]
    assert marked == [variable.name for variable in VARIABLES if variable.context]


def test_pipe_yml_lists_the_context_variables() -> None:
    """Bitbucket hands a pipe only those values of the context that pipe.yml names."""
    listed = {variable["name"]: variable["default"] for variable in PIPE_YML["variables"]}
    assert listed == {variable.name: variable.default for variable in VARIABLES if variable.context}


def test_the_table_has_every_exit_code() -> None:
    """Success and the unexpected are no kinds of error; a signal's code is 128 more than its number."""
    stopped = StoppedError(signal.SIGTERM)
    assert stopped.exit_code == 128 + signal.SIGTERM
    raised = {str(kind.exit_code) for kind in kinds()}
    assert set(table("### Exit codes")) == {"0", str(UNEXPECTED), "128 + N"} | raised


def test_the_example_result_has_every_key() -> None:
    """What scripts read from RESULT_FILE is documented, and documented is what they find."""
    example = json.loads(section("### Output").split("```json\n")[1].split("```")[0])
    tags = (TagResult(Reference("crg.apkg.io", "workspace/package", "tag")),)
    layers = (LayerResult(Layer(1, ""), LayerStatus.UPLOADED),)
    real = json.loads(json.dumps(Result("image", None, dry_run=False, tags=tags, layers=layers, exit_code=0).as_json()))
    assert list(example) == list(real)
    assert list(example["tags"][0]) == list(real["tags"][0])
    assert list(example["layers"][0]) == list(real["layers"][0])


def test_every_status_is_named() -> None:
    """The words of the result are those of the sentence on them."""
    [(of_tag, of_layer)] = re.findall(r"`status` is (.*?); a layer's is (.*?)\.", section("### Output"))
    assert re.findall("`(.*?)`", of_tag) == list(TagStatus)
    told = [LayerStatus.UPLOADED, LayerStatus.ALREADY_THERE, LayerStatus.MOUNTED, LayerStatus.WOULD_UPLOAD]
    assert re.findall("`(.*?)`", of_layer) == told


def test_troubleshooting_has_every_kind_of_error() -> None:
    """A message in a log leads to its row by the words it begins with."""
    assert set(cells(TROUBLESHOOTING)) == {kind.title for kind in kinds()} | {StoppedError.title}


def test_readme_has_the_usual_errors() -> None:
    """README's rows are some of those, with the same words."""
    usual = table("### What went wrong?")
    everything = cells(TROUBLESHOOTING.replace("../README.md#", "#"))
    assert len(usual) == USUAL_ERRORS
    assert usual == {title: everything.get(title) for title in usual}


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in kinds()])
def test_every_row_says_cause_and_fix(kind: type[PipeError]) -> None:
    """A row that only repeats the message helps nobody."""
    cause, fix = cells(TROUBLESHOOTING)[kind.title]
    assert cause.endswith(".")
    assert fix.endswith(".")


def test_readme_is_short() -> None:
    """Tables and snippets are looked up; all else is read."""
    text = "\n".join(line for line in CODE.sub("", README).splitlines() if not line.startswith("|"))
    assert len(text.split()) < MOST_WORDS


@pytest.mark.parametrize("text", [pytest.param(text, id=lead.strip("# :")) for lead, text in snippets()])
def test_examples_are_valid_pipelines(text: str) -> None:
    """Whatever users copy into their bitbucket-pipelines.yml is accepted there."""
    jsonschema.validate(pipelines(text), get_builtin_schema("vendor.bitbucket-pipelines"))


def test_contributing_shows_every_room() -> None:
    """A newcomer finds the room for a change in the tree, and a room's own first line says what lives there."""
    [tree] = re.findall(r"^    pipe/\n((?:      .*\n)+)", CONTRIBUTING, re.MULTILINE)
    shown = dict(re.findall(r"^ {6}(\w+)/ +(.*)$", tree, re.MULTILINE))
    assert set(shown) == {path.parent.name for path in (ROOT / "pipe").glob("*/__init__.py")}
    assert all(shown.values())
    assert [name for name in re.findall(r"\w+\.py", tree) if not (ROOT / "pipe" / name).exists()] == []


@pytest.mark.parametrize("path", sorted((ROOT / "pipe").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_lives_there(path: Path) -> None:
    """The first line is a sentence for who looks for something."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    assert re.match(r"\S.*[.:]$", docstring.partition("\n")[0]), docstring


@pytest.mark.parametrize("name", ["README.md", "pipe.yml"])
def test_every_reference_to_the_image_has_the_version(name: str) -> None:
    """The release replaces the version in these files, and they never differ."""
    text = (ROOT / name).read_text(encoding="utf-8")
    assert set(re.findall(rf"{PROGRAM}:([0-9][\w.-]*)", text)) == {VERSION}


def test_changelog_is_what_semversioner_makes(tmp_path: Path) -> None:
    """Nobody edits the CHANGELOG; its newest version is the one in pipe.yml."""
    shutil.copytree(ROOT / ".changes", tmp_path / ".changes")
    semversioner = Semversioner(tmp_path)
    assert (ROOT / "CHANGELOG.md").read_text(encoding="utf-8") == semversioner.generate_changelog()
    assert semversioner.get_last_version() == VERSION


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """No link into the repository is broken, neither its file nor its heading."""
    page = ROOT / name
    for file, anchor in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8"))):
        target = page.parent / file if file else page
        assert target.exists(), f"{name} links to {file}"
        assert not anchor or anchor in anchors(target.read_text(encoding="utf-8")), f"{name} links to {file}#{anchor}"


@pytest.mark.parametrize("name", [name for name in PAGES if name != "README.md"])
def test_files_that_pages_name_exist(name: str) -> None:
    """A file that was moved is found by its new name."""
    named = re.findall(r"`((?:pipe|test|docs)/[\w./-]+)`", (ROOT / name).read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []
