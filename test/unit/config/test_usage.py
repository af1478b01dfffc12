"""What `--help` prints."""

import re

import yaml

from pipe.config.usage import usage
from pipe.config.variables import VARIABLES

TEXT = usage("acme/pipe:1.2.3")


def test_every_variable_stands_there_with_its_default() -> None:
    listed = re.findall(r"^  ([A-Z_]+)( \(required\))?\n      (.+)\.$(?:\n      Default: (.+)\.$)?", TEXT, re.MULTILINE)
    assert [(name, usage, default or None, bool(mark)) for name, mark, usage, default in listed] == [
        (each.name, each.usage.replace("`", ""), each.default and each.default.replace("`", ""), each.required)
        for each in VARIABLES
    ]


def test_the_example_is_a_step_of_this_pipe() -> None:
    (step,) = yaml.safe_load(TEXT[TEXT.index("  - pipe:") :])
    assert step["pipe"] == "docker://acme/pipe:1.2.3"
    assert set(step["variables"]) <= {variable.name for variable in VARIABLES}
    assert {variable.name for variable in VARIABLES if variable.required} <= set(step["variables"])


def test_no_line_is_longer_than_a_hundred_columns() -> None:
    assert max(map(len, TEXT.splitlines())) <= 100
