"""Drives Keyward with aliyun-secret-manager-client, which reads secrets over TLS and keeps them in a cache."""

import logging
import secrets
import sys
import warnings

from alibaba_cloud_secretsmanager_client.model.region_info import RegionInfo
from alibaba_cloud_secretsmanager_client.secret_manager_cache_client_builder import SecretManagerCacheClientBuilder
from alibaba_cloud_secretsmanager_client.service.default_secret_manager_client_builder import DefaultSecretManagerClientBuilder
from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential

from classic_clients import connect
import ways
from common import ACCOUNT, DENIED, REGION, TEXTS, TLS, Refused, Report, access_key, equal

HOUR_MS = 3_600_000
BINARY = "AAECAwT/"
MISSING = 404, "Forbidden.ResourceNotFound"

warnings.filterwarnings("ignore", message="Unverified HTTPS request")  # the client does not look at certificates
quiet = logging.getLogger("secrets")
quiet.setLevel(logging.CRITICAL)  # it writes every refusal down


def new_client(credential, stage="ACSCurrent", kept=()):
    region = RegionInfo(REGION, endpoint=TLS)
    client = DefaultSecretManagerClientBuilder.standard().with_credentials(credential).add_region_info(region).build()
    builder = SecretManagerCacheClientBuilder.new_cache_client_builder(client).with_cache_stage(stage).with_logger(quiet)
    for name in kept:
        builder.with_secret_ttl(name, HOUR_MS)
    try:
        return builder.build()  # reads those that it is to keep
    except ServerException as error:
        raise Refused(error.get_error_code(), error.get_http_status()) from error


def read(client, name):
    try:
        return client.get_secret_info(name)
    except ServerException as error:
        raise Refused(error.get_error_code(), error.get_http_status()) from error


def keep(report, kim, name):
    with report.check("read a secret beforehand and find it in the cache"):
        kim("CreateSecret", SecretName=name, VersionId="v1", SecretData=TEXTS["secret_v1"])
        client = new_client(AccessKeyCredential(*access_key("kim")), kept=[name])
        found = read(client, name)
        equal((found.secret_value, found.version_id, found.secret_data_type), (TEXTS["secret_v1"], "v1", "text"))
    with report.check("the cache keeps the version that was read"):
        kim("PutSecretValue", SecretName=name, VersionId="v2", SecretData=TEXTS["secret_v2"])
        equal(client.get_secret_value(name), TEXTS["secret_v1"])
    with report.check("refreshing fetches the current version"):
        equal(client.refresh_now(name), True)
        equal((client.get_secret_value(name), read(client, name).version_id), (TEXTS["secret_v2"], "v2"))
    with report.check("a client of another stage reads the previous version"):
        previous = new_client(AccessKeyCredential(*access_key("kim")), stage="ACSPrevious")
        equal(read(previous, name).secret_value, TEXTS["secret_v1"])


def read_binary(report, kim, name):
    with report.check("read a binary secret"):
        kim("CreateSecret", SecretName=name, VersionId="v1", SecretData=BINARY, SecretDataType="binary")
        client = new_client(AccessKeyCredential(*access_key("kim")))
        equal((read(client, name).secret_value, read(client, name).secret_data_type), (BINARY, "binary"))


def be_refused(report):
    alice = AccessKeyCredential(*access_key("alice"))
    with report.check("alice may read orders/db-password"):
        equal(read(new_client(alice), "orders/db-password").secret_name, "orders/db-password")
    with report.refused("alice may not read payroll/db-password", *DENIED):
        read(new_client(alice), "payroll/db-password")
    with report.refused("nor have it kept", *DENIED):
        new_client(alice, kept=["payroll/db-password"])
    with report.refused("a secret that is not there is refused", *ways.refusal("a secret that is not there", *MISSING)):
        read(new_client(AccessKeyCredential(*access_key("kim"))), "there-is-no-such-secret")


def read_as_session(report, kim):
    with report.check("a session of a role reads payroll/db-password"):
        role = f"{ACCOUNT}:role/payroll-service"
        session = kim("AssumeRole", RoleArn=role, RoleSessionName="sdk", DurationSeconds=900)["Credentials"]
        parts = (session[part] for part in ("AccessKeyId", "AccessKeySecret", "SecurityToken"))
        equal(read(new_client(StsTokenCredential(*parts)), "payroll/db-password").secret_name, "payroll/db-password")


def main():
    report = Report("python-secrets-manager")
    kim, ours = connect(*access_key("kim")), f"sdk/{report.client}-{secrets.token_hex(4)}"
    keep(report, kim, ours)
    read_binary(report, kim, f"{ours}-binary")
    be_refused(report)
    if not ways.refused_sessions():
        read_as_session(report, kim)
    sys.exit(report.failed)


main()
