#!/usr/bin/env bats
# The other tests' watch over secrets notices them in every form.

load helpers

noticed() {
    run assert_nothing_secret "$(python -c "
import base64, json, os, urllib.parse
token = os.environ['TOKEN']
print('before', $1, 'after')")"
    expect --stdout "secrets in the output"
    expect_equal "exit code" 1 "$status"
}

row() {
    bats_test_function --description "noticed: $1" -- noticed "$2"
}

row "the token itself" "token"
row "in a URL" "'https://pipeline:' + urllib.parse.quote(token, safe='') + '@host/'"
row "in a form" "urllib.parse.urlencode({'password': token})"
row "in JSON" "json.dumps({'password': token})"
row "in a Basic header" "base64.b64encode(b'pipeline:' + token.encode()).decode()"
row "in an Engine's header" "base64.urlsafe_b64encode(json.dumps({'username': 'p', 'password': token}).encode()).decode()"

@test "not noticed: anything else" {
    assert_nothing_secret "pipeline, token, BITBUCKET_PACKAGES_TOKEN, $(base64 <<<pipeline:)"
}
