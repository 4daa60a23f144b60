"""Schemas of the custom resources that the chart makes: what their documents say of the fields used here, and no more.

Kubernetes' own kinds have theirs in kubernetes-validate. A field that is new in the chart is looked up in its project's
reference and added here.
"""


def _object(required=(), **properties):
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(required),
        "properties": properties,
    }


def _list(items, least=1):
    return {"type": "array", "minItems": least, "items": items}


_TEXT = {"type": "string", "minLength": 1}
_HOURS = {"type": "string", "pattern": "^[0-9]+h$"}
_METADATA = _object(
    ["name", "labels"],
    name={"type": "string", "pattern": "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", "maxLength": 63},
    labels={"type": "object", "additionalProperties": {"type": "string"}},
    annotations={"type": "object", "additionalProperties": {"type": "string"}},
)
_ISSUER = _object(["name", "kind", "group"], name=_TEXT, kind=_TEXT, group=_TEXT)


def _resource(version, kind, spec):
    return (version, kind), _object(
        ["apiVersion", "kind", "metadata", "spec"],
        apiVersion={"const": version},
        kind={"const": kind},
        metadata=_METADATA,
        spec=spec,
    )


_PATH = _object(
    ["type", "value"],
    type={"enum": ["Exact", "PathPrefix"]},
    value={"type": "string", "pattern": "^/"},
)
# GEP-2257
_GATEWAY_DURATION = {"type": "string", "pattern": "^([0-9]{1,5}(h|m|s|ms)){1,4}$"}

SCHEMAS = dict(
    [
        _resource(
            "cert-manager.io/v1",
            "Issuer",
            {
                "oneOf": [
                    _object(["selfSigned"], selfSigned=_object()),
                    _object(["ca"], ca=_object(["secretName"], secretName=_TEXT)),
                ]
            },
        ),
        _resource(
            "cert-manager.io/v1",
            "Certificate",
            _object(
                ["secretName", "issuerRef", "privateKey", "duration"],
                secretName=_TEXT,
                commonName={"type": "string", "maxLength": 64},
                dnsNames=_list(_TEXT),
                isCA={"type": "boolean"},
                usages=_list({"enum": ["digital signature", "server auth", "client auth"]}),
                duration=_HOURS,
                renewBefore=_HOURS,
                privateKey=_object(
                    ["algorithm", "size", "rotationPolicy"],
                    algorithm={"const": "ECDSA"},
                    size={"enum": [256, 384]},
                    rotationPolicy={"enum": ["Never", "Always"]},
                ),
                issuerRef=_ISSUER,
            ),
        ),
        _resource(
            "gateway.networking.k8s.io/v1",
            "HTTPRoute",
            _object(
                ["parentRefs", "hostnames", "rules"],
                parentRefs=_list(_object(["name"], name=_TEXT, namespace=_TEXT, sectionName=_TEXT)),
                hostnames=_list(_TEXT),
                rules=_list(
                    _object(
                        ["matches"],
                        matches=_list(_object(["path"], path=_PATH)),
                        timeouts=_object(request=_GATEWAY_DURATION, backendRequest=_GATEWAY_DURATION),
                        backendRefs=_list(_object(["name", "port"], name=_TEXT, port={"type": "integer"})),
                    )
                ),
            ),
        ),
        _resource(
            "monitoring.coreos.com/v1",
            "ServiceMonitor",
            _object(
                ["selector", "endpoints"],
                selector=_object(["matchLabels"], matchLabels={"type": "object"}),
                namespaceSelector=_object(["matchNames"], matchNames=_list(_TEXT)),
                endpoints=_list(
                    _object(
                        ["port", "path"],
                        port=_TEXT,
                        path={"const": "/metrics"},
                        interval={"type": "string", "pattern": "^[0-9]+(s|m)$"},
                        scheme={"enum": ["http", "https"]},
                        tlsConfig=_object(insecureSkipVerify={"type": "boolean"}),
                    )
                ),
            ),
        ),
        _resource(
            "monitoring.coreos.com/v1",
            "PrometheusRule",
            _object(
                ["groups"],
                groups=_list(
                    _object(
                        ["name", "rules"],
                        name=_TEXT,
                        rules=_list(
                            _object(
                                ["alert", "expr", "labels", "annotations"],
                                alert={"type": "string", "pattern": "^Switchyard[A-Za-z]+$"},
                                expr=_TEXT,
                                labels=_object(["severity"], severity={"enum": ["warning", "critical"]}),
                                annotations=_object(["summary"], summary=_TEXT),
                                **{"for": {"type": "string", "pattern": "^[0-9]+m$"}},
                            )
                        ),
                    )
                ),
            ),
        ),
    ]
)
