"""Drives Keyward with a client in another language: the arguments are the client's name and the command of its driver.

The driver reads one JSON object a line from its standard input, makes the call that it describes with its client, and
writes one JSON object a line: {"answer": …} as the client understood it; {"refused": [status, code]} when, and only
when, the client threw its own error for an error answer; {"failed": text} for everything else.
"""

import json
import subprocess
import sys

from checks import run
from common import Refused


class Failed(Exception):
    """The client could not make the call, or did not understand the answer."""


def ask(driver, order):
    try:
        print(json.dumps(order), file=driver.stdin, flush=True)
        return json.loads(driver.stdout.readline())
    except (BrokenPipeError, json.JSONDecodeError):
        sys.exit(f"the driver has ended, or has written what it should not, at {order['action']}")


def connector(driver):
    """A function like those of the Python drivers, for a process that makes the calls."""

    def connect(access_key_id, secret, token="", tls=False):
        def call(action, **params):
            caller = {"id": access_key_id, "secret": secret, "token": token, "tls": tls}
            told = ask(driver, caller | {"action": action, "parameters": params})
            if "refused" in told:
                status, code = told["refused"]
                raise Refused(code, status)
            if "failed" in told:
                raise Failed(told["failed"])
            return told["answer"]

        return call

    return connect


# Some clients rename a wrong signature when the answer shows that both sides signed the same text.
WRONG_SECRET_CODES = "SignatureDoesNotMatch", "InvalidAccessKeySecret", "SDK.InvalidAccessKeySecret"

client, *command = sys.argv[1:]
with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") as driver:
    run(client, connector(driver), WRONG_SECRET_CODES)
