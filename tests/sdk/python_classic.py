"""Drives Keyward with the classic clients."""

from checks import run
from classic_clients import connect

# The client renames a wrong signature when the answer shows that both sides signed the same text.
run("python-classic", connect, wrong_secret_codes=("SignatureDoesNotMatch", "InvalidAccessKeySecret"))
