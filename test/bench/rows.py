"""All that is measured, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from bench import link_rows, package_rows, promotion_rows, release_rows, sections, split_rows, uploads
from bench.links import LINKS
from bench.measure import Bench
from bench.report import Section


@dataclass(frozen=True, slots=True)
class Row:
    """A measurement.

    Attributes:
        measure: Measures it.
        times: How many times as often as the others it is repeated, being short.
    """

    measure: Callable[[Bench], Section]
    times: int = 1


ROWS: Mapping[str, Row] = {
    "size": Row(sections.size),
    "start": Row(sections.cold_start, 4),
    "unchanged": Row(sections.already_there, 4),
    "one-layer": Row(uploads.one_layer),
    "five-layers": Row(uploads.five_layers),
    **{link.name: Row(partial(link_rows.over, link=link)) for link in LINKS},
    "first-byte": Row(link_rows.first_byte),
    "round-trip": Row(link_rows.round_trips),
    "small": Row(uploads.small, 4),
    "known": Row(uploads.mostly_known),
    "one-new": Row(uploads.one_new),
    "packages": Row(package_rows.three_packages),
    "release": Row(release_rows.release),
    "other-package": Row(package_rows.other_package),
    "promotion": Row(promotion_rows.promotion, 4),
    "pull": Row(package_rows.pull),
    "processors": Row(uploads.processors),
    "too-slow": Row(uploads.too_slow),
    "tags": Row(sections.ten_tags),
    "no-memory": Row(sections.no_memory),
    "archive": Row(sections.image_archives),
    "split": Row(split_rows.cost),
    "split-connections": Row(split_rows.connections),
    "encoding": Row(sections.encoding),
    "gateway": Row(sections.gateway),
    "memory": Row(uploads.large),
    "split-large": Row(split_rows.large),
}
LONG = ("memory", "split-large")
"""Rows that are measured only if they are named."""
