"""The table of layers at the end of a push (pure)."""

from collections.abc import Sequence

from pipe.oci.image import ARRIVED, Layer, LayerStatus, cut
from pipe.units import format_duration, format_size

_SHOWN = frozenset((*ARRIVED, LayerStatus.WOULD_UPLOAD))
_BASE = "base image"


def table(layers: Sequence[Layer]) -> list[str]:
    """Tell what became of each layer.

    Args:
        layers: From the base up.

    Returns:
        A line a layer, in columns; none where nothing is known. A size that is only known unpacked says so.
    """
    if not any(layer.status in _SHOWN for layer in layers):
        return []
    rows = [("", "stored", "time", "status", "layer")]
    rows += [
        (
            str(layer.number),
            _size(layer),
            format_duration(layer.seconds) if layer.seconds is not None else "",
            layer.status if layer.status in _SHOWN else "not uploaded",
            cut(layer.instruction) if layer.instruction else _BASE if layer.number == 1 else "",
        )
        for layer in layers
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        f"{number:>{widths[0]}}  {size:>{widths[1]}}  {time:>{widths[2]}}  {status:<{widths[3]}}  {what}".rstrip()
        for number, size, time, status, what in rows
    ]


def _size(layer: Layer) -> str:
    if layer.descriptor is not None:
        return format_size(layer.descriptor.size)
    return "" if layer.size is None else f"at most {format_size(layer.size)}"
