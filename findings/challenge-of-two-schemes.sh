#!/usr/bin/env bash
# Three PyPI packages that read the challenge of a registry (WWW-Authenticate; RFC 9110, section 11.6.1, which allows
# several schemes in a header, spaces after commas, parameters in any order, and values that are empty or not quoted):
# - oras 0.2.43 collects the parameters of all schemes: the `realm` of a `Basic` that follows replaces that of `Bearer`,
#   so oras asks a wrong address for its token. A value that is not quoted is missing.
# - crpy 0.4.0 turns the text into a URL: spaces, the parameters of other schemes and a `?` of the realm go into it as
#   they are, and unless `realm` is the first parameter it raises UnauthorizedError.
# - www-authenticate 0.9.2, which python-dxf uses, raises ValueError for an empty value, such as `scope=""`.
# A client that was tested with Docker Hub only meets none of these.
# shellcheck source=findings/common.bash
. "${BASH_SOURCE[0]%/*}/common.bash"

python oras==0.2.43 crpy==0.4.0 www-authenticate==0.9.2
cat >parse.py <<'PYTHON'
import crpy.auth, oras.auth.utils, www_authenticate

REALM, SERVICE = 'realm="https://auth.example/token"', 'service="registry.example"'
challenges = {
    "as Docker Hub's": f"Bearer {REALM},{SERVICE}",
    "two schemes": f'Bearer {REALM},{SERVICE}, Basic realm="registry"',
    "space": f"Bearer {REALM}, {SERVICE}",
    "order": f"Bearer {SERVICE},{REALM}",
    "query": f'Bearer realm="https://auth.example/token?a=b",{SERVICE}',
    "not quoted": f"Bearer {REALM},service=registry.example",
    "empty": f'Bearer {REALM},{SERVICE},scope=""',
}


def oras_parse(header):
    parsed = oras.auth.utils.parse_auth_header(header)
    return parsed.realm, parsed.service


def www_authenticate_parse(header):
    parsed = www_authenticate.parse(header)["bearer"]
    return parsed["realm"], parsed["service"]


def read(parse, header):
    try:
        return str(parse(header)).replace("https://auth.example/", "/")
    except (crpy.auth.UnauthorizedError, ValueError) as error:
        return type(error).__name__


for name, header in challenges.items():
    parsers = (oras_parse, crpy.auth.get_url_from_auth_header, www_authenticate_parse)
    print(f"{name}:", " | ".join(read(parse, header) for parse in parsers))
PYTHON
expect "as Docker Hub's: ('/token', 'registry.example') | /token?service=registry.example | ('/token', 'registry.example')
two schemes: ('registry', 'registry.example') | /token?service=registry.example& Basic realm=registry | ('/token', 'registry.example')
space: ('/token', 'registry.example') | /token? service=registry.example | ('/token', 'registry.example')
order: ('/token', 'registry.example') | UnauthorizedError | ('/token', 'registry.example')
query: ('/token?a=b', 'registry.example') | /token?a=b?service=registry.example | ('/token?a=b', 'registry.example')
not quoted: ('/token', None) | /token?service=registry.example | ('/token', 'registry.example')
empty: ('/token', 'registry.example') | /token?service=registry.example&scope= | ValueError" "$(venv/bin/python parse.py)"
