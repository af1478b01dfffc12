"""The list of variables, and what must never be shown."""

import pytest

from pipe.config.variables import CREDENTIALS, VARIABLES, secrets


def test_the_list_is_the_promised_one() -> None:
    assert [(variable.name, variable.context, variable.secret) for variable in VARIABLES] == [
        ("IMAGE_NAME", False, False),
        ("TAGS", False, False),
        ("PACKAGE_NAME", False, False),
        ("WORKSPACE", True, False),
        ("REGISTRY", False, False),
        ("BITBUCKET_PACKAGES_USERNAME", True, False),
        ("BITBUCKET_PACKAGES_TOKEN", True, True),
        ("ATLASSIAN_ACCOUNT_EMAIL", False, False),
        ("ATLASSIAN_API_TOKEN", False, True),
        ("MAX_LAYER_SIZE", False, False),
        ("UPLOAD_TIMEOUT", False, False),
        ("MAX_ATTEMPTS", False, False),
        ("IF_TAG_EXISTS", False, False),
        ("UPLOADER", False, False),
        ("COMPRESSION", False, False),
        ("SPLIT_LAYERS", False, False),
        ("REUSE_FROM", False, False),
        ("IMAGE_ARCHIVE", False, False),
        ("REFERRERS", False, False),
        ("COMPOSE_FILE", False, False),
        ("PROMOTE", False, False),
        ("PLATFORM_TAGS", False, False),
        ("FROM_PACKAGE", False, False),
        ("DRY_RUN", False, False),
        ("RESULT_FILE", False, False),
        ("DEBUG", False, False),
    ]


def test_every_credential_is_a_variable_and_every_token_a_secret() -> None:
    listed = {variable.name: variable.secret for variable in VARIABLES}
    assert [(listed[name], listed[token]) for name, token in CREDENTIALS] == [(False, True)] * 2


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        pytest.param({}, (), id="none"),
        pytest.param({"BITBUCKET_PACKAGES_TOKEN": "", "ATLASSIAN_API_TOKEN": " "}, (" ",), id="empty"),
        pytest.param({"BITBUCKET_PACKAGES_TOKEN": "s3cr3t\n"}, ("s3cr3t\n", "s3cr3t"), id="newline"),
        pytest.param({"BITBUCKET_PACKAGES_TOKEN": "a", "ATLASSIAN_API_TOKEN": "b"}, ("a", "b"), id="both"),
        pytest.param({"BITBUCKET_PACKAGES_TOKEN": "a", "ATLASSIAN_API_TOKEN": "a"}, ("a",), id="the-same"),
        pytest.param({"DEBUG": "true", "AWS_SECRET": "x"}, (), id="others"),
    ],
)
def test_secrets(environment: dict[str, str], found: tuple[str, ...]) -> None:
    assert secrets(environment) == found
