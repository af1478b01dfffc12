"""Which Dockerfile instruction made which layer, and that nothing secret of it shows.

The histories are those of Docker Engine 20.10, of its classic builder and of BuildKit.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipe.engine.history import EMPTY_LAYER, image_from
from pipe.oci.config import REVISION
from pipe.oci.history import instruction
from pipe.oci.image import Image, Layer, cut, shorten

Entry = tuple[str, int]
NOP = "/bin/sh -c #(nop) "
FILE = "file:" + "0123456789abcdef" * 4
IMPORTED = ("", 78_484_703)
ADDED = (f"{NOP}ADD {FILE} in / ", 100)
COPIED = (f"{NOP}COPY {FILE} in /y ", 20)
SHELL_SET = "/bin/bash -euo pipefail -c "


def found(entries: list[Entry], layers: int, *, size: int | None = None, empty: tuple[int, ...] = ()) -> Image:
    """Bring together an image with so many layers, and a history, oldest first."""
    diff_ids = [EMPTY_LAYER if number in empty else f"sha256:{number:064x}" for number in range(1, layers + 1)]
    inspected = {
        "Id": "sha256:1",
        "Size": sum(entry_size for _, entry_size in entries) if size is None else size,
        "RootFS": {"Type": "layers", "Layers": diff_ids},
    }
    history = [{"CreatedBy": text, "Size": entry_size} for text, entry_size in reversed(entries)]
    return image_from(inspected, history)


def known(image: Image) -> list[tuple[int | None, str | None]]:
    """Return what is known of each layer, from the base up."""
    assert [layer.number for layer in image.layers] == list(range(1, len(image.layers) + 1))
    return [(layer.size, layer.instruction) for layer in image.layers]


NOTHING = (None, None)


@pytest.mark.parametrize(
    ("entries", "layers", "expected"),
    [
        pytest.param(
            [ADDED, (f'{NOP} CMD ["bash"]', 0), (f"{NOP}WORKDIR /app", 0), ("/bin/sh -c make", 30), COPIED],
            4,
            [(100, "ADD … in /"), (0, "WORKDIR /app"), (30, "RUN make"), (20, "COPY … in /y")],
            id="classic-builder",
        ),
        pytest.param(
            [ADDED, (f"{NOP}WORKDIR /app", 0), COPIED],
            2,
            [(100, "ADD … in /"), NOTHING],
            id="classic-builder-workdir-without-layer",
        ),
        pytest.param(
            [ADDED, ("/bin/sh -c true", 0), COPIED, (f"{NOP}WORKDIR /app", 0)],
            3,
            [(100, "ADD … in /"), NOTHING, NOTHING],
            id="classic-builder-run-that-changed-nothing",
        ),
        pytest.param(
            [ADDED, ("/bin/sh -c rm /f", 0), COPIED],
            3,
            [(100, "ADD … in /"), (0, "RUN rm /f"), (20, "COPY … in /y")],
            id="classic-builder-run-that-only-removed",
        ),
        pytest.param(
            [
                ADDED,
                ("ENV PATH=/bin", 0),
                ("RUN /bin/sh -c true # buildkit", 0),
                ("WORKDIR /app", 0),
                ("COPY . /app # buildkit", 20),
                ('CMD ["app"]', 0),
            ],
            4,
            [(100, "ADD … in /"), (0, "RUN true"), (0, "WORKDIR /app"), (20, "COPY . /app")],
            id="buildkit",
        ),
        pytest.param(
            [ADDED, ("RUN /bin/sh -c true # buildkit", 0), ("WORKDIR /app", 0), ("COPY . /app # buildkit", 20)],
            3,
            [(100, "ADD … in /"), (0, "RUN true"), NOTHING],
            id="buildkit-workdir-without-layer",
        ),
        pytest.param(
            [IMPORTED, (f"{NOP} ENV A=b", 0), COPIED],
            2,
            [(78_484_703, None), (20, "COPY … in /y")],
            id="docker-import",
        ),
        pytest.param(
            [ADDED, ("/bin/sh -c make", 0), (COPIED[0], 0), ("", 50)],
            2,
            [(100, "ADD … in /"), NOTHING],
            id="squashed",
        ),
        pytest.param(
            [ADDED, ("RUN /bin/sh -c a # buildkit", 0), ("RUN /bin/sh -c b # buildkit", 0), ("", 50)],
            2,
            [(100, "ADD … in /"), NOTHING],
            id="squashed-from-buildkit",
        ),
        pytest.param(
            [ADDED, ("bash", 20)],
            2,
            [(100, "ADD … in /"), (20, "bash")],
            id="docker-commit",
        ),
        pytest.param(
            [(f"{SHELL_SET}#(nop) COPY dir:{'0' * 64} in pipe ", 10), (f"{SHELL_SET}python3 -m compileall", 5)],
            2,
            [(10, "COPY … in pipe"), (5, "RUN python3 -m compileall")],
            id="shell-instruction",
        ),
        pytest.param([], 0, [], id="scratch"),
        pytest.param([], 2, [NOTHING, NOTHING], id="no-history"),
        pytest.param([ADDED], 3, [(100, "ADD … in /"), NOTHING, NOTHING], id="history-too-short"),
        pytest.param([ADDED, COPIED], 1, [(100, "ADD … in /")], id="history-too-long"),
        pytest.param(
            [(f"{NOP}VOLUME /data", 7), COPIED], 2, [(7, "VOLUME /data"), (20, "COPY … in /y")], id="volume-with-bytes"
        ),
    ],
)
def test_layers_are_matched_as_far_as_is_certain(
    entries: list[Entry], layers: int, expected: list[tuple[int | None, str | None]]
) -> None:
    assert known(found(entries, layers)) == expected


def test_a_layer_without_files_had_no_bytes() -> None:
    assert known(found([ADDED, COPIED, ("/bin/sh -c make", 3)], 3, empty=(2,))) == [
        (100, "ADD … in /"),
        NOTHING,
        NOTHING,
    ]


def test_sizes_that_do_not_add_up_say_nothing() -> None:
    zero = [("ADD rootfs.tar / # buildkit", 0), ("RUN /bin/sh -c make # buildkit", 0)]
    image = found(zero, 2, size=50_000_000)
    assert known(image) == [NOTHING, NOTHING]
    assert image.size == 50_000_000


@pytest.mark.parametrize(
    "inspected",
    [
        pytest.param({}, id="empty"),
        pytest.param({"RootFS": None}, id="no-root"),
        pytest.param({"RootFS": {"Type": "layers"}}, id="no-layers"),
        pytest.param({"RootFS": {"Layers": None}, "Size": None, "Id": None}, id="nulls"),
        pytest.param({"Os": None, "Architecture": None, "Variant": None, "Manifests": None}, id="no-platform"),
        pytest.param({"Manifests": [None, {"Kind": "image", "Available": True, "Descriptor": None}]}, id="manifests"),
    ],
)
@pytest.mark.parametrize("history", [None, []], ids=["null", "empty"])
def test_an_image_of_which_nothing_is_known(inspected: dict[str, object], history: list[dict[str, object]]) -> None:
    assert image_from(inspected, history) == Image("", 0, ())


@pytest.mark.parametrize(
    ("inspected", "revision"),
    [
        pytest.param({"Config": {"Labels": {REVISION: "c0ffee"}}}, "c0ffee", id="label"),
        pytest.param({"Config": {"Labels": None}}, "", id="no-labels"),
        pytest.param({"Config": None}, "", id="no-config"),
    ],
)
def test_the_revision_is_that_of_the_label(inspected: dict[str, object], revision: str) -> None:
    assert image_from(inspected, []).revision == revision


def test_null_as_a_history_leaves_the_layers_without_instructions() -> None:
    image = image_from({"Id": "sha256:1", "Size": 7, "RootFS": {"Layers": ["sha256:2"]}}, None)
    assert image == Image("sha256:1", 7, (Layer(1, "sha256:2"),))


@pytest.mark.parametrize(
    ("created_by", "shown"),
    [
        pytest.param("", "", id="empty"),
        pytest.param(
            "/bin/sh -c apt-get update  && \n apt-get install x",
            "RUN apt-get update && apt-get install x",
            id="white-space",
        ),
        pytest.param("|1 NPM_TOKEN=s3cr3t /bin/sh -c npm ci", "RUN npm ci", id="argument"),
        pytest.param("|2 A=s3cr3t words B=s3cr3t /bin/sh -c npm ci", "RUN npm ci", id="argument-with-spaces"),
        pytest.param("|1 A=/bin/sh s3cr3t /bin/sh -c npm ci", "RUN npm ci", id="argument-with-a-path"),
        pytest.param("RUN |1 A=s3cr3t /bin/sh -c npm ci # buildkit", "RUN npm ci", id="argument-of-buildkit"),
        pytest.param("|1 A=x sh -c s3cr3t /bin/sh -c npm ci", "RUN …", id="argument-like-a-shell"),
        pytest.param("|1 A=s3cr3t /bin/sh -c bash -c 'npm ci'", "RUN …", id="shell-in-a-shell"),
        pytest.param("|1 A=s3cr3t npm ci", "RUN …", id="argument-and-no-shell"),
        pytest.param("|1 A=wash -c s3cr3t\n/bin/bash -o pipefail -c npm ci", "RUN npm ci", id="argument-over-lines"),
        pytest.param(f"{NOP} ENV TOKEN=s3cr3t", "ENV TOKEN=***", id="env"),
        pytest.param("ENV A=s3cr3t B=s3cr3t", "ENV A=***", id="env-of-several"),
        pytest.param("ENV TOKEN s3cr3t and more", "ENV TOKEN=***", id="env-with-a-space"),
        pytest.param('ENV "TOKEN"="s3cr3t"', "ENV ***", id="env-in-quotes"),
        pytest.param("env token=s3cr3t", "env token=***", id="env-in-lower-case"),
        pytest.param("ARG TOKEN=s3cr3t word", "ARG TOKEN=***", id="arg"),
        pytest.param("ARG TOKEN", "ARG TOKEN=***", id="arg-without-value"),
        pytest.param('LABEL com.acme.token="s3cr3t word"', "LABEL com.acme.token=***", id="label"),
        pytest.param('LABEL "com.acme/x"="s3cr3t"', "LABEL ***", id="label-in-quotes"),
        pytest.param("RUN /bin/sh -c TOKEN=s3cr3t make", "RUN TOKEN=*** make", id="assignment"),
        pytest.param("RUN /bin/sh -c A='s3cr3t word' make", "RUN A=*** make", id="assignment-in-quotes"),
        pytest.param('RUN /bin/sh -c A="s3cr3t word" make', "RUN A=*** make", id="assignment-in-double-quotes"),
        pytest.param("RUN /bin/sh -c x --password s3cr3t y", "RUN x --password *** y", id="option"),
        pytest.param("RUN /bin/sh -c x --password=s3cr3t y", "RUN x --password=*** y", id="option-with-equals-sign"),
        pytest.param("RUN /bin/sh -c x --api-key 's3cr3t z' y", "RUN x --api-key *** y", id="option-in-quotes"),
        pytest.param(
            "RUN /bin/sh -c docker login -u me -p s3cr3t h", "RUN docker login -u *** -p *** h", id="short-options"
        ),
        pytest.param("RUN /bin/sh -c mkdir -p /app", "RUN mkdir -p /app", id="mkdir"),
        pytest.param("RUN /bin/sh -c curl https://me:s3cr3t@h/p", "RUN curl https://***@h/p", id="url-user"),
        pytest.param(
            "RUN /bin/sh -c curl https://me:a@s3cr3t@h/p", "RUN curl https://***@h/p", id="url-user-with-at-sign"
        ),
        pytest.param("RUN /bin/sh -c curl https://h/p?s3cr3t x", "RUN curl https://h/p?… x", id="url-query"),
        pytest.param(
            "RUN /bin/sh -c curl -H 'Authorization: Bearer s3cr3t' h", "RUN curl -H 'Authorization: ***' h", id="bearer"
        ),
        pytest.param(
            'RUN /bin/sh -c curl -H "PRIVATE-TOKEN: s3cr3t" h', 'RUN curl -H "PRIVATE-TOKEN: ***" h', id="header"
        ),
        pytest.param("RUN /bin/sh -c x bearer s3cr3t y", "RUN x bearer *** y", id="bearer-alone"),
        pytest.param("RUN /bin/sh -c printf '\x1b[31mred'", "RUN printf 'red'", id="control-characters"),
        pytest.param("COPY --from=build /a /b # buildkit", "COPY --from=*** /a /b", id="copy-from"),
        pytest.param(f"{NOP}ADD multi:{'0' * 64} in /x ", "ADD … in /x", id="several-sources"),
        pytest.param("RUN /bin/sh -c " + "x" * 2000, "RUN " + "x" * 995 + "…", id="very-long"),
        pytest.param("/app/server", "/app/server", id="no-shell"),
    ],
)
def test_instructions(created_by: str, shown: str) -> None:
    assert instruction(created_by) == shown


words = st.sampled_from(
    ["sh", "-c", "/bin/sh", "|1", "=", "A=", "RUN", " ", "\n", "'", '"', "# buildkit", "#(nop)", "--token"]
)


@given(st.lists(words | st.text(max_size=3), max_size=12).map(" ".join))
def test_any_history_is_shown_on_one_line(created_by: str) -> None:
    shown = instruction(created_by)
    assert len(shown.splitlines()) <= 1
    assert known(found([(created_by, 1)], 1)) == [(1, shown or None)]


@given(st.text(alphabet="ab /sh-c=|'\"\n", max_size=20).map(lambda noise: f"s3cr3t {noise}"))
def test_no_build_argument_shows(value: str) -> None:
    for prefix in ("", "RUN "):
        assert "s3cr3t" not in instruction(f"{prefix}|1 A={value} /bin/sh -c npm ci")


def test_labels_are_cut_to_fit_a_line() -> None:
    assert Layer(3, "sha256:0", 1, "COPY . /app").label == "layer 3 (COPY . /app)"
    assert Layer(3, "sha256:0").label == "layer 3"
    assert cut("x" * 60) == "x" * 60
    assert cut("x" * 61) == "x" * 59 + "…"


def test_short_names_are_those_of_the_stream() -> None:
    assert shorten("sha256:0123456789abcdef") == "0123456789ab"
    assert Layer(1, "sha256:0123456789abcdef").short_id == "0123456789ab"


APP, OTHER, BASE = (f"crg.apkg.io/acme/{name}" for name in ("app", "other", "base"))


@pytest.mark.parametrize(
    ("inspected", "history", "origins"),
    [
        pytest.param({}, [], (), id="nothing"),
        pytest.param({"RepoDigests": None, "RepoTags": None, "Config": None}, [{"Tags": None}], (), id="null"),
        pytest.param({"RepoDigests": [f"{OTHER}@sha256:1"]}, [], (f"{OTHER}@sha256:1",), id="pushed-before"),
        pytest.param(
            {"Config": {"Labels": {"org.opencontainers.image.base.name": f"{BASE}:1"}}}, [], (f"{BASE}:1",), id="label"
        ),
        pytest.param({"Config": {"Labels": {"org.opencontainers.image.base.name": 1}}}, [], (), id="label-of-no-name"),
        pytest.param({}, [{"Tags": [f"{APP}:2"]}, {"Tags": [f"{BASE}:1"]}], (f"{APP}:2", f"{BASE}:1"), id="parents"),
        pytest.param(
            {"RepoTags": [f"{APP}:2"], "RepoDigests": [f"{OTHER}@sha256:1"]},
            [{"Tags": [f"{APP}:2"]}],
            (f"{OTHER}@sha256:1", f"{APP}:2"),
            id="each-once-and-what-was-pushed-first",
        ),
    ],
)
def test_where_an_image_comes_from(
    inspected: dict[str, object], history: list[dict[str, object]], origins: tuple[str, ...]
) -> None:
    assert image_from(inspected, history).origins == origins
