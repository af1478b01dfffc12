"""The gateway's options, read once from the environment."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from registry.gateway.upload import Traits

if TYPE_CHECKING:
    from collections.abc import Mapping

# A name or an address, and a port.
HOST = re.compile(r"(?:\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9](?:[\w.-]*[a-zA-Z0-9])?)(?::\d{1,5})?", re.ASCII)
_SIZE = re.compile(r"(\d+)\s*([kKMGT]?)(i?)B?")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)?")
_SECONDS = {"ms": 0.001, None: 1, "s": 1, "m": 60, "h": 3600}


class OptionError(ValueError):
    """An option's value cannot be used; the text names the variable and what it takes."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the gateway runs. Times in seconds, sizes in bytes."""

    world: Path
    data: Path
    host: str
    port: int
    max_layer: int
    upload_timeout: float
    cut_on_timeout: bool
    traits: Traits
    token_lifetime: float
    visible_delay: float
    lease: float
    young: float
    most_uploads: int
    """How many uploads to one package may be open."""
    header_timeout: float
    url: str
    """Scheme and host that clients know the registry by; empty for what each of them says."""
    tls_cert: Path | None
    tls_key: Path | None

    @property
    def storage(self) -> Path:
        """The root of Distribution's storage."""
        return self.data / "storage"


def read_options(environment: Mapping[str, str]) -> Options:
    """Read every `REGISTRY_…` variable; an empty one counts as not set.

    The limits' defaults are the documented ones of Bitbucket's registry: 32 GB and 7 minutes.

    Raises:
        OptionError: a value cannot be used.

    """

    def value(name: str, default: str) -> str:
        return environment.get(name, "").strip() or default

    def path(name: str) -> Path | None:
        text = value(name, "")
        return Path(text) if text else None

    def duration(name: str, default: str) -> float:
        return _duration(name, value(name, default))

    def count(name: str, default: str) -> int:
        text = value(name, default)
        if not text.isascii() or not text.isdecimal():
            raise OptionError(f"{name} takes a number, not {text!r}")
        return int(text)

    def choice(name: str, *choices: str) -> str:
        text = value(name, choices[0])
        if text not in choices:
            raise OptionError(f"{name} takes {' or '.join(choices)}")
        return text

    host, _, port = value("REGISTRY_LISTEN", "127.0.0.1:5000").rpartition(":")
    if not host or not port.isdecimal():
        raise OptionError("REGISTRY_LISTEN takes an address and a port, like 127.0.0.1:5000")
    tls_cert, tls_key = path("REGISTRY_TLS_CERT"), path("REGISTRY_TLS_KEY")
    if (tls_cert is None) != (tls_key is None):
        raise OptionError("REGISTRY_TLS_CERT and REGISTRY_TLS_KEY need each other")
    return Options(
        world=Path(value("REGISTRY_WORLD", str(Path(__file__).parent.parent / "world.yaml"))),
        data=Path(value("REGISTRY_DATA", "registry-data")).absolute(),
        host=host,
        port=int(port),
        max_layer=_size("REGISTRY_MAX_LAYER", value("REGISTRY_MAX_LAYER", "32GB")),
        upload_timeout=duration("REGISTRY_UPLOAD_TIMEOUT", "7m"),
        cut_on_timeout=choice("REGISTRY_ON_UPLOAD_TIMEOUT", "504", "cut") == "cut",
        traits=Traits(
            checked=choice("REGISTRY_CHUNKS", "checked", "2.8") == "checked",
            by_request=choice("REGISTRY_UPLOAD_TIMEOUT_OF", "upload", "request") == "request",
            least_chunk=_size("REGISTRY_CHUNK_MIN", value("REGISTRY_CHUNK_MIN", "0")),
        ),
        token_lifetime=duration("REGISTRY_TOKEN_LIFETIME", "5m"),
        visible_delay=duration("REGISTRY_VISIBLE_DELAY", "0"),
        lease=duration("REGISTRY_LEASE", "2m"),
        most_uploads=count("REGISTRY_MOST_UPLOADS", "5000"),
        young=duration("REGISTRY_YOUNG", "1h"),
        header_timeout=duration("REGISTRY_HEADER_TIMEOUT", "10s"),
        url=_url(value("REGISTRY_URL", "")),
        tls_cert=tls_cert,
        tls_key=tls_key,
    )


def _url(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or HOST.fullmatch(parts.netloc) is None or parts.path != ""):
        raise OptionError(f"REGISTRY_URL takes a scheme and a host, like https://registry.example:5000, not {text!r}")
    return text


def _size(name: str, text: str) -> int:
    match = _SIZE.fullmatch(text)
    if match is None:
        raise OptionError(f"{name} takes a size like 32GB, 500MB or 32GiB, not {text!r}")
    number, prefix, binary = match.groups()
    power = " KMGT".index(prefix.upper() or " ")
    return int(number) * int((1024 if binary else 1000) ** power)


def _duration(name: str, text: str) -> float:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise OptionError(f"{name} takes a time like 7m, 90s or 420, not {text!r}")
    number, unit = match.groups()
    return float(number) * _SECONDS[unit]
