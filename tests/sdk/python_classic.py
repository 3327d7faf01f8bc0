"""Drives Keyward with aliyun-python-sdk-kms and -sts: signature V1, parameters in the query."""

import importlib
import json

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.http import protocol_type

from common import API, CA, REGION, STS_ACTIONS, TLS, Refused, run


def new_request(action, params, tls):
    """The generated request class of an action, filled through its generated setters."""
    folder = "aliyunsdksts.request.v20150401" if action in STS_ACTIONS else "aliyunsdkkms.request.v20160120"
    request = getattr(importlib.import_module(f"{folder}.{action}Request"), f"{action}Request")()
    for name, value in params.items():
        getattr(request, f"set_{name}")(json.dumps(value) if isinstance(value, dict) else value)
    # Only the client's own constants will do: it compares them with `is`, and takes any other "https" for http.
    request.set_protocol_type(protocol_type.HTTPS if tls else protocol_type.HTTP)
    request.set_endpoint(TLS if tls else API)
    return request


def connect(access_key_id, secret, token=None, tls=False):
    if token:
        client = AcsClient(region_id=REGION, credential=StsTokenCredential(access_key_id, secret, token), verify=CA)
    else:
        client = AcsClient(access_key_id, secret, REGION, verify=CA)

    def call(action, **params):
        try:
            return json.loads(client.do_action_with_exception(new_request(action, params, tls)))
        except ServerException as error:
            raise Refused(error.get_error_code(), error.get_http_status()) from error

    return call


# The client renames a wrong signature when the answer shows that both sides signed the same text.
run("python-classic", connect, wrong_secret_codes=("SignatureDoesNotMatch", "InvalidAccessKeySecret"))
