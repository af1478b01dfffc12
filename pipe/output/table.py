"""The table of layers at the end of a push."""

from collections.abc import Sequence

from pipe.push.result import ARRIVED, LayerResult, LayerStatus
from pipe.units import format_duration, format_size

_SHOWN = frozenset((*ARRIVED, LayerStatus.WOULD_UPLOAD))
WIDTH = 94
"""Characters of a line: a hundred columns without `INFO: `."""


def table(layers: Sequence[LayerResult]) -> list[str]:
    """Return one line for each layer, in columns, below a line for its platform if there are several platforms.

    Args:
        layers: From the lowest up.

    Returns:
        The lines; none if the outcome is not known for any layer, or if the registry had all of them.
    """
    statuses = {layer.status for layer in layers}
    if not statuses & _SHOWN or statuses == {LayerStatus.ALREADY_THERE}:
        return []
    rows = [("", "stored", "time", "status", "layer")]
    rows += [
        (
            str(each.layer.number),
            _size(each),
            format_duration(each.seconds) if each.seconds is not None else "",
            each.status if each.status in _SHOWN else "not uploaded",
            each.layer.origin,
        )
        for each in layers
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        f"{number:>{widths[0]}}  {size:>{widths[1]}}  {time:>{widths[2]}}  {status:<{widths[3]}}  {what}".rstrip()
        for number, size, time, status, what in rows
    ]
    platforms = [each.layer.platform for each in layers]
    for index, platform in reversed(list(enumerate(platforms))):
        if platform and (index == 0 or platform != platforms[index - 1]):
            lines.insert(index + 1, platform)
    return [line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in lines]


def _size(result: LayerResult) -> str:
    """Return the stored size, or else the uncompressed one: a small layer can be stored in more bytes than that."""
    if result.descriptor is not None:
        return format_size(result.descriptor.size)
    return "" if result.layer.size is None else f"{format_size(result.layer.size)} unpacked"
