"""The Dockerfile, by stage."""

import json
import shlex

from dockerfile_parse import DockerfileParser

from chart import DEPLOY

FILE = DEPLOY / "docker" / "Dockerfile"


def instructions():
    parser = DockerfileParser(fileobj=FILE.open("rb"))
    return [each for each in parser.structure if each["instruction"] != "COMMENT"]


def stages():
    """Name → {"FROM": base, instruction: …} with what a stage says by itself. Exec forms are lists, ENV is a dict."""
    found, stage = {}, None
    for each in instructions():
        name, value = each["instruction"], each["value"]
        if name == "FROM":
            base, _, alias = value.partition(" AS ")
            stage = found[alias] = {"FROM": base, "COPY": [], "RUN": [], "ENV": {}}
        elif stage is None:
            continue
        elif name in ("COPY", "RUN"):
            stage[name].append(value)
        elif name == "ENV":
            stage["ENV"].update(pair.split("=", 1) for pair in shlex.split(value))
        elif name in ("ENTRYPOINT", "CMD", "VOLUME"):
            stage[name] = json.loads(value)
        elif name == "EXPOSE":
            stage[name] = value.split()
        else:
            stage[name] = value
    return found


def arguments():
    """Name → default of the ARGs ahead of the first stage."""
    return dict(each["value"].split("=", 1) for each in instructions() if each["instruction"] == "ARG")
