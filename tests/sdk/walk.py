"""Goes through a life that a table in lives/ describes: calls with what is expected of their answers.

A step has a line for the report at "check", and one of

    "call": an operation, "with" parameters, "as" a caller (kim unless another is named)
    "here": a function of here.py, what a client does on its own side, "with" its arguments

and says of what comes back

    "expect": JMESPath expressions, and the values that they must have
    "keep": names, and JMESPath expressions of the values that later steps find under them, as $name
    "refused": the status and the code of a refusal that is expected instead
"""

import json
import re

import jmespath

import here
from common import TEXTS, equal
from ways import steps_of

# Parameters that are lists on the wire, one parameter for each element. Other lists are JSON text.
REPEATED = {"ResourceId", "Tag", "TagKey"}


def filled(value, known):
    """The value with the $names in it replaced. A text that is nothing but a name becomes what the name stands for."""
    if isinstance(value, dict):
        return {name: filled(member, known) for name, member in value.items()}
    if isinstance(value, list):
        return [filled(element, known) for element in value]
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"\$\w+", value):
        return known[value[1:]]
    return re.sub(r"\$(\w+)", lambda match: str(known[match[1]]), value)


def as_sent(params):
    lists = {name for name, value in params.items() if isinstance(value, list)} - REPEATED
    return {name: json.dumps(value) if name in lists else value for name, value in params.items()}


def look(expression, found):
    try:
        return jmespath.search(expression, found)
    except jmespath.exceptions.JMESPathError as problem:  # for example the length of a list that is not there
        raise AssertionError(f"{expression}: {problem}") from problem


def outcome(step, callers, known):
    given = filled(step.get("with", {}), known)
    if "here" in step:
        return getattr(here, step["here"])(*given)
    return callers[step.get("as", "kim")](step["call"], **as_sent(given))


def take(report, step, callers, known):
    if "refused" in step:
        status, code = step["refused"]
        with report.refused(step["check"], status, code):
            outcome(step, callers, known)
        return
    with report.check(step["check"]):
        found = outcome(step, callers, known)
        for expression, expected in step.get("expect", {}).items():
            equal(look(filled(expression, known), found), filled(expected, known), expression)
        for name, expression in step.get("keep", {}).items():
            known[name] = look(expression, found)
            equal(known[name] is not None, True, f"{expression} is there")


def walk(report, steps, callers, ours):
    """Takes the steps, or those of the life that is named. `ours` is a name that nobody else uses; $ours and the texts of
    scenario.json are known."""
    known = TEXTS | {"ours": ours}
    for step in steps_of(steps) if isinstance(steps, str) else steps:
        take(report, step, callers, known)
