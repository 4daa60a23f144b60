"""What one manifest names, another one is."""

from chart import NAMESPACE, containers, of_kind, pod_template, pods, variables

# Secrets that the operator brings, or that a controller makes.
BROUGHT = {
    "switchyard",
    "switchyard-database",
    "switchyard-redis",
    "switchyard-master-key",
    "switchyard-seal-key",
    "control-tls",
    "node-tls",
    "admins-tls",
    "clients-tls",
}


def names(manifests, kind):
    return {each["metadata"]["name"] for each in of_kind(manifests, kind)}


def covers(selector, labels):
    return all(labels.get(name) == value for name, value in selector.items())


def selected(manifests, selector):
    return [template for _, template in pods(manifests) if covers(selector, template["metadata"]["labels"])]


def test_workloads_select_their_own_pods(rendered):
    for manifest in of_kind(rendered, "Deployment") + of_kind(rendered, "StatefulSet"):
        found = selected(rendered, manifest["spec"]["selector"]["matchLabels"])
        assert found == [pod_template(manifest)], manifest["metadata"]["name"]


def test_services_lead_to_ports_of_pods(rendered):
    for service in of_kind(rendered, "Service"):
        selector = service["spec"].get("selector")
        if selector is None:
            assert service["metadata"]["name"].endswith("-nobody")
            continue
        (template,) = selected(rendered, selector)
        ports = {
            port["name"]: port["containerPort"]
            for each in containers(template)
            for port in each.get("ports", [])
        }
        for port in service["spec"]["ports"]:
            assert ports[port["targetPort"]] == port["port"], service["metadata"]["name"]


def test_a_stateful_set_has_its_headless_service(rendered):
    headless = {
        each["metadata"]["name"]
        for each in of_kind(rendered, "Service")
        if each["spec"].get("clusterIP") == "None"
    }
    for manifest in of_kind(rendered, "StatefulSet"):
        assert manifest["spec"]["serviceName"] in headless


def test_ways_in_lead_to_services(rendered):
    ports = {
        each["metadata"]["name"]: {port["port"] for port in each["spec"]["ports"]}
        for each in of_kind(rendered, "Service")
    }
    for ingress in of_kind(rendered, "Ingress"):
        for path in (path for rule in ingress["spec"]["rules"] for path in rule["http"]["paths"]):
            service = path["backend"]["service"]
            assert service["port"]["number"] in ports[service["name"]]
    for route in of_kind(rendered, "HTTPRoute"):
        for backend in (
            backend for rule in route["spec"]["rules"] for backend in rule.get("backendRefs", [])
        ):
            assert backend["port"] in ports[backend["name"]]


def test_urls_between_the_planes_lead_to_services(rendered):
    ports = {
        each["metadata"]["name"]: {port["port"] for port in each["spec"]["ports"]}
        for each in of_kind(rendered, "Service")
    }
    found = set()
    for _, template in pods(rendered):
        for container in containers(template):
            for variable in ("SWITCHYARD_CONTROL_PLANE", "SWITCHYARD_DATA_PLANE_URL"):
                url = variables(container).get(variable)
                if url is None:
                    continue
                host, port = url.split("//")[1].split(":")
                service, namespace, svc = host.split(".")
                assert (namespace, svc) == (NAMESPACE, "svc") and int(port) in ports[service], url
                found.add(variable)
    (node,) = [
        variables(each) for _, template in pods(rendered) for each in containers(template) if each["name"] == "node"
    ]
    # A certificate for clients is good for their name only, so proxy tests go there.
    own = set() if "SWITCHYARD_LISTEN_TLS_CERT" in node else {"SWITCHYARD_DATA_PLANE_URL"}
    assert found == {"SWITCHYARD_CONTROL_PLANE"} | own


def test_volumes_are_mounted_and_mounts_have_volumes(rendered):
    for name, template in pods(rendered):
        volumes = {volume["name"] for volume in template["spec"].get("volumes", [])}
        claims = next(
            (
                each["spec"].get("volumeClaimTemplates", [])
                for each in of_kind(rendered, "StatefulSet")
                if pod_template(each) is template
            ),
            [],
        )
        volumes |= {claim["metadata"]["name"] for claim in claims}
        mounts = {mount["name"] for each in containers(template) for mount in each.get("volumeMounts", [])}
        assert volumes == mounts, name


def test_files_that_variables_name_are_mounted(rendered):
    for name, template in pods(rendered):
        for container in containers(template):
            mounted = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            for variable, value in variables(container).items():
                if isinstance(value, str) and value.startswith("/"):
                    assert any(
                        value == path or value.startswith(f"{path}/") for path in mounted
                    ), f"{name}: {variable}"


def test_config_maps_and_secrets_are_there(rendered):
    secrets = (
        names(rendered, "Secret")
        | {each["spec"]["secretName"] for each in of_kind(rendered, "Certificate")}
        | BROUGHT
    )
    maps = names(rendered, "ConfigMap") | {"authorities"}
    for name, template in pods(rendered):
        for volume in template["spec"].get("volumes", []):
            if "secret" in volume:
                assert volume["secret"]["secretName"] in secrets, name
            if "configMap" in volume:
                assert volume["configMap"]["name"] in maps, name
        for container in containers(template):
            for value in variables(container).values():
                if isinstance(value, dict) and "secretKeyRef" in value:
                    assert value["secretKeyRef"]["name"] in secrets, name


def test_keys_of_made_up_secrets_exist(rendered):
    made = {each["metadata"]["name"]: set(each["stringData"]) for each in of_kind(rendered, "Secret")}
    for _, template in pods(rendered):
        for container in containers(template):
            for value in variables(container).values():
                reference = value.get("secretKeyRef") if isinstance(value, dict) else None
                if reference and reference["name"] in made:
                    assert reference["key"] in made[reference["name"]]
        for volume in template["spec"].get("volumes", []):
            if volume.get("secret", {}).get("secretName") in made:
                assert {item["key"] for item in volume["secret"]["items"]} <= made[
                    volume["secret"]["secretName"]
                ]


def test_the_certificate_names_what_nodes_connect_to(rendered):
    for certificate in of_kind(rendered, "Certificate"):
        if "server auth" not in certificate["spec"].get("usages", []):
            continue
        for _, template in pods(rendered):
            for container in containers(template):
                url = variables(container).get("SWITCHYARD_CONTROL_PLANE")
                if url:
                    assert url.split("//")[1].split(":")[0] in certificate["spec"]["dnsNames"]


def test_certificates_come_from_issuers_that_are_there(rendered):
    issuers = names(rendered, "Issuer") | {"planes"}
    for certificate in of_kind(rendered, "Certificate"):
        assert certificate["spec"]["issuerRef"]["name"] in issuers
    for _, template in pods(rendered):
        for volume in template["spec"].get("volumes", []):
            if "csi" in volume:
                assert volume["csi"]["volumeAttributes"]["csi.cert-manager.io/issuer-name"] in issuers


def test_a_certificate_of_ones_own_names_the_node(rendered):
    for manifest in of_kind(rendered, "StatefulSet") + of_kind(rendered, "Job"):
        for volume in pod_template(manifest)["spec"].get("volumes", []):
            if "csi" not in volume:
                continue
            name = volume["csi"]["volumeAttributes"]["csi.cert-manager.io/uri-sans"]
            if manifest["kind"] == "Job":
                (claim,) = [
                    each["persistentVolumeClaim"]["claimName"]
                    for each in pod_template(manifest)["spec"]["volumes"]
                    if "persistentVolumeClaim" in each
                ]
                assert name == "switchyard://node/" + claim.removeprefix("data-")
            else:
                assert name == "switchyard://node/${POD_NAME}"


def test_drain_jobs_take_claims_of_the_nodes(rendered):
    node = next(
        each for each in of_kind(rendered, "StatefulSet") if each["metadata"]["name"].endswith("-node")
    )
    prefix = f"data-{node['metadata']['name']}-"
    for job in of_kind(rendered, "Job"):
        (claim,) = [
            each["persistentVolumeClaim"]["claimName"]
            for each in pod_template(job)["spec"]["volumes"]
            if "persistentVolumeClaim" in each
        ]
        assert claim.startswith(prefix) and claim.removeprefix(prefix).isdigit()
        data = next(each for each in pod_template(node)["spec"]["containers"])
        drain = pod_template(job)["spec"]["containers"][0]
        assert variables(drain)["SWITCHYARD_DATA_DIR"] == variables(data)["SWITCHYARD_DATA_DIR"]


def test_autoscalers_budgets_and_policies_are_about_pods_that_are_there(rendered):
    for scaler in of_kind(rendered, "HorizontalPodAutoscaler"):
        assert scaler["spec"]["scaleTargetRef"]["name"] in names(rendered, "StatefulSet")
    for manifest in of_kind(rendered, "PodDisruptionBudget"):
        assert len(selected(rendered, manifest["spec"]["selector"]["matchLabels"])) == 1
    for policy in of_kind(rendered, "NetworkPolicy"):
        assert selected(rendered, policy["spec"]["podSelector"]["matchLabels"]), policy["metadata"]["name"]
    for monitor in of_kind(rendered, "ServiceMonitor"):
        found = [
            each
            for each in of_kind(rendered, "Service")
            if covers(monitor["spec"]["selector"]["matchLabels"], each["metadata"]["labels"])
        ]
        (service,) = found
        assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}


def test_policies_leave_no_pod_out(rendered):
    policies = [each["spec"]["podSelector"]["matchLabels"] for each in of_kind(rendered, "NetworkPolicy")]
    for name, template in pods(rendered):
        if policies:
            assert any(covers(selector, template["metadata"]["labels"]) for selector in policies), name
