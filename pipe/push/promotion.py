"""Images that are in the registry already: promoted as they are, or joined by an index."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pipe.errors import ConfigurationError, PipeError, PushDeniedError, SourceNotFoundError, SourceUnusableError
from pipe.oci.config import CONFIG_SIZE, image_of
from pipe.oci.descriptor import Platform
from pipe.oci.fields import members
from pipe.oci.image import Image, Layer
from pipe.oci.index import entries_of, entry_of, is_platform, name_of, platform_of
from pipe.oci.manifest import DOCKER_CONFIG, INDEXES, OCI_CONFIG, Manifest
from pipe.oci.reference import Reference, is_digest
from pipe.push.context import Context
from pipe.push.registry_manifests import RegistryManifests
from pipe.push.verify import missing_blobs
from pipe.registry.errors import recast
from pipe.registry.repository import Repository
from pipe.source.registry_source import RegistrySource
from pipe.text import listed

_CONFIGS = frozenset((DOCKER_CONFIG, OCI_CONFIG))
_SHOWN = 3


def find(context: Context, repositories: Callable[[str], Repository]) -> RegistrySource:
    """Find what a request promotes or joins; `repositories` returns the repository with a path."""
    promotion = context.request.promotion
    if promotion is None:
        raise ValueError(context.request.image)
    source, target = repositories(promotion.repository), context.repository
    package = Reference(context.request.registry, promotion.repository)
    names = [package.with_digest(name) if is_digest(name) else package.with_tag(name) for name in promotion.names]
    return joined(source, target, names) if promotion.is_joined else promoted(source, target, names[0])


def promoted(source: Repository, target: Repository, name: Reference) -> RegistrySource:
    """Find the image to promote.

    In one package, the blobs of an image are asked for. Of an index, it is the manifests of its images: the registry
    has stored them, and keeps what they name.

    Raises:
        SourceNotFoundError: The registry does not have it.
        SourceUnusableError: It is not complete.
        PipeError: The registry does not answer, or the credentials do not suffice.
    """
    found = _found(source, target, [name], attestations=source is not target)
    [root] = found.roots
    manifests = found.below(root)
    if source is target and not root.manifests:
        _check_blobs(source, found, [root])
    configs = {} if source is target and root.manifests else _configs(source, manifests)
    platforms = {child.digest: child.platform for each in manifests for child in each.manifests}
    images = [_image(each, configs.get(each.digest), platforms.get(each.digest)) for each in manifests]
    return _source(source, target, manifests, images)


def joined(source: Repository, target: Repository, names: Sequence[Reference]) -> RegistrySource:
    """Find images, and make the index that joins them.

    The images of an index among them are taken one by one, and the attestations with them.

    Raises:
        ConfigurationError: Two images are for one platform, or one has no platform; the error lists all problems.
        SourceNotFoundError: The registry does not have some of them.
        SourceUnusableError: One is not complete.
        PipeError: The registry does not answer, or the credentials do not suffice.
    """
    found = _found(source, target, names)
    below = found.below(*found.roots)
    configs = _all_configs(source, found, [each for each in below if _is_image(each)])
    entries = [
        entry
        for name, root in zip(names, found.roots, strict=True)
        for entry in _entries(found, configs, name, root, set())
    ]
    problems = list(dict.fromkeys(_problems(names, entries)))
    if problems:
        raise ConfigurationError(problems)
    index = Manifest.of_index([entry.content for entry in entries])
    listed_here = {entry.digest for entry in entries}
    children = [each for each in below if each.digest in listed_here]
    if source is target:
        _check_blobs(source, found, children)
    images = [
        _image(found[entry.digest], configs.get(entry.digest), Platform.parse(entry.content.get("platform")))
        for entry in entries
        if not entry.is_attestation
    ]
    return _source(source, target, (*children, index), images)


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry of the index to make, and the image that the user named for it."""

    tag: str
    content: dict[str, object]
    digest: str
    platform: str
    is_attestation: bool = False
    is_image: bool = True


def _entries(
    found: RegistryManifests, configs: Mapping[str, bytes], name: Reference, root: Manifest, seen: set[str]
) -> Iterator[_Entry]:
    """Yield the entries for one name; those of an index in it once, however often it is listed."""
    tag = name.digest or name.tag
    if root.media_type not in INDEXES:
        platform = platform_of(configs.get(root.digest, b""))
        yield _Entry(tag, entry_of(root, platform), root.digest, name_of(platform), is_image=_is_image(root))
        return
    for content, child in entries_of(root):
        manifest = found[child.digest]
        if manifest.media_type in INDEXES:
            if manifest.digest not in seen:
                seen.add(manifest.digest)
                yield from _entries(found, configs, name, manifest, seen)
            continue
        whole, platform = content, members(members(content).get("platform"))
        if not child.is_attestation and not is_platform(platform):
            platform = platform_of(configs.get(child.digest, b""))
            whole = {key: value for key, value in content.items() if key.casefold() != "platform"}
            whole |= {"platform": platform} if platform else {}
        yield _Entry(tag, whole, child.digest, name_of(platform), child.is_attestation, _is_image(manifest))


def _problems(names: Sequence[Reference], entries: Iterable[_Entry]) -> Iterator[str]:
    """Yield a sentence for each image that cannot be in the index."""
    first: dict[str, str] = {}
    without = [name.digest or name.tag for name in names]
    for entry in entries:
        if entry.is_attestation:
            continue
        without = [each for each in without if each != entry.tag]
        if not entry.is_image:
            yield f"PLATFORM_TAGS: {entry.tag} is not an image ({entry.digest})."
        elif not entry.platform:
            yield f"PLATFORM_TAGS: {entry.tag} has no platform in its config ({entry.digest})."
        elif entry.platform in first:
            both = dict.fromkeys((first[entry.platform], entry.tag))
            are = "are both" if len(both) > 1 else "has two images"
            yield f"PLATFORM_TAGS: {' and '.join(both)} {are} for {entry.platform}."
        first.setdefault(entry.platform, entry.tag)
    yield from (f"PLATFORM_TAGS: {each} is an index without images." for each in without)


def _found(
    source: Repository, target: Repository, names: Sequence[Reference], *, attestations: bool = True
) -> RegistryManifests:
    try:
        return RegistryManifests(source, names, attestations=attestations)
    except (SourceNotFoundError, PushDeniedError) as error:
        if source is not target:
            raise _of_another_package(error) from error
        if isinstance(error, SourceNotFoundError):
            # Perhaps the package does not exist, or is not accessible: that is the better reason.
            target.check_push()
        raise


def _of_another_package(error: PipeError) -> PipeError:
    """Return an error about the package that has the image, which credentials for the target may not reach."""
    linked = "A step's own credentials reach only packages linked to the repository whose pipeline runs."
    if isinstance(error, SourceNotFoundError):
        cause = f"{error.cause.rstrip('.')}, or these credentials cannot read it."
        return SourceNotFoundError(cause, fix=f"{error.fix} {linked}")
    denied = recast(SourceUnusableError, error)
    denied.fix = f"{linked} Link the package to it, or use credentials that can read both."
    return denied


def _configs(repository: Repository, manifests: Sequence[Manifest]) -> dict[str, bytes]:
    """Return the configs that can be read, by the digest of the manifest."""
    named = {each.digest: each.config for each in manifests if each.config is not None and _is_image(each)}
    read = repository.pool.gather([partial(repository.read, config, CONFIG_SIZE) for config in named.values()])
    return {digest: config for digest, config in zip(named, read, strict=True) if config is not None}


def _all_configs(repository: Repository, found: RegistryManifests, manifests: Sequence[Manifest]) -> dict[str, bytes]:
    """Return every config, which names a platform, or raise."""
    configs = _configs(repository, manifests)
    unread = [each for each in manifests if each.digest not in configs]
    if unread:
        _check_blobs(repository, found, unread)
        raise found.unusable(f"the config {unread[0].config} cannot be read")
    return configs


def _check_blobs(repository: Repository, found: RegistryManifests, manifests: Sequence[Manifest]) -> None:
    missing = missing_blobs(repository, manifests)
    if missing:
        raise found.unusable(f"the registry does not have {listed(missing, _SHOWN)}")


def _is_image(manifest: Manifest) -> bool:
    config = manifest.config_descriptor
    return (
        config is not None
        and config.media_type in _CONFIGS
        and not any("in-toto" in layer.media_type for layer in manifest.layers)
    )


def _image(manifest: Manifest, config: bytes | None, platform: Platform | None = None) -> Image | None:
    """Return the image for the log, with its instructions if its config is known; None for anything else."""
    if not _is_image(manifest):
        return None
    if config is not None:
        try:
            return image_of(manifest.digest, config, manifest.layers)
        except ValueError:
            pass
    layers = tuple(Layer(number, each.digest, None, None, each) for number, each in enumerate(manifest.layers, 1))
    return Image(manifest.digest, sum(each.size for each in manifest.layers), layers, platform=platform)


def _source(
    source: Repository, target: Repository, manifests: Sequence[Manifest], images: Iterable[Image | None]
) -> RegistrySource:
    return RegistrySource(source, manifests, [each for each in images if each is not None], present=source is target)
