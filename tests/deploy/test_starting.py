"""The programs read what the chart and compose.yaml tell them: started with it, they fail for want of a database, of a
certificate or of a key, and not for a setting."""

import os
import pathlib
import re
import subprocess

import pytest
import yaml

from chart import CI, DEPLOY, containers, named, pods
from programs import FOLDER

# As shared/src/program.rs has it.
SETTINGS_AT_FAULT = 2
PROGRAMS = {"control": "switchyard-control", "migrate": "switchyard-control", "node": "switchyard-data"}
# What ends the programs, once their settings are read.
UNUSABLE = {"SWITCHYARD_DATABASE_URL": "no database", "SWITCHYARD_NODE_SEAL_KEY": "no key"}


def start(program, verb, variables):
    variables = variables | {name: UNUSABLE[name] for name in UNUSABLE if name in variables}
    done = subprocess.run([FOLDER / program, verb], env=variables, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stderr


def of_container(container, template, manifests, folder):
    """Its variables, with what Kubernetes would fill in."""
    told = {}
    for each in container["env"]:
        told[each["name"]] = each.get("value", "filled-in")
    volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    for mount in container.get("volumeMounts", []):
        if "configMap" in volumes.get(mount["name"], {}) and mount["name"] == "settings":
            data = named(manifests, "ConfigMap", volumes[mount["name"]]["configMap"]["name"])["data"]
            for name, text in data.items():
                (folder / name).write_text(text)
            told["SWITCHYARD_CONFIG"] = str(folder / pathlib.Path(told["SWITCHYARD_CONFIG"]).name)
    return told


def for_this_machine(variables, folder):
    """On a port of its own choice, in a folder of the test."""
    return variables | {
        name: value
        for name, value in {
            "SWITCHYARD_LISTEN": "127.0.0.1:0",
            "SWITCHYARD_DATA_DIR": str(folder / "data"),
        }.items()
        if name in variables
    }


@pytest.mark.parametrize("file", ["production", "trial", "tls-secrets", "empty-dir"])
def test_containers_of_the_chart_read_their_settings(chart, file, tmp_path):
    manifests = chart.manifests(chart.read(CI / f"{file}.yaml"))
    seen = set()
    for _, template in pods(manifests):
        for container in containers(template):
            if container["name"] not in PROGRAMS:
                continue
            seen.add(container["name"])
            folder = tmp_path / container["name"]
            os.mkdir(folder)
            told = for_this_machine(of_container(container, template, manifests, folder), folder)
            code, said = start(PROGRAMS[container["name"]], container["args"][0], told)
            assert code == 1, f"{container['name']}: {code} {said}"
    assert seen == set(PROGRAMS)


def test_a_setting_at_fault_would_be_seen(chart, tmp_path):
    values = chart.read(CI / "production.yaml")
    values["nodes"]["settings"] = {"idle_timeut": "90s"}
    manifests = chart.manifests(values)
    (template,) = [template for name, template in pods(manifests) if name.endswith("-node")]
    told = of_container(template["spec"]["containers"][0], template, manifests, tmp_path)
    code, said = start("switchyard-data", "serve", for_this_machine(told, tmp_path))
    assert code == SETTINGS_AT_FAULT and "idle_timeut" in said


@pytest.mark.parametrize("service", ["migrate", "control", "node-a", "node-b"])
def test_services_of_compose_read_their_settings(service, tmp_path):
    defined = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"][service]
    # Without a value it is what deploy/.env says, which says nothing of these at first.
    given = {name: value for name, value in defined["environment"].items() if value is not None}
    told = {name: filled_in(value) for name, value in given.items()}
    program = "switchyard-data" if service.startswith("node") else "switchyard-control"
    if program == "switchyard-data":
        told["SWITCHYARD_DATA_DIR"] = str(tmp_path)
        told["SWITCHYARD_LISTEN"] = "127.0.0.1:0"
    code, said = start(program, defined.get("command", ["serve"])[0], told)
    assert code == 1, f"{code} {said}"


def filled_in(value):
    value = re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value)
    return re.sub(r"\$\{[A-Z_]+:\?[^}]*\}", "filled-in", value)
