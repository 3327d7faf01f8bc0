"""The Tea clients alibabacloud-kms20160120 and alibabacloud-sts20150401: parameters in the query, secrets in a form body."""

import re

from alibabacloud_kms20160120 import models as kms_models
from alibabacloud_kms20160120.client import Client as KmsClient
from alibabacloud_sts20150401 import models as sts_models
from alibabacloud_sts20150401.client import Client as StsClient
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config
from Tea.exceptions import TeaException

from common import API, CA, REGION, STS_ACTIONS, TLS, Refused


def method_name(action):
    """GetSecretValue -> get_secret_value"""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower()


def arguments(models, action, params):
    """What the method of an action takes: its request, unless it has none."""
    request = getattr(models, f"{action}Request", None)
    return [request().from_map(params)] if request else []


def connect(access_key_id=None, secret=None, token=None, tls=False, credential=None, **signature):
    def config(**more):
        return Config(
            access_key_id=access_key_id,
            access_key_secret=secret,
            security_token=token,
            credential=credential,
            region_id=REGION,
            endpoint=TLS if tls else API,
            protocol="https" if tls else "http",
            ca=CA,
            **more,
        )

    kms = KmsClient(config(**signature))
    sts = StsClient(config(**({} if "signature_version" in signature else signature)))  # it cannot sign with V4

    def call(action, **params):
        client, models = (sts, sts_models) if action in STS_ACTIONS else (kms, kms_models)
        try:
            answer = getattr(client, method_name(action))(*arguments(models, action, params))
        except ClientException as error:
            raise Refused(error.code, error.status_code) from error
        except TeaException as error:  # what it raises with V4
            raise Refused(error.code, error.data["statusCode"]) from error
        return answer.body.to_map()

    return call
