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
            str(layer.number),
            _size(layer),
            format_duration(layer.seconds) if layer.seconds is not None else "",
            layer.status if layer.status in _SHOWN else "not uploaded",
            layer.origin,
        )
        for layer in layers
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        f"{number:>{widths[0]}}  {size:>{widths[1]}}  {time:>{widths[2]}}  {status:<{widths[3]}}  {what}".rstrip()
        for number, size, time, status, what in rows
    ]
    for index in reversed(range(len(layers))):
        if layers[index].platform and (index == 0 or layers[index].platform != layers[index - 1].platform):
            lines.insert(index + 1, layers[index].platform)
    return [line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…" for line in lines]


def _size(layer: LayerResult) -> str:
    """Return the stored size, or else the uncompressed one: a small layer can be stored in more bytes than that."""
    if layer.descriptor is not None:
        return format_size(layer.descriptor.size)
    return "" if layer.size is None else f"{format_size(layer.size)} unpacked"
