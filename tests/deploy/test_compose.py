"""compose.yaml: valid by the Compose Specification, hardened, and in the right order; and its load balancer,
which tests/deploy.rs runs."""

import importlib.metadata
import json
import re

import jsonschema
import pytest
import yaml

from chart import DEPLOY
from programs import unknown_variables, verb

TEXT = (DEPLOY / "compose.yaml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
NGINX = (DEPLOY / "docker" / "nginx.conf").read_text()
OURS = {
    "migrate": "switchyard-control",
    "control": "switchyard-control",
    "node-a": "switchyard-data",
    "node-b": "switchyard-data",
}


def schema():
    # As a file: the package itself wants more than is installed.
    carried = importlib.metadata.distribution("check-jsonschema")
    return json.loads(
        carried.locate_file("check_jsonschema/builtin_schemas/vendor/compose-spec.json").read_text()
    )


def test_it_is_a_compose_file():
    jsonschema.validate(COMPOSE, schema())


def test_a_misspelt_key_would_be_seen():
    wrong = json.loads(json.dumps(COMPOSE))
    wrong["services"]["control"]["read_onyl"] = True
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema())


@pytest.mark.parametrize("name", SERVICES)
def test_services_are_locked_down(name):
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service and "privileged" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    # Ours have their user in the image.
    assert name in OURS or int(service["user"].split(":")[0]) > 0
    assert re.search(r":[0-9a-zA-Z.${}_:-]+$", service["image"]) and not service["image"].endswith(":latest")


@pytest.mark.parametrize("name", OURS)
def test_programs_are_told_what_they_take(name):
    service = SERVICES[name]
    command = service.get("command", ["serve"])[0]
    assert service["image"].startswith(OURS[name] + ":")
    assert unknown_variables(" ".join(service["environment"]), verb(OURS[name], command).variables) == []


def test_what_is_named_is_there():
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (
                (DEPLOY / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]
            ), name
        assert set(service["networks"]) <= set(COMPOSE["networks"]), name
        if "build" in service:
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).exists()
    nodes = [SERVICES[name] for name in ("node-a", "node-b")]
    assert len({node["environment"]["SWITCHYARD_NODE_ID"] for node in nodes}) == 2
    assert len({node["volumes"][0].split(":")[0] for node in nodes}) == 2, "a node's folder is its own"


def test_the_order_of_the_start_is_by_health():
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in SERVICES[other], f"{name} waits for the health of {other}"
            if how["condition"] == "service_completed_successfully":
                assert SERVICES[other]["restart"] == "on-failure", f"{name} waits for the end of {other}"
    assert SERVICES["migrate"]["depends_on"]["mysql"]["condition"] == "service_healthy"
    assert SERVICES["control"]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert SERVICES["control"]["environment"]["SWITCHYARD_MIGRATE"] == "off"


def test_plaintext_stays_in_a_network_without_a_way_out():
    assert COMPOSE["networks"]["planes"]["internal"] is True
    for name in ("control", "node-a", "node-b"):
        assert SERVICES[name]["environment"]["SWITCHYARD_ALLOW_PLAINTEXT_PLANES"] == "true"
    for name in ("control", "migrate", "mysql", "redis"):
        assert SERVICES[name]["networks"] == ["planes"], name


def test_only_the_load_balancer_is_reached_from_outside():
    for name, service in SERVICES.items():
        assert ("ports" in service) == (name == "load-balancer")
    for port in SERVICES["load-balancer"]["ports"]:
        assert port.startswith("${PUBLISH_ADDRESS:-127.0.0.1}:")


def test_passwords_are_asked_for_and_the_readme_makes_them():
    asked = set(re.findall(r"\$\{([A-Z_]+):\?", TEXT))
    made = set(re.findall(r"^ *echo \"([A-Z_]+)=", (DEPLOY / "README.md").read_text(), re.M))
    assert asked == made
    for variable in re.findall(r"\$\{([A-Z_]+)", TEXT):
        if re.search("PASSWORD|KEY", variable):
            assert variable in asked


def test_nodes_may_finish_their_streams():
    assert verb("switchyard-data", "serve").defaults["SWITCHYARD_MAX_STREAM"] == "1h"
    assert SERVICES["load-balancer"]["stop_grace_period"] == "61m"
    for name in ("node-a", "node-b"):
        assert SERVICES[name]["stop_grace_period"] == "62m", "a node takes 61 minutes, and then delivers its records"


def directive(name):
    return re.findall(rf"^\s*{name} ([^;{{]+);", NGINX, re.M)


def test_the_load_balancer_lets_streams_through():
    assert directive("proxy_buffering") == directive("proxy_request_buffering") == ["off"]
    for name in ("proxy_read_timeout", "proxy_send_timeout", "send_timeout", "worker_shutdown_timeout"):
        assert directive(name) == ["3660s"], name
    assert directive("proxy_http_version") == ["1.1"] and 'Connection ""' in directive("proxy_set_header")
    assert directive("client_max_body_size") == ["0"]
    assert directive("proxy_next_upstream") == ["error timeout"], "what was sent is not sent again"


def test_the_load_balancer_knows_the_services_by_name():
    servers = dict(server.split()[0].split(":") for server in directive("server"))
    assert set(servers) == {"node-a", "node-b", "control"} <= set(SERVICES)
    published = {int(port.rsplit(":", 1)[1]) for port in SERVICES["load-balancer"]["ports"]}
    assert (
        published == {int(port) for port in directive("listen")} == {int(port) for port in servers.values()}
    )
