"""What the programs take, by their own --help, and what deploy/ tells them.

The checks are functions that give the list of what is wrong, so that the tests can show that they find a misspelling.
"""

import dataclasses
import functools
import os
import pathlib
import re
import subprocess

from chart import ROOT

FOLDER = pathlib.Path(os.environ.get("SWITCHYARD_TEST_PROGRAMS", ROOT / "target" / "debug"))
VERBS = {
    "switchyard-control": ["serve", "migrate", "adopt-epoch"],
    "switchyard-data": ["serve", "drain"],
    "switchyard": ["serve", "demo", "adopt-epoch"],
}
VARIABLE = re.compile(r"\bSWITCHYARD_[A-Z0-9_]+")
# Of compose.yaml itself, and none of the programs'.
OF_COMPOSE = {"SWITCHYARD_TAG"}
PROGRAM = re.compile(
    r"(?<![\w/.-])(switchyard-control|switchyard-data|switchyard)(?= (?:serve|migrate|adopt-epoch|drain|demo)\b)"
)


@dataclasses.dataclass(frozen=True)
class Verb:
    """`defaults`: variable → default."""

    flags: frozenset
    variables: frozenset
    defaults: dict


@functools.cache
def verb(program, name):
    return read_help(_run(program, name, "--help"))


def _run(program, *arguments):
    done = subprocess.run([FOLDER / program, *arguments], capture_output=True, text=True, env={}, check=True)
    return done.stdout


def read_help(text):
    flags, variables, defaults = set(), set(), {}
    for entry in re.split(r"\n(?= +(?:-\w, )?--[a-z])", text)[1:]:
        flags.add(re.search(r"--[a-z][a-z-]*", entry).group())
        for variable in re.findall(r"\[env: (SWITCHYARD_[A-Z0-9_]+)", entry):
            variables.add(variable)
            # The last one: the words of a flag may have a bracket too.
            found = re.findall(r"\[default: ([^\]]+)\]", entry)
            if found:
                defaults[variable] = found[-1]
    return Verb(frozenset(flags), frozenset(variables), defaults)


def all_variables():
    return frozenset().union(
        *(verb(program, name).variables for program, names in VERBS.items() for name in names)
    )


def unknown_variables(text, known=None):
    """Names of our form in a text that no program (or not the one asked for) takes."""
    known = all_variables() if known is None else known
    return sorted(set(VARIABLE.findall(text)) - known - OF_COMPOSE)


def code_of(markdown):
    """Lines of fenced blocks, with continued ones joined, and inline code."""
    fenced = re.findall(r"(?ms)^```[a-z]*\n(.*?)^```", markdown)
    rest = re.sub(r"(?ms)^```.*?^```", "", markdown)
    lines = [line for block in fenced for line in block.replace("\\\n", " ").splitlines()]
    return lines + [code.replace("\n", " ") for code in re.findall(r"`([^`]+)`", rest)]


def unknown_flags(markdown):
    """Flags that a text gives to a program's verb which does not have them, or verbs that it does not have."""
    wrong = []
    for line in code_of(markdown):
        for command in re.split(r"[|;&]", line):
            found = PROGRAM.search(command)
            if not found:
                continue
            program, rest = found.group(1), command[found.end() :].split("#")[0]
            name = rest.split()[0]
            if name not in VERBS[program]:
                wrong.append(f"{program} {name}")
                continue
            given = re.findall(r"(?<=\s)--[a-z][a-z-]*", rest)
            wrong += [f"{program} {name} {flag}" for flag in given if flag not in verb(program, name).flags]
    return wrong


def port(program, variable):
    """The port that a program listens on by default."""
    return int(verb(program, "serve").defaults[variable].rsplit(":", 1)[1])
