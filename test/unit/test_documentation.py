"""README, pipe.yml and CHANGELOG say what the code does: no variable, default, code, kind or version differs."""

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
from pipe.oci.image import Layer, LayerStatus
from pipe.oci.reference import Reference
from pipe.push.result import Result, TagResult, TagStatus

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
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

REQUIRED_MARK = re.compile(r" \(\*+\)$")
DEFAULT = re.compile(r"Default: (.+)\.$")


def section(heading: str) -> str:
    """Return the text of README below a heading, up to the next one of its level or above."""
    level = heading.index(" ")
    found = re.search(rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{level}}} |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found is not None, f"README has no heading {heading!r}"
    return found[1]


def table(heading: str) -> dict[str, list[str]]:
    """Return the first table below a heading: the other cells by the first."""
    rows = [line.strip("| ").split(" | ") for line in section(heading).splitlines() if line.startswith("|")]
    return {first: rest for first, *rest in rows[2:]}


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
    """Users copy the snippet and uncomment what they need."""
    offered = re.findall(r"^ +(?:# )?([A-Z_]+): '<", section("## YAML Definition"), re.MULTILINE)
    assert offered == [variable.name for variable in VARIABLES]


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
    layers = (Layer(1, "", status=LayerStatus.UPLOADED),)
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


def test_what_went_wrong_has_every_kind_of_error() -> None:
    """A message in a log leads to its row by the words it begins with."""
    assert set(table("### What went wrong?")) == {kind.title for kind in kinds()} | {StoppedError.title}


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.__name__) for kind in kinds()])
def test_every_row_says_cause_and_fix(kind: type[PipeError]) -> None:
    """A row that only repeats the message helps nobody."""
    cause, fix = table("### What went wrong?")[kind.title]
    assert cause.endswith(".")
    assert fix.endswith(".")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=lead.strip("# :"))
        for lead, text in re.findall(r"^([^\n]+)\n\n```yaml\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    ],
)
def test_examples_are_valid_pipelines(text: str) -> None:
    """Whatever users copy into their bitbucket-pipelines.yml is accepted there."""
    example = yaml.safe_load(text)
    items = example["script"] if isinstance(example, dict) else example
    steps = items if "step" in items[0] else [{"step": {"script": items}}]
    jsonschema.validate({"pipelines": {"default": steps}}, get_builtin_schema("vendor.bitbucket-pipelines"))


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


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!https?:|#)[^)]+)\)", README))))
def test_links_lead_to_files(link: str) -> None:
    """A link into the repository is not broken."""
    assert (ROOT / link).exists()


@pytest.mark.parametrize("anchor", sorted(set(re.findall(r"\]\(#([^)]+)\)", README))))
def test_links_lead_to_headings(anchor: str) -> None:
    """A link within README is not broken."""
    headings = re.findall(r"^#+ (.*)$", README, re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
