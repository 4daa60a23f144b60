"""What deploy/README.md has people type."""

import re

import helm_python as helm
import yaml

from chart import DEPLOY, containers, named, of_kind, pods, variables
from programs import code_of

README = (DEPLOY / "README.md").read_text()


def values_file():
    (block,) = re.findall(r"(?ms)^```yaml\n(# values\.yaml\n.*?)^```", README)
    return yaml.safe_load(block)


def test_the_values_that_have_no_default_install(chart):
    manifests = chart.manifests(values_file())
    assert len(of_kind(manifests, "HTTPRoute")) == 2
    for bare in values_file()["secrets"]:
        rest = {**values_file(), "secrets": {**values_file()["secrets"], bare: {"name": ""}}}
        try:
            chart.manifests(rest)
        except helm.HelmError:
            continue
        assert bare == "adminPassword", f"{bare} has no need to be there"


def test_the_secrets_that_are_made_are_those_that_are_read(chart):
    made = set(re.findall(r"create secret generic ([a-z-]+) --from-literal=([a-z-]+)=", README))
    read = set()
    for _, template in pods(chart.manifests(values_file())):
        for container in containers(template):
            references = [
                value["secretKeyRef"] for value in variables(container).values() if is_secret(value)
            ]
            read |= {(reference["name"], reference["key"]) for reference in references}
        for volume in template["spec"]["volumes"]:
            keys = volume.get("secret", {}).get("items", [])
            read |= {(volume["secret"]["secretName"], item["key"]) for item in keys}
    assert made == read


def is_secret(value):
    return isinstance(value, dict) and "secretKeyRef" in value


def test_values_on_the_command_line_are_values_of_the_chart(chart):
    seen = 0
    for line in code_of(README):
        given = [pair.strip("'") for pair in re.findall(r"--set (\S+)", line)]
        if not given:
            continue
        values = helm.parse_set_string(",".join(given))
        if "-f values.yaml" in line:
            values = {**values_file(), **values}
        chart.render(values)
        seen += 1
    assert seen == 3


def test_objects_on_the_command_line_are_objects_of_the_chart(chart):
    """Of a release `switchyard`, as it is installed above."""
    manifests = []
    values = {**values_file(), "nodes": {"replicas": 3}, "drain": {"ordinals": [3, 4]}}
    for text in chart.chart.render(values, name="switchyard", namespace="switchyard").values():
        if "kind:" in text:
            manifests += [each for each in yaml.safe_load_all(text) if each]
    for kind, name in re.findall(r"\b(deployment|statefulset)/([a-z-]+)", README):
        named(manifests, {"deployment": "Deployment", "statefulset": "StatefulSet"}[kind], name)
    claims = {
        volume["persistentVolumeClaim"]["claimName"]
        for _, template in pods(manifests)
        for volume in template["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert set(re.findall(r"\bdata-switchyard-node-\d", README)) == claims
    (component,) = set(re.findall(r"app\.kubernetes\.io/component=([a-z]+)", README))
    assert all(
        each["metadata"]["labels"]["app.kubernetes.io/component"] == component
        for each in of_kind(manifests, "Job")
    )
    (container,) = set(re.findall(r"exec deployment/switchyard-control -c ([a-z]+)", README))
    control = named(manifests, "Deployment", "switchyard-control")
    assert container in {each["name"] for each in control["spec"]["template"]["spec"]["containers"]}
