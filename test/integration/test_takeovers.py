"""What the Engine stages for the pipe while it pushes: read by a pipe that takes over, and ended in any other case."""

import signal
from contextlib import AbstractContextManager, closing

from integration.engine_proxy import EngineProxy, Save
from integration.images import MB, Images
from integration.prefixes import layers_in
from integration.registries import digest_in
from integration.running import Start
from registry.client import LocalRegistry

from pipe.engine.client import Engine
from pipe.errors import EngineSaveError
from pipe.oci.image import Image
from pipe.push.early_staging import EarlyStaging
from pipe.source.engine_source import EngineSource


class Exporter:
    """An Engine's exports, as a run wires them, without a log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.saved = self.staged = engine.saved

    def prefixes(self, image: Image, known: frozenset[str]) -> AbstractContextManager[tuple[Image, ...]]:
        """Provide prefixes."""
        return self._engine.prefixes(image, print, known)

    def check(self, error: EngineSaveError) -> None:
        """Fail."""
        raise error

    def sweep(self) -> None:
        """Do nothing."""


def test_the_pipe_reads_the_export_that_was_begun_for_it(images: Images, proxy: EngineProxy) -> None:
    engine = Engine({"DOCKER_HOST": proxy.docker_host})
    image = engine.image(images.build(60 * MB, MB).id)
    source = EngineSource(image, Exporter(engine))
    proxy.save = Save()
    with closing(EarlyStaging()) as staging:
        staging.begin(source)
        assert proxy.save.seen.wait(60)
        with source.blobs() as blobs:
            assert sorted(layers_in(blobs)) == sorted(image.diff_ids)
        assert proxy.save.ended.wait(60)
    assert proxy.save.asked == [1]


def test_an_export_that_was_begun_in_vain_is_ended(images: Images, proxy: EngineProxy) -> None:
    """The unit tests show when: how fast an Engine seems here depends on buffers and on what else the machine does."""
    engine = Engine({"DOCKER_HOST": proxy.docker_host})
    source = EngineSource(engine.image(images.build(60 * MB, MB).id), Exporter(engine))
    proxy.save = Save()
    with closing(EarlyStaging()) as staging:
        staging.begin(source)
        assert proxy.save.seen.wait(60)
        assert not proxy.save.ended.is_set()
        staging.close()
        assert proxy.save.ended.wait(60)
    assert proxy.save.asked == [1]


def test_a_signal_ends_what_the_engine_stages_and_pushes(
    registry: LocalRegistry, images: Images, start: Start, proxy: EngineProxy
) -> None:
    image = images.build(150 * MB)
    registry.fault(method="PATCH", bytes_per_second=MB)
    proxy.save = Save()
    running = start(registry, IMAGE_NAME=image.name, DOCKER_HOST=proxy.docker_host, TAGS="stopped")
    assert proxy.save.seen.wait(60)
    running.signal(signal.SIGTERM)
    running.finish().expect(143, "The push was stopped by signal SIGTERM", within=2)
    assert proxy.save.ended.wait(60)
    assert digest_in(registry, "stopped") is None
