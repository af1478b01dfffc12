"""The tags in TAGS, with their placeholders filled."""

from datetime import date

from pipe.config.tag_templates import Placeholders, template_problems
from pipe.config.tags import tag_problem
from pipe.config.values import Values
from pipe.oci.reference import is_tag


class TagReader:
    """Reads TAGS.

    Attributes:
        dropped: Sentences about tags whose placeholders have no value in this run, with the reason.
    """

    def __init__(self, values: Values, today: date) -> None:
        self._values = values
        self._placeholders = Placeholders(values.values, today)
        self.dropped: tuple[str, ...] = ()

    def read(self, usual: str) -> tuple[str, ...]:
        """Return the tags, without duplicates, and record every problem; none if TAGS is unset.

        `usual` is the tag to push then; "" if that depends on the image.
        """
        before = len(self._values.problems)
        tags: list[str] = []
        dropped: dict[str, list[str]] = {}
        without = f"push `{usual}`" if usual else "push each image under the tag in its name"
        templates = self._values.items("TAGS", without)
        if templates is None:
            return ()
        for template in templates:
            try:
                tags += self._filled("TAGS", template)
            except LookupError as reason:
                dropped.setdefault(str(reason), []).append(template)
        self.dropped = tuple(f"Not pushing {', '.join(templates)}: {reason}." for reason, templates in dropped.items())
        if not tags and len(self._values.problems) == before:
            self._values.problems.append(" ".join(["TAGS has no tag for this step.", *self.dropped]))
        return tuple(dict.fromkeys(tags))

    def existing(self, name: str, template: str) -> list[str]:
        """Return the tag of an image that exists, named in a variable, with its placeholders filled.

        Nothing if there is a problem; a placeholder without a value is one.
        """
        try:
            return self._filled(name, template)
        except LookupError as reason:
            self._values.problems.append(f"{name}: {template} cannot be filled: {reason}.")
            return []

    def _filled(self, name: str, template: str) -> list[str]:
        """Return an item of a variable with its placeholders filled; nothing if the item is invalid."""
        if self._values.fail_if_unexpanded(name, template):
            return []
        problems = template_problems(template) if "{" in template else []
        self._values.problems += [f"{name}: {problem}" for problem in problems]
        tag = "" if problems else self._placeholders.fill(template)
        return [tag] if tag and self.check(name, tag) else []

    def check(self, name: str, tag: str) -> bool:
        """Return whether a tag in the variable `name` is valid, and record why not."""
        valid = is_tag(tag)
        if not valid and not self._values.fail_if_unexpanded(name, tag):
            self._values.problems.append(f"{name}: {tag_problem(tag)}.")
        return valid
