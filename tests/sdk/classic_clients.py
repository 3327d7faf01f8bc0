"""The classic clients aliyun-python-sdk-kms and -sts: signature V1, parameters in the query."""

import importlib
import json

from aliyunsdkcore.acs_exception.exceptions import ServerException
from aliyunsdkcore.auth.credentials import StsTokenCredential
from aliyunsdkcore.client import AcsClient
from aliyunsdkcore.http import protocol_type
from aliyunsdkcore.request import CommonRequest

from common import API, CA, REGION, STS_ACTIONS, TLS, Refused


def generated_request(action, params):
    """The generated request class of an action, filled through its generated setters."""
    folder = "aliyunsdksts.request.v20150401" if action in STS_ACTIONS else "aliyunsdkkms.request.v20160120"
    request = getattr(importlib.import_module(f"{folder}.{action}Request"), f"{action}Request")()
    for name, value in params.items():
        if name == "RegionId":  # the client says that itself
            continue
        plural = "s" if isinstance(value, list) else ""
        getattr(request, f"set_{name}{plural}")(json.dumps(value) if isinstance(value, dict) else value)
    return request


def common_request(action, params):
    """For operations that are newer than the package."""
    request = CommonRequest(version="2016-01-20", action_name=action)
    request.set_accept_format("JSON")
    request.set_method("POST")
    for name, value in params.items():
        request.add_query_param(name, value)
    return request


def new_request(action, params, tls):
    try:
        request = generated_request(action, params)
    except ModuleNotFoundError:
        request = common_request(action, params)
    # Only the client's own constants will do: it compares them with `is`, and takes any other "https" for http.
    request.set_protocol_type(protocol_type.HTTPS if tls else protocol_type.HTTP)
    if isinstance(request, CommonRequest):
        request.set_domain(TLS if tls else API)
    else:
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
