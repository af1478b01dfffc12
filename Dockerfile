# The pipe's image: Debian's Python, the pipe and what they need; no shell, no package manager.
ARG BASE=debian:trixie-slim

FROM $BASE AS python
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# Debian's mirrors keep only the newest build of a package, so an exact version would soon be gone.
# hadolint ignore=DL3008
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3 python3-pip \
 && rm -rf /var/lib/apt/lists/*

# Below /image grows the root of the finished image. Of the standard library only that is left out
# which needs a terminal, a display or pip, or serves databases and tests; every codec stays.
# Nothing is linked with libgcc_s: glibc looks for it where a thread is ended together with the process.
WORKDIR /image
RUN library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))') \
 && mkdir -p etc root usr/bin usr/lib ".$library" \
 && install -d -m 1777 tmp \
 && find / -maxdepth 1 -type l -name 'lib*' -exec cp -P -t . {} + \
 && cp -P /usr/bin/python3 "$(readlink -f /usr/bin/python3)" usr/bin \
 && cp -R "$library/." ".$library" \
 && rm -rf usr/lib/python3.*/{_pyrepl,curses,dbm,pydoc_data,sqlite3,test,unittest,venv} \
        usr/lib/python3.*/{sitecustomize.py,turtle.py} \
        usr/lib/python3.*/lib-dynload/{_curses,_dbm,_sqlite3,_test,_xxtest,readline,xx}* \
 && find . -depth -name __pycache__ -exec rm -r {} + \
 && { ldd usr/bin/python3 usr/lib/python3.*/lib-dynload/*.so; ldconfig -p | grep -F libgcc_s.so.1; } \
  | sed -nE 's|^\t(.* => )?(/[^ ]+)( .*)?$|\2|p' | sort -u \
  | while read -r file; do install -D "$file" "/image$(readlink -f "${file%/*}")/${file##*/}"; done

# The files that every system has, and of each Debian package its licence and the record of its
# version in the form that scanners of images without a package manager read.
RUN mkdir -p var/lib/dpkg/status.d \
 && echo 'root:x:0:0:root:/root:/sbin/nologin' >etc/passwd \
 && echo 'root:x:0:' >etc/group \
 && echo 'hosts: files dns' >etc/nsswitch.conf \
 && cp /etc/os-release etc \
 && find usr -type f -printf '/%p\n' | xargs dpkg --search | cut -d: -f1 | sort -u >/packages \
 && while read -r package; do \
        dpkg-query --status "$package" >"var/lib/dpkg/status.d/$package"; \
        [[ ! -e /usr/share/doc/$package/copyright ]] || cp --parents "/usr/share/doc/$package/copyright" .; \
    done </packages

# With charset-normalizer, requests guesses what a text of unknown encoding is; without it, requests takes UTF-8 and
# warns (see PYTHONWARNINGS). The pipe reads JSON only, and the import takes 15 ms of every start.
FROM python AS packages
COPY requirements.txt /build/
RUN python3 -m venv --without-pip /build/packages \
 && pip --python /build/packages install --no-cache-dir --no-compile --require-hashes \
        --requirement /build/requirements.txt \
 && pip --python /build/packages uninstall --yes charset-normalizer

FROM packages AS sbom
COPY test/setup/sbom.txt /build/
RUN python3 -m venv --without-pip /build/sbom \
 && pip --python /build/sbom install --no-cache-dir --require-hashes --requirement /build/sbom.txt
COPY pyproject.toml /build/
RUN /build/sbom/bin/cyclonedx-py environment --pyproject /build/pyproject.toml --mc-type application \
        --output-reproducible --output-file /build/python-packages.cdx.json /build/packages

# The compiled part of YAML only makes large inputs faster. The zstd package only compresses here: it needs no tar,
# no zip and no binding for PyPy. urllib3 loads its HTTP/2 unasked, and this loads what reads packages' metadata.
# One bundle of authorities serves Python and requests, in the place where users mount theirs. certifi knows it by name,
# as in Debian's own package: to ask importlib for it loads Python's parser, disassembler and tokenizer at every start.
# Only byte code is kept, read without a look for its source, and without the columns that tracebacks would underline:
# they are a quarter of it.
FROM packages AS root
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
RUN mkdir -p etc/ssl/certs usr/lib/python3 \
 && cp -R /build/packages/lib/python3*/site-packages usr/lib/python3/dist-packages \
 && find usr/lib/python3/dist-packages '(' -path '*yaml/*.so' -o -name tests ')' -prune -exec rm -r {} + \
 && rm -r usr/lib/python3/dist-packages/backports/zstd/{_cffi,tarfile.py*,zipfile} \
 && : >usr/lib/python3/dist-packages/urllib3/http2/__init__.py \
 && ldd usr/lib/python3/dist-packages/{isal,deflate,backports/zstd}/*.so \
  | sed -nE 's|^\t(.* => )?(/[^ ]+) .*|\2|p' | sort -u \
  | while read -r file; do install -D "$file" "/image$(readlink -f "${file%/*}")/${file##*/}"; done \
 && mv usr/lib/python3/dist-packages/certifi/cacert.pem etc/ssl/certs/ca-certificates.crt \
 && printf '%s\n' 'def where(): return "/etc/ssl/certs/ca-certificates.crt"' \
        'def contents(): return open(where(), encoding="ascii").read()' \
        >usr/lib/python3/dist-packages/certifi/core.py \
 && cafile=$(python3 -c 'import ssl; print(ssl.get_default_verify_paths().openssl_cafile)') \
 && mkdir -p ".${cafile%/*}" \
 && for link in usr/lib/python3/dist-packages/certifi/cacert.pem ".$cafile"; do \
        ln -s /etc/ssl/certs/ca-certificates.crt "$link"; \
    done \
 && python3 -X no_debug_ranges -m compileall -q -b --invalidation-mode unchecked-hash -s /image /image/usr/lib \
 && find usr/lib -name '*.py' -delete

# The pipe's own sources stay beside their byte code, for tracebacks.
FROM python AS pipe
WORKDIR /pipe
COPY pipe.yml .
COPY pipe pipe
RUN python3 -X no_debug_ranges -m compileall -q --invalidation-mode unchecked-hash -s /pipe -p /usr/lib/python3/dist-packages pipe

FROM scratch
COPY --from=root /image /
COPY --from=sbom /build/python-packages.cdx.json /usr/share/sbom/
COPY --from=pipe /pipe /usr/lib/python3/dist-packages
# A step's folder may hold a docker.py or a pipe folder of its own: it is never imported from.
# glibc would keep the buffers of uploads for other threads, which never need them: 123 MB instead of 90 with ten layers.
ENV MALLOC_MMAP_THRESHOLD_=1048576 \
    PATH=/usr/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONNOUSERSITE=1 \
    PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONUTF8=1 \
    PYTHONWARNINGS="ignore:Unable to find acceptable character detection dependency"
# What a run imports, once more in one file: to search for 300 modules takes a sixth of its start.
RUN ["python3", "-m", "pipe.bundle"]
ENTRYPOINT ["python3", "-m", "pipe"]

ARG VERSION=unknown
ARG REVISION=unknown
ENV PIPE_REVISION=$REVISION
LABEL org.opencontainers.image.title="bbc-packages-push-container-image" \
      org.opencontainers.image.description="Pushes a container image to Bitbucket's container registry and proves that it arrived." \
      org.opencontainers.image.source="https://bitbucket.org/your-account/bbc-packages-push-container-image" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION
