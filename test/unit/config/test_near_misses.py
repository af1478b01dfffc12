"""Names that are nearly those of variables, and those of an environment, which are not."""

import pytest

from pipe.config.near_misses import near_misses
from pipe.config.variables import VARIABLES


@pytest.mark.parametrize(
    ("name", "right"),
    [
        pytest.param("TAG", "TAGS"),
        pytest.param("TAG_NAME", "TAGS"),
        pytest.param("IMAGE_TAG", "TAGS"),
        pytest.param("IMAGE_TAGS", "TAGS"),
        pytest.param("tags", "TAGS"),
        pytest.param("Tags", "TAGS"),
        pytest.param("TAGSS", "TAGS"),
        pytest.param("TASG", "TAGS"),
        pytest.param("IMAGE", "IMAGE_NAME"),
        pytest.param("IMAGENAME", "IMAGE_NAME"),
        pytest.param("IMAGE-NAME", "IMAGE_NAME"),
        pytest.param("IMAGES_NAME", "IMAGE_NAME"),
        pytest.param("image_name", "IMAGE_NAME"),
        pytest.param("IMAGE_FILE", "IMAGE_ARCHIVE"),
        pytest.param("IMAGE_TAR", "IMAGE_ARCHIVE"),
        pytest.param("PACKAGE", "PACKAGE_NAME"),
        pytest.param("PACKAGENAME", "PACKAGE_NAME"),
        pytest.param("PAKAGE_NAME", "PACKAGE_NAME"),
        pytest.param("WORKSPACES", "WORKSPACE"),
        pytest.param("REGISTRY_URL", "REGISTRY"),
        pytest.param("REGISTRY_HOST", "REGISTRY"),
        pytest.param("REGISTERY", "REGISTRY"),
        pytest.param("RETRIES", "MAX_ATTEMPTS"),
        pytest.param("MAX_RETRIES", "MAX_ATTEMPTS"),
        pytest.param("ATTEMPTS", "MAX_ATTEMPTS"),
        pytest.param("MAX_ATTEMPT", "MAX_ATTEMPTS"),
        pytest.param("MAX_SIZE", "MAX_LAYER_SIZE"),
        pytest.param("MAX_LAYERS_SIZE", "MAX_LAYER_SIZE"),
        pytest.param("UPLOAD_TIME", "UPLOAD_TIMEOUT"),
        pytest.param("UPLOAD_TIME_OUT", "UPLOAD_TIMEOUT"),
        pytest.param("IF_TAG_EXIST", "IF_TAG_EXISTS"),
        pytest.param("IF_TAGS_EXISTS", "IF_TAG_EXISTS"),
        pytest.param("TAG_EXISTS", "IF_TAG_EXISTS"),
        pytest.param("COMPRESION", "COMPRESSION"),
        pytest.param("UPLODER", "UPLOADER"),
        pytest.param("REUSE", "REUSE_FROM"),
        pytest.param("REUSE_FORM", "REUSE_FROM"),
        pytest.param("DRYRUN", "DRY_RUN"),
        pytest.param("dry-run", "DRY_RUN"),
        pytest.param("RESULTS_FILE", "RESULT_FILE"),
        pytest.param("DEBGU", "DEBUG"),
        pytest.param("debug", "DEBUG"),
        pytest.param("PACKAGES_USERNAME", "BITBUCKET_PACKAGES_USERNAME"),
        pytest.param("BITBUCKET_PACKAGES_USER", "BITBUCKET_PACKAGES_USERNAME"),
        pytest.param("PACKAGES_TOKEN", "BITBUCKET_PACKAGES_TOKEN"),
        pytest.param("BITBUCKET_PACKAGE_TOKEN", "BITBUCKET_PACKAGES_TOKEN"),
        pytest.param("ATLASSIAN_EMAIL", "ATLASSIAN_ACCOUNT_EMAIL"),
        pytest.param("ATLASSIAN_TOKEN", "ATLASSIAN_API_TOKEN"),
        pytest.param("ATLASSIAN_API_TOKENS", "ATLASSIAN_API_TOKEN"),
    ],
)
def test_near_misses(name: str, right: str) -> None:
    assert near_misses([name]) == [(name, right)]


STEP = """
BITBUCKET_BRANCH BITBUCKET_BUILD_NUMBER BITBUCKET_CLONE_DIR BITBUCKET_COMMIT BITBUCKET_DEPLOYMENT_ENVIRONMENT
BITBUCKET_DEPLOYMENT_ENVIRONMENT_UUID BITBUCKET_DOCKER_HOST_INTERNAL BITBUCKET_EXIT_CODE BITBUCKET_GIT_HTTP_ORIGIN
BITBUCKET_GIT_SSH_ORIGIN BITBUCKET_PACKAGES_TOKEN BITBUCKET_PACKAGES_USERNAME BITBUCKET_PARALLEL_STEP
BITBUCKET_PARALLEL_STEP_COUNT BITBUCKET_PIPELINES_VARIABLES_PATH BITBUCKET_PIPELINE_UUID
BITBUCKET_PIPE_SHARED_STORAGE_DIR
BITBUCKET_PIPE_STORAGE_DIR BITBUCKET_PROJECT_KEY BITBUCKET_PROJECT_UUID BITBUCKET_PR_DESTINATION_BRANCH
BITBUCKET_PR_ID BITBUCKET_REPO_FULL_NAME BITBUCKET_REPO_IS_PRIVATE BITBUCKET_REPO_OWNER BITBUCKET_REPO_OWNER_UUID
BITBUCKET_REPO_SLUG BITBUCKET_REPO_UUID BITBUCKET_SSH_KEY_FILE BITBUCKET_STEP_OIDC_TOKEN BITBUCKET_STEP_RUN_NUMBER
BITBUCKET_STEP_TRIGGERER_UUID BITBUCKET_STEP_UUID BITBUCKET_TAG BITBUCKET_WORKSPACE BUILD_DIR CI DOCKER_BUILDKIT
DOCKER_CERT_PATH DOCKER_CONFIG DOCKER_CONTENT_TRUST DOCKER_HOST DOCKER_IMAGE DOCKER_REGISTRY DOCKER_TAG
DOCKER_TLS_VERIFY
PIPELINES_JWT_TOKEN
"""
MACHINE = """
AWS_ACCESS_KEY_ID AWS_DEFAULT_REGION AWS_PROFILE AWS_REGION AWS_ROLE_ARN AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN
AWS_WEB_IDENTITY_TOKEN_FILE COLUMNS COMPUTERNAME FTP_PROXY GOPATH HOME HOSTNAME HTTPS_PROXY HTTP_PROXY JAVA_HOME
KUBERNETES_PORT KUBERNETES_SERVICE_HOST LANG LANGUAGE LC_ALL LINES LOGNAME LS_COLORS MAIL MANPATH NODE_ENV NODE_VERSION
NO_COLOR NO_PROXY NPM_TOKEN OLDPWD PAGER PATH PIPE_REVISION PIP_CERT PORT PWD PYTHONDONTWRITEBYTECODE PYTHONNOUSERSITE
PYTHONPATH PYTHONSAFEPATH PYTHONUNBUFFERED PYTHONUTF8 REGISTRY_ACCOUNT REGISTRY_PASSWORD REGISTRY_PORT
REGISTRY_PORT_5000_TCP REGISTRY_SERVICE_HOST REGISTRY_USERNAME REQUESTS_CA_BUNDLE RUNNER_DEBUG SHELL SHLVL SSH_AUTH_SOCK
SSL_CERT_FILE STAGE_NAME TARGET TEMP TERM TIMEOUT TMP TMPDIR TZ USER USERNAME VERSION XDG_RUNTIME_DIR _ ftp_proxy
http_proxy https_proxy no_proxy npm_config_registry npm_package_name npm_package_version
"""


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([variable.name for variable in VARIABLES], id="variables"),
        pytest.param(["TAGS_COUNT", "TAGS_0", "TAGS_999", "REUSE_FROM_COUNT", "REUSE_FROM_0"], id="arrays"),
        pytest.param(STEP.split(), id="step"),
        pytest.param(MACHINE.split(), id="machine"),
        pytest.param(["", "_", "0", "_0", "é", "-"], id="hardly-a-name"),
    ],
)
def test_innocent_names(names: list[str]) -> None:
    assert near_misses(names) == []


def test_an_array_stands_once_and_names_by_the_alphabet() -> None:
    names = ["IMAGE_TAGS_1", "IMAGE_TAGS_COUNT", "IMAGE", "IMAGE_TAGS_0"]
    assert near_misses(names) == [("IMAGE", "IMAGE_NAME"), ("IMAGE_TAGS", "TAGS")]


@pytest.mark.parametrize("name", ["DEBUG_COUNT", "DEBUG_0"])
def test_an_array_for_a_variable_that_takes_none_is_told_by_its_own_name(name: str) -> None:
    assert near_misses(["DEBUG", name]) == [("DEBUG", "DEBUG")]
