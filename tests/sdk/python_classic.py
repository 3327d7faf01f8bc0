"""Drives Keyward with aliyun-python-sdk-kms: signature V1, parameters in the query."""

import importlib
import json

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.client import AcsClient

from common import API, REGION, Refused, run


def new_request(action, params):
    """The generated request class of an action, filled through its generated setters."""
    module = importlib.import_module(f"aliyunsdkkms.request.v20160120.{action}Request")
    request = getattr(module, f"{action}Request")()
    for name, value in params.items():
        getattr(request, f"set_{name}")(json.dumps(value) if isinstance(value, dict) else value)
    request.set_protocol_type("http")
    request.set_endpoint(API)
    return request


def connect(access_key_id, secret):
    client = AcsClient(access_key_id, secret, REGION)

    def call(action, **params):
        try:
            return json.loads(client.do_action_with_exception(new_request(action, params)))
        except ServerException as error:
            raise Refused(error.get_error_code(), error.get_http_status()) from error

    return call


# The client renames a wrong signature when the answer shows that both sides signed the same text.
run("python-classic", connect, wrong_secret_codes=("SignatureDoesNotMatch", "InvalidAccessKeySecret"))
