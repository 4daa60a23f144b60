"""Every flag, variable and port that deploy/ names is one of the programs."""

import re

import pytest

from chart import CI, DEPLOY, HOME, containers, merged, of_kind, pods, variables
from dockerfile import stages
from programs import (
    VERBS,
    all_variables,
    port,
    read_help,
    unknown_flags,
    unknown_variables,
    verb,
)

PORTS = {
    8080: [("switchyard-data", "SWITCHYARD_LISTEN"), ("switchyard", "SWITCHYARD_LISTEN")],
    8081: [("switchyard-control", "SWITCHYARD_ADMIN_LISTEN"), ("switchyard", "SWITCHYARD_ADMIN_LISTEN")],
    8082: [("switchyard-control", "SWITCHYARD_GRPC_LISTEN")],
}
# Which program a container of the chart, or a service of compose.yaml, runs.
OF_CONTAINER = {
    "control": "switchyard-control",
    "migrate": "switchyard-control",
    "node": "switchyard-data",
    "drain": "switchyard-data",
}


def texts():
    files = [
        file
        for file in DEPLOY.rglob("*")
        if file.is_file() and "standalone" not in file.relative_to(DEPLOY).parts
    ]
    return {file.relative_to(DEPLOY).as_posix(): file.read_text() for file in files}


def test_help_is_understood():
    help_text = verb("switchyard-control", "serve")
    assert "--database-url" in help_text.flags and "SWITCHYARD_DATABASE_URL" in help_text.variables
    assert help_text.defaults["SWITCHYARD_ADMIN_LISTEN"] == "127.0.0.1:8081"
    shown = "Options:\n      --one <ONE>\n          A one [default: made] [env: SWITCHYARD_ONE=] [default: 1]\n  -h, --help\n"
    assert read_help(shown).defaults == {"SWITCHYARD_ONE": "1"}
    assert len(all_variables()) > 40


def test_every_variable_is_one_of_a_program():
    for name, text in texts().items():
        assert unknown_variables(text) == [], name


def test_a_misspelt_variable_is_found():
    assert unknown_variables("env:\n  - SWITCHYARD_LISTN: x") == ["SWITCHYARD_LISTN"]
    of_control = verb("switchyard-control", "serve").variables
    assert unknown_variables("SWITCHYARD_DATA_DIR SWITCHYARD_MIGRATE", of_control) == ["SWITCHYARD_DATA_DIR"]


def test_containers_are_told_what_their_program_takes(rendered):
    for name, template in pods(rendered):
        for container in containers(template):
            if container["name"] not in OF_CONTAINER:
                assert not unknown_variables(" ".join(variables(container)), frozenset()), name
                continue
            program, (command,) = OF_CONTAINER[container["name"]], container["args"]
            assert command in VERBS[program]
            assert container["image"].split("/")[-1].split(":")[0] == program
            assert (
                unknown_variables(" ".join(variables(container)), verb(program, command).variables) == []
            ), name


def test_settings_of_the_values_files_are_settings_of_the_programs(chart):
    for file in CI.glob("*.yaml"):
        values = chart.read(file)
        for part, program in (("controlPlane", "switchyard-control"), ("nodes", "switchyard-data")):
            for setting in values.get(part, {}).get("settings", {}):
                assert (
                    "--" + setting.replace("_", "-") in verb(program, "serve").flags
                ), f"{file.name}: {setting}"


def test_settings_that_the_chart_refuses_are_settings_of_the_programs(chart):
    checks = chart.templates["templates/checks.yaml"]
    flags = {
        part: verb(program, "serve").flags
        for part, program in (("controlPlane", "switchyard-control"), ("nodes", "switchyard-data"))
    }
    for part, names in re.findall(r'"(controlPlane|nodes)" \(list ([^)]*)\)', checks):
        for name in re.findall(r'"([a-z_]+)"', names):
            assert "--" + name.replace("_", "-") in flags[part], name
    credentials = re.search(r"\$credentials := list ([^}]*)}}", checks).group(1)
    for name in re.findall(r'"([a-z_]+)"', credentials):
        assert "--" + name.replace("_", "-") in flags["controlPlane"] | flags["nodes"], name


def test_what_the_chart_sets_is_refused_as_a_setting(chart):
    """Else it would be without effect, unseen: the environment beats the file."""
    manifests = chart.manifests(
        merged(
            chart.read(CI / "production.yaml"),
            {
                "tls": {"mode": "secrets", "secrets": {"controlPlane": "a", "nodes": "b", "serverName": "c"}},
                "nodes": {"tlsSecret": "d"},
            },
        )
    )
    for _, template in pods(manifests):
        for container in containers(template):
            part = {"control": "controlPlane", "node": "nodes"}.get(container["name"])
            if part is None:
                continue
            for variable in variables(container):
                if not variable.startswith("SWITCHYARD_") or variable == "SWITCHYARD_CONFIG":
                    continue
                setting = variable.removeprefix("SWITCHYARD_").lower()
                with pytest.raises(Exception, match=f"{part}.settings.{setting}"):
                    chart.render(
                        merged(chart.read(CI / "minimal.yaml"), {part: {"settings": {setting: "x"}}})
                    )


def test_every_flag_of_the_documents_is_one_of_the_program():
    for name, text in texts().items():
        if name.endswith(".md"):
            assert unknown_flags(text) == [], name


def test_a_misspelt_flag_is_found():
    assert unknown_flags("`switchyard-data drain --data-dri x`") == ["switchyard-data drain --data-dri"]
    assert unknown_flags("```sh\nswitchyard-control serve \\\n  --listen x\n```") == [
        "switchyard-control serve --listen"
    ]
    assert unknown_flags("`switchyard-data migrate`") == ["switchyard-data migrate"]
    assert unknown_flags("`docker run --rm switchyard-data serve --listen 0.0.0.0:1`") == []


def test_ports_are_the_programs_own():
    for number, listeners in PORTS.items():
        for program, variable in listeners:
            assert port(program, variable) == number
    for name, text in texts().items():
        for found in re.findall(r"\b80[0-9]{2}\b", text):
            assert int(found) in PORTS, f"{name}: {found}"


def test_containers_listen_on_the_ports_that_they_show(rendered):
    for name, template in pods(rendered):
        for container in containers(template):
            told = variables(container)
            listening = {int(told[each].rsplit(":", 1)[1]) for each in told if each.endswith("LISTEN")}
            if listening:
                assert listening == {each["containerPort"] for each in container["ports"]}, name


def test_images_expose_the_ports_that_their_program_listens_on():
    for name, stage in stages().items():
        if "ENTRYPOINT" not in stage:
            continue
        told = {key: value for key, value in stage["ENV"].items() if key.endswith("LISTEN")}
        assert {int(value.rsplit(":", 1)[1]) for value in told.values()} == {
            int(each) for each in stage["EXPOSE"]
        }, name


def test_images_tell_their_program_what_it_takes():
    for name, stage in stages().items():
        if "ENTRYPOINT" not in stage:
            continue
        (path,), (command,) = stage["ENTRYPOINT"], stage["CMD"]
        program = path.rsplit("/", 1)[1]
        assert unknown_variables(" ".join(stage["ENV"]), verb(program, command).variables) == [], name


def test_the_longest_stream_is_the_programs_default(chart):
    assert verb("switchyard-data", "serve").defaults["SWITCHYARD_MAX_STREAM"] == "1h"
    assert chart.defaults["nodes"]["maxStreamSeconds"] == 3600


def test_the_autoscalers_metric_is_told_in_the_schema(chart):
    manifests = chart.manifests(chart.read(CI / "scaling-by-streams.yaml"))
    (scaler,) = of_kind(manifests, "HorizontalPodAutoscaler")
    (metric,) = scaler["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] in (HOME / "values.schema.json").read_text()
