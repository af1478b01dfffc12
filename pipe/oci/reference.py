"""Image references in the grammar of CNCF Distribution.

Source of the grammar: distribution/reference, `reference.go` and `regexp.go`.
"""

import ipaddress
import re
from typing import NamedTuple, Self

REPOSITORY_MAXIMUM = 255
"""Characters of a repository's path; source: distribution/reference, `RepositoryNameTotalLengthMax`."""
TAG_MAXIMUM = 128
"""Characters of a tag; source: distribution/reference, `TagRegexp`."""

COMPONENT_RULE = "lower-case letters and digits, separated by '.', '_', '__' or hyphens"
TAG_RULE = f"at most {TAG_MAXIMUM} letters, digits, '_', '.' and '-', not beginning with '.' or '-'"
REGISTRY_RULE = "a host with a dot or a port, such as crg.apkg.io or 127.0.0.1:5000, without a scheme or a path"
PORT_MAXIMUM = 65535
"""The largest port; source: RFC 9293, section 3.1."""
ADDRESS_RULE = f"{REGISTRY_RULE}; a port is from 1 to {PORT_MAXIMUM}"

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_DOMAIN_COMPONENT = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_DOMAIN_COMPONENT}(?:\.{_DOMAIN_COMPONENT})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_HOST_AND_PORT = r"(?:\[(?P<address>[^\]]*)\]|[^\[\]:]+)(?::(?P<port>[0-9]+))?"
_TAG = rf"[A-Za-z0-9_][A-Za-z0-9_.-]{{0,{TAG_MAXIMUM - 1}}}"
_DIGEST = r"sha256:[0-9a-f]{64}"


class Reference(NamedTuple):
    """A reference to an image; what it does not contain is ""."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a reference as Docker does, without defaults.

        Raises:
            ValueError: The message is the rule that the text breaks.
        """
        rest, at, digest = text.partition("@")
        if at and not is_digest(digest):
            msg = "'@' must be followed by 'sha256:' and 64 hexadecimal digits"
            raise ValueError(msg)
        domain, slash, path = rest.partition("/")
        if not slash or not _names_host(domain) or _has_tag(domain):
            domain, path = "", rest
        elif not is_domain(domain):
            msg = f"the registry '{domain}' must be {REGISTRY_RULE}"
            raise ValueError(msg)
        path, colon, tag = path.partition(":")
        if colon and not is_tag(tag):
            msg = f"the tag must be {TAG_RULE}{suggestion(tag)}"
            raise ValueError(msg)
        if not is_path(path):
            msg = f"each component of an image's name must be {COMPONENT_RULE}"
            raise ValueError(msg)
        return cls(domain, path, tag, digest)

    @property
    def repository(self) -> str:
        """The reference without tag and digest."""
        return f"{self.domain}/{self.path}" if self.domain else self.path

    def with_digest(self, digest: str) -> Self:
        """Return this reference with a digest."""
        return self._replace(digest=digest)

    def with_tag(self, tag: str) -> Self:
        """Return this repository with a tag and without a digest."""
        return self._replace(tag=tag, digest="")

    def __str__(self) -> str:
        """Return the reference as Docker writes it."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"


def _names_host(text: str) -> bool:
    return text == "localhost" or bool(set(text) & set(".:["))


def _has_tag(text: str) -> bool:
    """Return whether this is `name:tag`, as in `app:feature/x`, and not a host and a port."""
    name, _, tag = text.partition(":")
    return is_component(name) and "." not in name and tag != "" and not tag.isdecimal()


def is_domain(text: str) -> bool:
    """Return whether `text` is a registry's host; it needs a dot or a port."""
    return _names_host(text) and re.fullmatch(_DOMAIN, text) is not None


def is_address(text: str) -> bool:
    """Return whether `text` is a registry's host with a valid address and port."""
    match = re.fullmatch(_HOST_AND_PORT, text)
    if match is None or not is_domain(text):
        return False
    try:
        ipaddress.IPv6Address(match["address"] or "::")
    except ValueError:
        return False
    port = match["port"]
    return port is None or (len(port) <= len(str(PORT_MAXIMUM)) and 0 < int(port) <= PORT_MAXIMUM)


def is_component(text: str) -> bool:
    """Return whether `text` is a valid component of a repository's path."""
    return "/" not in text and is_path(text)


def is_path(text: str) -> bool:
    """Return whether `text` is a valid repository path."""
    return len(text) <= REPOSITORY_MAXIMUM and re.fullmatch(_PATH, text) is not None


def is_tag(text: str) -> bool:
    """Return whether `text` is a valid tag."""
    return re.fullmatch(_TAG, text) is not None


def is_digest(text: str) -> bool:
    """Return whether `text` is a SHA-256 digest."""
    return re.fullmatch(_DIGEST, text) is not None


def tag_from(text: str) -> str:
    """Return the valid tag that is most similar to a text, such as `feature-login` for `feature/login`, "" if none."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text).lstrip(".-").rstrip("-")[:TAG_MAXIMUM]


def suggestion(text: str) -> str:
    """Return a clause that proposes a similar valid tag, "" if there is none."""
    tag = tag_from(text)
    return f"; try '{tag}'" if tag else ""
