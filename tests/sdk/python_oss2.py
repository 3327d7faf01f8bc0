"""Drives Keyward with the OSS client's encryption of objects: keys of KMS encrypt the keys of objects. No OSS is needed.

The client's provider wraps and unwraps; what it would store beside an object in OSS goes through the same headers here.
"""

import os
import secrets
import sys

import oss2
from aliyunsdkcore.profile import region_provider
from oss2.exceptions import OpenApiServerError
from oss2.models import ContentCryptoMaterial
from oss2.utils import AESCTRCipher

from common import CA, REGION, TLS, Refused, Report, access_key, equal

CONTENT = os.urandom(100_000)
KEY = "alias/orders"


def provider(user, passphrase=None):
    made = oss2.AliKMSProvider(*access_key(user), REGION, KEY, passphrase=passphrase, mat_desc={"made": "here"})
    made.kms_client.set_verify(CA)
    return made


def told(call, *args):
    """Calls, and turns the client's own error into Refused."""
    try:
        return call(*args)
    except OpenApiServerError as error:
        raise Refused(error.code, error.status) from error


def encrypted(encrypting):
    """An object as it would lie in OSS: its content, and the headers that tell how to open it."""
    material = told(encrypting.create_content_material)
    return material.cipher.encrypt(CONTENT), material.to_object_meta()


def opened(opening, content, headers):
    material = ContentCryptoMaterial(AESCTRCipher(), opening.wrap_alg)
    material.from_object_meta(headers)
    key = told(opening.decrypt_encrypted_key, material.encrypted_key)
    material.cipher.initialize(key, told(opening.decrypt_encrypted_iv, material.encrypted_iv))
    return material.cipher.decrypt(content)


def main():
    report = Report("python-oss2")
    region_provider.add_endpoint("Kms", REGION, TLS)
    kim, phrase = provider("kim"), secrets.token_hex(8)
    content = headers = None
    with report.check("generate the key of an object"):
        key, sealed = kim.get_key()
        equal(len(key), 32)
        equal(kim.decrypt_encrypted_key(sealed), key)
    with report.check("encrypt an object"):
        content, headers = encrypted(kim)
        equal(content != CONTENT and len(content) == len(CONTENT), True, "it is encrypted")
    with report.check("open the object"):
        equal(opened(kim, content, headers) == CONTENT, True, "it is the same")
    with report.check("alice, who may use the key, opens it too"):
        equal(opened(provider("alice"), content, headers) == CONTENT, True, "it is the same")
    with report.refused("bob may not open it", 403, "Forbidden.NoPermission"):
        opened(provider("bob"), content, headers)
    with report.check("encrypt and open an object with a passphrase"):
        content, headers = encrypted(provider("kim", phrase))
        equal(opened(provider("kim", phrase), content, headers) == CONTENT, True, "it is the same")
    with report.refused("another passphrase does not open it", 400, "InvalidParameter"):
        opened(provider("kim", phrase[::-1] + "x"), content, headers)
    with report.refused("it does not open without one", 400, "InvalidParameter"):
        opened(kim, content, headers)
    sys.exit(report.failed)


main()
