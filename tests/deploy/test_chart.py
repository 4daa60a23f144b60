"""Each values file of ci/ gives manifests that Kubernetes takes, that hang together, and that keep the promises."""

import re

import helm_python as helm
import jsonschema
import kubernetes_validate
import pytest

from chart import (
    CI,
    CI_BAD,
    DEPLOY,
    HOME,
    NAMESPACE,
    containers,
    merged,
    named,
    of_kind,
    parse,
    pod_template,
    pods,
    variables,
)
from resources import SCHEMAS

# The oldest that Chart.yaml allows, and the newest that schemas are at hand of.
KUBERNETES = ["1.30", "1.37"]

# What the node does after its grace, in seconds: two rounds of legal endings (5 each), the client of upstreams (5), what
# is left of requests (10), the last records (10), everything else (10).
NODE_ENDING = 45
CONTROL_ENDING = 10


@pytest.mark.parametrize("file", sorted(CI.glob("*.yaml")), ids=lambda file: file.stem)
def test_lints_clean(chart, file):
    report = helm.lint(HOME, chart.read(file), strict=True, namespace=NAMESPACE, kube_version="v1.37.0")
    bad = [message for message in report["messages"] if message["severity"] >= 2]
    assert not report["errors"] and not bad, report


@pytest.mark.parametrize("version", KUBERNETES)
def test_manifests_are_what_kubernetes_takes(rendered, version):
    for manifest in rendered:
        key = (manifest["apiVersion"], manifest["kind"])
        if key in SCHEMAS:
            jsonschema.validate(manifest, SCHEMAS[key])
        else:
            kubernetes_validate.validate(manifest, version, strict=True)


def test_a_misspelt_field_would_be_seen(chart):
    manifests = chart.manifests(chart.read(CI / "production.yaml"))
    deployment = named(manifests, "Deployment", "sy-gateway-control")
    deployment["spec"]["template"]["spec"]["terminationGracePeriodSecond"] = 5
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(deployment, KUBERNETES[-1], strict=True)
    certificate = of_kind(manifests, "Certificate")[0]
    certificate["spec"]["dnsName"] = "x"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(certificate, SCHEMAS["cert-manager.io/v1", "Certificate"])


def test_nothing_is_left_blank(chart):
    for file in CI.glob("*.yaml"):
        for name, text in chart.render(chart.read(file)).items():
            assert "<no value>" not in text and "%!" not in text, f"{file.stem}: {name}"


def test_names_are_unique_and_short(rendered):
    names = [(each["kind"], each["metadata"]["name"]) for each in rendered]
    assert len(names) == len(set(names)), names
    assert all(len(name) <= 63 for _, name in names)


def test_long_release_names_still_fit(chart):
    values = chart.read(CI / "production.yaml")
    texts = chart.chart.render(values, name="r" * 53, namespace=NAMESPACE)
    for text in (text for name, text in texts.items() if name.endswith(".yaml")):
        for manifest in parse(text):
            name = manifest["metadata"]["name"]
            # A StatefulSet's pods carry its name with a hash (11) as a label.
            assert len(name) <= (52 if manifest["kind"] == "StatefulSet" else 63), name


def test_pods_are_locked_down(rendered):
    for name, template in pods(rendered):
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"].get("runAsUser", 1) != 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in containers(template):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name
            assert container["resources"]["requests"] and container["resources"]["limits"]["memory"], name
            assert re.search(r":[^/:]+$", container["image"]), container["image"]
            assert not container["image"].endswith(":latest"), container["image"]


def test_probes_ask_what_the_programs_answer(rendered):
    for name, template in pods(rendered):
        for container in template["spec"]["containers"]:
            if container.get("args") != ["serve"]:
                continue
            asked = {
                probe: container[probe]["httpGet"]
                for probe in ("startupProbe", "livenessProbe", "readinessProbe")
            }
            port = container["ports"][0]["name"]
            shown = {"SWITCHYARD_LISTEN_TLS_CERT", "SWITCHYARD_ADMIN_TLS_CERT"}
            scheme = "HTTPS" if shown & set(variables(container)) else "HTTP"
            assert asked == {
                "startupProbe": {"path": "/healthz", "port": port, "scheme": scheme},
                "livenessProbe": {"path": "/healthz", "port": port, "scheme": scheme},
                "readinessProbe": {"path": "/readyz", "port": port, "scheme": scheme},
            }, name


def test_whoever_comes_to_nodes_with_a_certificate_speaks_tls(chart):
    manifests = chart.manifests(chart.read(CI / "tls-to-clients.yaml"))
    (port,) = named(manifests, "Service", "sy-switchyard-clients")["spec"]["ports"]
    assert port["appProtocol"] == "https"
    protocols = {
        each["metadata"]["name"]: each["metadata"]["annotations"].get(
            "nginx.ingress.kubernetes.io/backend-protocol"
        )
        for each in of_kind(manifests, "Ingress")
    }
    assert protocols == {"sy-switchyard-clients": "HTTPS", "sy-switchyard-admins": None}
    schemes = {
        each["metadata"]["name"]: each["spec"]["endpoints"][0].get("scheme")
        for each in of_kind(manifests, "ServiceMonitor")
    }
    assert schemes == {"sy-switchyard-clients": "https", "sy-switchyard-admin": None}


def test_whoever_comes_to_the_control_plane_with_a_certificate_speaks_tls(chart):
    manifests = chart.manifests(chart.read(CI / "tls-to-admins.yaml"))
    (port,) = named(manifests, "Service", "sy-switchyard-admin")["spec"]["ports"]
    assert port["appProtocol"] == "https"
    (ingress,) = of_kind(manifests, "Ingress")
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/backend-protocol"] == "HTTPS"
    schemes = {
        each["metadata"]["name"]: each["spec"]["endpoints"][0].get("scheme")
        for each in of_kind(manifests, "ServiceMonitor")
    }
    assert schemes == {"sy-switchyard-clients": None, "sy-switchyard-admin": "https"}


def test_certificates_that_name_no_node_are_taken_only_where_nodes_share_one(chart):
    name = "SWITCHYARD_GRPC_SHARED_CERTIFICATES"
    for file, shared in {"minimal": False, "tls-per-node": False, "tls-shared": True, "tls-secrets": True}.items():
        manifests = chart.manifests(chart.read(CI / f"{file}.yaml"))
        control = next(each for each in of_kind(manifests, "Deployment") if each["metadata"]["name"].endswith("-control"))
        found = variables(control["spec"]["template"]["spec"]["containers"][0])
        assert (found.get(name) == "true") is shared, file


def test_streams_end_before_the_pod_is_killed(rendered):
    node = of_kind(rendered, "StatefulSet")[0]["spec"]["template"]["spec"]
    container = node["containers"][0]
    seconds = {
        name: int(variables(container)[name].removesuffix("s"))
        for name in ("SWITCHYARD_MAX_STREAM", "SWITCHYARD_SHUTDOWN_GRACE")
    }
    assert node["terminationGracePeriodSeconds"] == seconds["SWITCHYARD_MAX_STREAM"] + 60
    assert seconds["SWITCHYARD_SHUTDOWN_GRACE"] >= seconds["SWITCHYARD_MAX_STREAM"]
    needed = pause(container) + seconds["SWITCHYARD_SHUTDOWN_GRACE"] + NODE_ENDING
    assert node["terminationGracePeriodSeconds"] >= needed


def test_the_control_plane_ends_before_the_pod_is_killed(rendered):
    control = next(
        each for each in of_kind(rendered, "Deployment") if each["metadata"]["name"].endswith("-control")
    )
    spec = control["spec"]["template"]["spec"]
    grace = int(variables(spec["containers"][0])["SWITCHYARD_CONTROL_SHUTDOWN_GRACE"].removesuffix("s"))
    assert spec["terminationGracePeriodSeconds"] >= pause(spec["containers"][0]) + grace + CONTROL_ENDING


def pause(container):
    return container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)


def test_ways_in_let_streams_through(rendered):
    longest = of_kind(rendered, "StatefulSet")[0]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    for ingress in of_kind(rendered, "Ingress"):
        told = ingress["metadata"].get("annotations", {})
        if not any(name.startswith("nginx.") for name in told):
            continue
        of_nginx = {name.split("/")[1]: value for name, value in told.items()}
        assert of_nginx["proxy-buffering"] == of_nginx["proxy-request-buffering"] == "off"
        assert (
            int(of_nginx["proxy-read-timeout"]) >= longest and int(of_nginx["proxy-send-timeout"]) >= longest
        )
        assert of_nginx["proxy-body-size"] == "0"
        assert of_nginx["proxy-next-upstream"] == "error"
    for route in of_kind(rendered, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            assert rule.get("timeouts", {"request": "0s", "backendRequest": "0s"}) == {
                "request": "0s",
                "backendRequest": "0s",
            }


def test_time_outs_of_gateways_are_off(chart):
    for route in of_kind(chart.manifests(chart.read(CI / "gateway-api.yaml")), "HTTPRoute"):
        forwarding = [rule for rule in route["spec"]["rules"] if "backendRefs" in rule]
        assert forwarding and all("timeouts" in rule for rule in forwarding)


def test_the_pages_for_operators_are_not_passed_on(chart):
    hidden = {"/metrics", "/healthz", "/readyz"}
    for route in of_kind(chart.manifests(chart.read(CI / "gateway-api.yaml")), "HTTPRoute"):
        nobody = [rule for rule in route["spec"]["rules"] if "backendRefs" not in rule]
        assert {match["path"]["value"] for rule in nobody for match in rule["matches"]} == hidden
    manifests = chart.manifests(chart.read(CI / "ingress-other-controller.yaml"))
    nobody = named(manifests, "Service", "sy-switchyard-nobody")
    assert "selector" not in nobody["spec"]
    paths = of_kind(manifests, "Ingress")[0]["spec"]["rules"][0]["http"]["paths"]
    to = {path["path"]: path["backend"]["service"]["name"] for path in paths}
    assert {path for path, service in to.items() if service == "sy-switchyard-nobody"} == hidden


def test_no_credential_stands_in_clear(rendered):
    secret = re.compile(r"PASSWORD|_URL$|_KEY$|_KEYS$|SEAL")
    for name, template in pods(rendered):
        for container in containers(template):
            for variable, value in variables(container).items():
                if not secret.search(variable) or not isinstance(value, str):
                    continue
                harmless = value.startswith(("/etc/switchyard/", "http://", "https://"))
                assert harmless and "@" not in value, f"{name}: {variable}={value}"


def test_planes_are_plaintext_only_where_it_is_said(rendered):
    for name, template in pods(rendered):
        for container in containers(template):
            told = variables(container)
            if "SWITCHYARD_CONTROL_PLANE" in told:
                plaintext = told["SWITCHYARD_CONTROL_PLANE"].startswith("http:")
                assert plaintext == ("SWITCHYARD_ALLOW_PLAINTEXT_PLANES" in told), name
                assert plaintext != ("SWITCHYARD_TLS_CERT" in told), name


def test_claims_are_kept(rendered):
    for node in of_kind(rendered, "StatefulSet"):
        if node["metadata"]["name"].endswith("-node") and "volumeClaimTemplates" in node["spec"]:
            kept = node["spec"]["persistentVolumeClaimRetentionPolicy"]
            assert kept == {"whenDeleted": "Retain", "whenScaled": "Retain"}
            assert node["spec"]["podManagementPolicy"] == "Parallel"


def test_an_autoscaler_and_a_number_of_replicas_exclude_each_other(rendered):
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind(rendered, "HorizontalPodAutoscaler")}
    for node in of_kind(rendered, "StatefulSet"):
        assert ("replicas" in node["spec"]) != (node["metadata"]["name"] in scaled)


def test_settings_restart_the_pods_that_read_them(chart):
    values = chart.read(CI / "minimal.yaml")

    def checksums(values):
        manifests = chart.manifests(values)
        return {
            each["kind"]: pod_template(each)["metadata"]["annotations"]["checksum/settings"]
            for each in of_kind(manifests, "Deployment") + of_kind(manifests, "StatefulSet")
        }

    before = checksums(values)
    after = checksums(merged(values, {"nodes": {"settings": {"max_retries": 5}}}))
    assert before["Deployment"] == after["Deployment"] and before["StatefulSet"] != after["StatefulSet"]


def test_a_new_chart_alone_restarts_nobody(rendered):
    for name, template in pods(rendered):
        assert not any(
            "version" in label or label.startswith("helm") for label in template["metadata"]["labels"]
        ), name


def test_every_alert_is_explained(chart):
    (rule,) = of_kind(chart.manifests(chart.read(CI / "production.yaml")), "PrometheusRule")
    readme = (DEPLOY / "README.md").read_text()
    alerts = {each["alert"]: each for group in rule["spec"]["groups"] for each in group["rules"]}
    explained = dict(re.findall(r"^\| (Switchyard[A-Za-z]+) \| `([a-z_]+)`", readme, re.M))
    assert set(explained) == set(alerts)
    for name, metric in explained.items():
        assert metric in alerts[name]["expr"], name


def refused_files():
    return sorted(CI_BAD.glob("*.yaml"))


@pytest.mark.parametrize("file", refused_files(), ids=lambda file: file.stem)
def test_senseless_values_are_refused_and_told_why(chart, file):
    first, _, _ = file.read_text().partition("\n")
    assert first.startswith("# refused: "), f"{file.name} must say in its first line what is answered"
    values = merged(chart.read(CI / "minimal.yaml"), chart.read(file))
    with pytest.raises(helm.HelmError) as refused:
        chart.render(values)
    assert first.removeprefix("# refused: ") in str(refused.value)


def test_every_refusal_of_the_templates_has_its_file(chart):
    told = " ".join(file.read_text().partition("\n")[0] for file in refused_files())
    for message in re.findall(
        r'fail \(?(?:printf )?"((?:[^"\\]|\\.)*)"', chart.templates["templates/checks.yaml"]
    ):
        # The longest piece without anything filled in.
        piece = max(re.split(r"%[sd]|\\\"", message), key=len).strip()
        assert piece in told, f"no file of ci-bad/ is refused with: {piece}"
