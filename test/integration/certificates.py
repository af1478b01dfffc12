"""Certificates by an authority of a test's own."""

import subprocess
from pathlib import Path

from registry.client import Tls

_EXTENSIONS = "subjectAltName={names}\nextendedKeyUsage=serverAuth\n"


def make_certificate(folder: Path, *names: str) -> Tls:
    """Make an authority, and a certificate that it signs.

    Args:
        folder: Where the files go.
        names: What the certificate is for, as OpenSSL writes it: `DNS:crg.apkg.io`, `IP:127.0.0.1`.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    authority, cert, key = folder / "authority.pem", folder / "certificate.pem", folder / "key.pem"
    authority_key, request, extensions = folder / "authority.key", folder / "request.pem", folder / "extensions"
    extensions.write_text(_EXTENSIONS.format(names=",".join(names)), "ascii")
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    _openssl(*new, "-x509", "-subj", "/CN=test authority", "-keyout", authority_key, "-out", authority)
    _openssl(*new, "-subj", "/CN=test registry", "-keyout", key, "-out", request)
    signed = ("-CA", authority, "-CAkey", authority_key, "-CAcreateserial", "-extfile", extensions)
    _openssl("x509", "-req", "-in", request, *signed, "-out", cert)
    return Tls(cert=cert, key=key, authority=authority)


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
