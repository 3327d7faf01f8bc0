"""Drives Keyward with alibabacloud-kms20160120 (Tea): signature V3, parameters in the query, secrets in a form body."""

import re

from alibabacloud_kms20160120 import models
from alibabacloud_kms20160120.client import Client
from alibabacloud_tea_openapi.exceptions import ClientException
from alibabacloud_tea_openapi.utils_models import Config

from common import API, REGION, Refused, run


def method_name(action):
    """GetSecretValue -> get_secret_value"""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", action).lower()


def connect(access_key_id, secret):
    client = Client(
        Config(
            access_key_id=access_key_id,
            access_key_secret=secret,
            region_id=REGION,
            endpoint=API,
            protocol="http",
        )
    )

    def call(action, **params):
        request = getattr(models, f"{action}Request")().from_map(params)
        try:
            return getattr(client, method_name(action))(request).body.to_map()
        except ClientException as error:
            raise Refused(error.code, error.status_code) from error

    return call


run("python-tea", connect)
