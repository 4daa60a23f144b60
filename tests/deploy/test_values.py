"""values.schema.json, values.yaml and the templates agree, and every value has an effect."""

import copy
import json
import re

import helm_python as helm

from chart import CI, HOME, merged

# Helm puts it into the values of a chart within a chart.
FOREIGN = {"global"}


def schema_leaves(schema, path=()):
    for name, child in schema["properties"].items():
        if "properties" in child:
            yield from schema_leaves(child, (*path, name))
        else:
            yield (*path, name)


def described(schema, path=()):
    for name, child in schema.get("properties", {}).items():
        yield (*path, name), child
        if "properties" in child:
            yield from described(child, (*path, name))


def has(tree, path):
    for name in path:
        if not isinstance(tree, dict) or name not in tree:
            return False
        tree = tree[name]
    return True


def leaves(chart):
    return [path for path in schema_leaves(chart.schema) if path[0] not in FOREIGN]


def default_leaves(values, schema, path=()):
    for name, value in values.items():
        child = schema.get("properties", {}).get(name)
        if isinstance(value, dict) and child and "properties" in child:
            yield from default_leaves(value, child, (*path, name))
        else:
            yield (*path, name)


def test_the_schema_and_the_defaults_have_the_same_values(chart):
    assert set(default_leaves(chart.defaults, chart.schema)) == set(leaves(chart))


def test_every_value_is_described_in_a_sentence(chart):
    for path, schema in described(chart.schema):
        sentence = schema.get("description", "")
        assert re.match(r"^[A-Za-z\[].{8,}\.$", sentence), f"{'.'.join(path)}: {sentence!r}"


def test_no_value_can_be_misspelt(chart):
    assert chart.schema["additionalProperties"] is False
    for path, schema in described(chart.schema):
        if "properties" in schema:
            assert schema["additionalProperties"] is False, path


def test_templates_use_only_values_that_exist(chart):
    known = {path for path, _ in described(chart.schema)} - {(name,) for name in FOREIGN}
    used = 0
    for name, text in chart.templates.items():
        for match in re.findall(r"\.Values((?:\.[A-Za-z]+)+)", text):
            used += 1
            assert tuple(match[1:].split(".")) in known, f"{name}: .Values{match}"
        # Helpers are given one of the two planes.
        for match in re.findall(r"\$component\.([A-Za-z]+)", text):
            assert {("controlPlane", match), ("nodes", match)} <= known, f"{name}: {match}"
    assert used > 100


def test_every_value_has_an_effect(chart):
    """Each is set by some file of ci/, and taking it out there changes what is rendered, or is refused."""
    files = {file.stem: chart.read(file) for file in CI.glob("*.yaml")}
    before = {name: outcome(chart, values) for name, values in files.items()}
    for path in leaves(chart):
        setting = [name for name, values in files.items() if has(values, path)]
        assert setting, f"no file of ci/ sets {'.'.join(path)}"
        changed = [name for name in setting if outcome(chart, without(files[name], path)) != before[name]]
        assert changed, f"{'.'.join(path)} is without effect in {setting}"


def without(values, path):
    rest = copy.deepcopy(values)
    tree = rest
    for name in path[:-1]:
        tree = tree[name]
    del tree[path[-1]]
    return rest


def outcome(chart, values):
    try:
        texts = chart.render(values)
    except helm.HelmError as refused:
        return str(refused)
    # A trial's passwords are others each time.
    return {name: re.sub(r"(?ms)^stringData:.*?^---", "", text) for name, text in texts.items()}


def test_the_chart_can_be_part_of_another(chart):
    values = merged(chart.read(CI / "minimal.yaml"), {"global": {"region": "north"}})
    assert chart.manifests(values) == chart.manifests(chart.read(CI / "minimal.yaml"))


def test_the_schema_is_laid_out_as_json(chart):
    assert json.loads((HOME / "values.schema.json").read_text()) == chart.schema
