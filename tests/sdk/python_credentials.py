"""Drives Keyward with alibabacloud-credentials: it fetches temporary credentials, and the Tea clients use them.

`run` has them last for a quarter of an hour. That is as long as the library wants credentials to last at least, so that
it fetches new ones for every call.
"""

import logging
import os
import re
import sys
import urllib.request

from alibabacloud_credentials.client import Client as Credentials
from alibabacloud_credentials.exceptions import CredentialException
from alibabacloud_credentials.models import Config

from common import ACCOUNT, DENIED, Report, equal, tampered
from tea_clients import connect

METRICS = f"http://{os.environ['KEYWARD_ADMIN']}/metrics"
URI = os.environ["ALIBABA_CLOUD_CREDENTIALS_URI"]  # the library reads it too, when it is imported

logging.getLogger("credentials").setLevel(logging.CRITICAL)  # it warns of credentials that last so short


def counted(result):
    """How many times the credentials were asked for with this result, as Keyward's metrics say."""
    with urllib.request.urlopen(METRICS, timeout=5) as answer:
        text = answer.read().decode()
    found = re.search(rf'^keyward_credentials_total{{result="{result}"}} (\d+)$', text, re.MULTILINE)
    return int(found[1]) if found else 0


def from_uri(uri):
    return Credentials(Config(type="credentials_uri", credentials_uri=uri))


def use(report, how, credentials):
    call = connect(credential=credentials)
    with report.check(f"{how}: the workload is a session of its role"):
        equal(call("GetCallerIdentity")["Arn"], f"{ACCOUNT}:assumed-role/payroll-service/keyward")
    with report.check(f"{how}: it may encrypt and decrypt with alias/payroll"):
        blob = call("Encrypt", KeyId="alias/payroll", Plaintext="aGVsbG8=")["CiphertextBlob"]
        equal(call("Decrypt", CiphertextBlob=blob)["Plaintext"], "aGVsbG8=")
    with report.refused(f"{how}: it may not encrypt with alias/orders", *DENIED):
        call("Encrypt", KeyId="alias/orders", Plaintext="aGVsbG8=")


def fetch_again(report, credentials):
    with report.check("new credentials are fetched before the old ones end"):
        call, seen = connect(credential=credentials), [counted("vended")]
        for _ in range(3):
            call("Encrypt", KeyId="alias/payroll", Plaintext="aGVsbG8=")
            seen.append(counted("vended"))
        equal(sorted(set(seen)), seen, "fetched so far, after each call")
    with report.check("what is fetched again is another session"):
        first, second = (credentials.get_credential() for _ in range(2))
        equal(len({first.access_key_id, second.access_key_id}), 2, "access keys")
        equal(len({first.security_token, second.security_token}), 2, "tokens")


def refuse_strangers(report):
    with report.check("a wrong token in the address gets no credentials"):
        before = counted("wrong_token")
        door, slash, token = URI.rpartition("/")
        try:
            from_uri(door + slash + tampered(token)).get_credential()
        except CredentialException as problem:
            equal("http_code=403" in str(problem), True, "the answer is 403")
        else:
            raise AssertionError("got credentials")
        equal(counted("wrong_token"), before + 1, "refusals that were counted")


def main():
    report = Report("python-credentials")
    credentials, chain = from_uri(URI), Credentials()
    use(report, "with the address", credentials)
    use(report, "with the default chain", chain)
    with report.check("the default chain found them at the address"):
        equal(chain.get_credential().provider_name, "default/credential_uri")
    fetch_again(report, credentials)
    refuse_strangers(report)
    sys.exit(report.failed)


main()
