"""The Helm chart as the tests see it."""

import copy
import pathlib

import helm_python as helm
import yaml

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
HOME = DEPLOY / "helm" / "switchyard"
CI, CI_BAD = HOME / "ci", HOME / "ci-bad"

RELEASE, NAMESPACE = "sy", "gateway"


class Chart:
    def __init__(self):
        self.chart = helm.Chart.load(HOME)
        self.schema = self.chart.schema
        self.defaults = yaml.safe_load((HOME / "values.yaml").read_text())
        self.templates = {file["name"]: file["data"] for file in self.chart.templates}

    @staticmethod
    def read(file):
        return yaml.safe_load(file.read_text())

    def render(self, values):
        """Template → text. Raises where the schema or a check of the templates refuses the values."""
        self.chart.validate_schema(self.chart.merge_values(values))
        return self.chart.render(values, name=RELEASE, namespace=NAMESPACE)

    def manifests(self, values):
        """All objects, in the order of their templates."""
        texts = {name: text for name, text in self.render(values).items() if name.endswith(".yaml")}
        return [each for name in sorted(texts) for each in parse(texts[name])]


def parse(text):
    return [each for each in yaml.load_all(text, yaml.CSafeLoader) if each is not None]


def merged(base, change):
    """`change` laid over `base`, as Helm lays values over one another."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return copy.deepcopy(change)
    both = {name: copy.deepcopy(value) for name, value in base.items()}
    for name, value in change.items():
        both[name] = merged(both.get(name), value)
    return both


def pod_template(manifest):
    """The pods that a manifest makes; None where it makes none."""
    if manifest["kind"] in ("Deployment", "StatefulSet", "Job"):
        return manifest["spec"]["template"]
    return None


def pods(manifests):
    """(name of the manifest, pod template) of all that make pods."""
    return [(each["metadata"]["name"], pod_template(each)) for each in manifests if pod_template(each)]


def containers(template):
    return template["spec"].get("initContainers", []) + template["spec"]["containers"]


def of_kind(manifests, kind):
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def named(manifests, kind, name):
    return next(each for each in of_kind(manifests, kind) if each["metadata"]["name"] == name)


def variables(container):
    """Name → value, or the Secret's key."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container.get("env", [])}
