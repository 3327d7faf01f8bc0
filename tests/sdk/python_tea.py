"""Drives Keyward with the Tea clients. The argument, the client's name, says how they sign: V3 unless they are told."""

import functools
import sys

from checks import run
from tea_clients import connect

SIGNATURES = {
    "python-tea": {},  # ACS3-HMAC-SHA256
    "python-tea-sm3": {"signature_algorithm": "ACS3-HMAC-SM3"},
    "python-tea-v4": {"signature_version": "v4"},  # ACS4-HMAC-SHA256
    "python-tea-v4-sm3": {"signature_version": "v4", "signature_algorithm": "ACS4-HMAC-SM3"},
}

client = sys.argv[1]
run(client, functools.partial(connect, **SIGNATURES[client]))
