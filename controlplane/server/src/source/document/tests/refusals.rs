//! Each thing that can be wrong with an object is said, at its field.

use super::*;

/// The code and field of each problem of an object with this `spec`, written in flow style.
fn of_spec(kind: &str, spec: &str) -> Vec<String> {
    let text = format!("apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: a}}\nspec: {spec}\n");
    reading(&text).problems.iter().map(|p| format!("{} {}", p.code, p.field)).collect()
}

fn check(kind: &str, cases: &[(&str, &str, &str)]) {
    for (spec, code, field) in cases {
        let found = of_spec(kind, spec);
        let expected = format!("{code} {field}");
        assert!(found.contains(&expected), "{kind} {spec}\n  expected {expected}\n  found    {found:?}");
    }
}

#[test]
fn of_virtual_services() {
    check(
        "VirtualService",
        &[
            ("{hosts: [a]}", "MS0204", "spec"),
            ("{http: [{}]}", "MS0204", "spec.http[0]"),
            ("{tcp: [{route: [{destination: {host: a}}]}]}", "MS0204", "spec.hosts"),
            ("{hosts: ['*'], http: [{route: [{destination: {host: a}}]}]}", "MS0411", "spec.hosts[0]"),
            ("{hosts: [a, a], http: [{route: [{destination: {host: a}}]}]}", "MS0410", "spec.hosts[1]"),
            ("{hosts: ['a..b'], http: []}", "MS0401", "spec.hosts[0]"),
            ("{hosts: [a], gateways: [g], http: []}", "MS0301", "spec.gateways"),
            ("{hosts: [a], gateways: [A/b/c], http: []}", "MS0401", "spec.gateways[0]"),
            ("{hosts: [a], exportTo: ['B.'], http: []}", "MS0401", "spec.exportTo[0]"),
            ("{hosts: [a], tls: [{route: [{destination: {host: a}}]}]}", "MS0204", "spec.tls[0].match"),
            (
                "{hosts: [a], tls: [{match: [{sniHosts: [b.c]}], route: []}]}",
                "MS0411",
                "spec.tls[0].match[0].sniHosts[0]",
            ),
            ("{hosts: [a], tcp: [{route: []}]}", "MS0204", "spec.tcp[0].route"),
            (
                "{hosts: [a], tcp: [{match: [{sourceSubnet: 10.0.0.0/8}]}]}",
                "MS0301",
                "spec.tcp[0].match[0].sourceSubnet",
            ),
            (
                "{hosts: [a], tcp: [{match: [{destinationSubnets: [10.0.0.0/40]}]}]}",
                "MS0405",
                "spec.tcp[0].match[0].destinationSubnets[0]",
            ),
        ],
    );
}

/// The problems of an HTTP rule.
fn check_rule(cases: &[(&str, &str, &str)]) {
    for (rule, code, field) in cases {
        let found = of_spec("VirtualService", &format!("{{hosts: [a], http: [{{{rule}}}]}}"));
        let expected = format!("{code} spec.http[0]{field}");
        assert!(found.contains(&expected), "{rule}\n  expected {expected}\n  found    {found:?}");
    }
}

const TO_A: &str = "route: [{destination: {host: a}}]";

#[test]
fn of_routes() {
    check_rule(&[
        ("redirect: {uri: /a}, route: [{destination: {host: a}}]", "MS0409", ".redirect"),
        ("route: [{destination: {host: a}}, {destination: {host: b}}]", "MS0406", ".route"),
        ("route: [{destination: {host: a}, weight: -1}]", "MS0406", ".route[0].weight"),
        ("route: [{destination: {host: a}, weight: 9}, {destination: {host: b}}]", "MS0609", ".route[1]"),
        ("route: [{destination: {host: '*.a.b'}}]", "MS0401", ".route[0].destination.host"),
        ("route: [{destination: {host: a, port: {number: 70000}}}]", "MS0403", ".route[0].destination.port.number"),
        ("route: [{destination: {host: a, port: {number: 0}}}]", "MS0403", ".route[0].destination.port.number"),
        ("route: [{weight: 1}]", "MS0204", ".route[0].destination"),
        ("redirect: {redirectCode: 300, uri: /a}", "MS0408", ".redirect.redirectCode"),
        ("redirect: {}", "MS0204", ".redirect"),
        ("redirect: {uri: /a, prefixRewrite: /b}", "MS0409", ".redirect.prefixRewrite"),
        ("redirect: {port: 1, derivePort: FROM_REQUEST_PORT}", "MS0409", ".redirect.derivePort"),
        ("redirect: {scheme: ftp}", "MS0203", ".redirect.scheme"),
        ("redirect: {uri: /a}, rewrite: {uri: /b}", "MS0409", ".rewrite"),
        ("redirect: {uri: /a}, timeout: 1s", "MS0606", ".timeout"),
        ("directResponse: {status: 100}", "MS0408", ".directResponse.status"),
        ("directResponse: {}", "MS0204", ".directResponse.status"),
        ("directResponse: {status: 200, body: {bytes: '!'}}", "MS0411", ".directResponse.body.bytes"),
        ("directResponse: {status: 200, body: {bytes: '', string: a}}", "MS0409", ".directResponse.body.bytes"),
        ("delegate: {}", "MS0204", ".delegate.name"),
    ]);
}

#[test]
fn of_matches_headers_and_rewrites() {
    let cases = [
        ("match: [{uri: {}}]", "MS0204", ".match[0].uri"),
        ("match: [{uri: {exact: /a, prefix: /b}}]", "MS0409", ".match[0].uri.prefix"),
        ("match: [{uri: {prefix: a}}]", "MS0411", ".match[0].uri.prefix"),
        ("match: [{uri: {regex: '('}}]", "MS0404", ".match[0].uri.regex"),
        ("match: [{uri: {regex: '(?=a)'}}]", "MS0404", ".match[0].uri.regex"),
        ("match: [{uri: {regex: .*}, ignoreUriCase: true}]", "MS0605", ".match[0].ignoreUriCase"),
        ("match: [{headers: {'a b': {exact: c}}}]", "MS0401", ".match[0].headers[\"a b\"]"),
        ("match: [{headers: {uri: {exact: c}}}]", "MS0607", ".match[0].headers.uri"),
        (
            "match: [{headers: {'@request.auth.claims.sub': {exact: c}}}]",
            "MS0306",
            ".match[0].headers[\"@request.auth.claims.sub\"]",
        ),
        ("match: [{port: 0}]", "MS0403", ".match[0].port"),
        ("headers: {request: {set: {a: '50%'}}}", "MS0411", ".headers.request.set.a"),
        ("headers: {request: {set: {a: ''}}}", "MS0607", ".headers.request.set.a"),
        ("headers: {request: {set: {':path': /a}}}", "MS0607", ".headers.request.set[\":path\"]"),
        ("headers: {response: {remove: [host]}}", "MS0607", ".headers.response.remove[0]"),
        ("rewrite: {}", "MS0204", ".rewrite"),
        ("rewrite: {uri: /a, uriRegexRewrite: {match: b}}", "MS0409", ".rewrite.uriRegexRewrite"),
        ("rewrite: {uriRegexRewrite: {match: '(a)', rewrite: '\\2'}}", "MS0404", ".rewrite.uriRegexRewrite.rewrite"),
        ("rewrite: {uriRegexRewrite: {match: '('}}", "MS0404", ".rewrite.uriRegexRewrite.match"),
    ];
    for (rule, code, field) in cases {
        check_rule(&[(&format!("{TO_A}, {rule}"), code, field)]);
    }
}

#[test]
fn of_resilience() {
    let cases = [
        ("timeout: 5 s", "MS0402", ".timeout"),
        ("timeout: '5'", "MS0402", ".timeout"),
        ("timeout: 5", "MS0202", ".timeout"),
        ("timeout: 1.5ms", "MS0402", ".timeout"),
        ("retries: {attempts: 1, perTryTimeout: 500us}", "MS0402", ".retries.perTryTimeout"),
        ("retries: {attempts: -1}", "MS0411", ".retries.attempts"),
        ("retries: {attempts: 1, retryOn: '5xx,gatewayerror'}", "MS0203", ".retries.retryOn"),
        ("retries: {attempts: 1, backoff: 0s}", "MS0402", ".retries.backoff"),
        ("fault: {}", "MS0204", ".fault"),
        ("fault: {delay: {fixedDelay: 1s}}", "MS0603", ".fault.delay"),
        ("fault: {delay: {percent: 1}}", "MS0204", ".fault.delay.fixedDelay"),
        ("fault: {delay: {fixedDelay: 1s, percent: 101}}", "MS0407", ".fault.delay.percent"),
        ("fault: {delay: {fixedDelay: 1s, percent: 1}}", "MS0305", ".fault.delay.percent"),
        ("fault: {delay: {fixedDelay: 1s, percentage: {value: -1}}}", "MS0407", ".fault.delay.percentage.value"),
        ("fault: {delay: {fixedDelay: 1s, percentage: {value: .nan}}}", "MS0202", ".fault.delay.percentage.value"),
        ("fault: {delay: {exponentialDelay: 1s, fixedDelay: 1s}}", "MS0301", ".fault.delay.exponentialDelay"),
        ("fault: {abort: {percentage: {value: 1}}}", "MS0204", ".fault.abort"),
        ("fault: {abort: {httpStatus: 600}}", "MS0408", ".fault.abort.httpStatus"),
        ("fault: {abort: {httpStatus: 500, grpcStatus: OK}}", "MS0409", ".fault.abort.grpcStatus"),
        ("fault: {abort: {grpcStatus: BUSY}}", "MS0203", ".fault.abort.grpcStatus"),
        ("mirror: {host: a}, mirrors: [{destination: {host: b}}]", "MS0409", ".mirrors"),
        ("mirror: {host: a}, mirror_percent: 5", "MS0305", ".mirror_percent"),
        ("mirror: {host: a}, mirrorPercent: 500", "MS0407", ".mirrorPercent"),
        ("mirrorPercentage: {value: 500}", "MS0407", ".mirrorPercentage.value"),
        ("corsPolicy: {allowOrigin: ['*']}", "MS0305", ".corsPolicy.allowOrigin"),
        ("corsPolicy: {allowOrigins: [{}]}", "MS0204", ".corsPolicy.allowOrigins[0]"),
        ("corsPolicy: {allowMethods: ['']}", "MS0411", ".corsPolicy.allowMethods[0]"),
        ("corsPolicy: {unmatchedPreflights: DROP}", "MS0203", ".corsPolicy.unmatchedPreflights"),
    ];
    for (rule, code, field) in cases {
        check_rule(&[(&format!("{TO_A}, {rule}"), code, field)]);
    }
}

#[test]
fn of_destination_rules() {
    let cases = [
        ("subsets: [{name: a}, {name: a}]", "MS0410", "spec.subsets[1].name"),
        ("subsets: [{name: a|b}]", "MS0401", "spec.subsets[0].name"),
        ("subsets: [{name: a, labels: {v: 1}}]", "MS0202", "spec.subsets[0].labels.v"),
        ("trafficPolicy: {portLevelSettings: [{}]}", "MS0204", "spec.trafficPolicy.portLevelSettings[0].port"),
        ("trafficPolicy: {tunnel: {targetHost: a, targetPort: 1}}", "MS0301", "spec.trafficPolicy.tunnel"),
        ("trafficPolicy: {tunnel: {}}", "MS0204", "spec.trafficPolicy.tunnel.targetHost"),
        ("trafficPolicy: {proxyProtocol: {}}", "MS0301", "spec.trafficPolicy.proxyProtocol"),
        ("trafficPolicy: {retryBudget: {}}", "MS0301", "spec.trafficPolicy.retryBudget"),
        ("trafficPolicy: {loadBalancer: {simple: FASTEST}}", "MS0203", "spec.trafficPolicy.loadBalancer.simple"),
        ("trafficPolicy: {loadBalancer: {simple: LEAST_CONN}}", "MS0305", "spec.trafficPolicy.loadBalancer.simple"),
        (
            "trafficPolicy: {loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true}}}",
            "MS0409",
            "spec.trafficPolicy.loadBalancer.consistentHash",
        ),
        (
            "trafficPolicy: {loadBalancer: {consistentHash: {}}}",
            "MS0204",
            "spec.trafficPolicy.loadBalancer.consistentHash",
        ),
        (
            "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 100}}}}",
            "MS0411",
            "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize",
        ),
        (
            "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, maglev: {tableSize: 5000017}}}}",
            "MS0411",
            "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize",
        ),
        (
            "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, ringHash: {minimumRingSize: 8388609}}}}",
            "MS0411",
            "spec.trafficPolicy.loadBalancer.consistentHash.ringHash.minimumRingSize",
        ),
        (
            "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 8388609}}}",
            "MS0411",
            "spec.trafficPolicy.loadBalancer.consistentHash.minimumRingSize",
        ),
        (
            "trafficPolicy: {loadBalancer: {simple: RANDOM, warmup: {duration: 1s}}}",
            "MS0614",
            "spec.trafficPolicy.loadBalancer.warmup",
        ),
        (
            "trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}, warmupDurationSecs: 1s}}",
            "MS0614",
            "spec.trafficPolicy.loadBalancer.warmupDurationSecs",
        ),
        (
            "trafficPolicy: {connectionPool: {tcp: {tcpKeepalive: {probes: 128}}}}",
            "MS0615",
            "spec.trafficPolicy.connectionPool.tcp.tcpKeepalive.probes",
        ),
        (
            "trafficPolicy: {connectionPool: {tcp: {tcpKeepalive: {time: 32768s}}}}",
            "MS0615",
            "spec.trafficPolicy.connectionPool.tcp.tcpKeepalive.time",
        ),
        (
            "trafficPolicy: {connectionPool: {tcp: {tcpKeepalive: {interval: 10h}}}}",
            "MS0615",
            "spec.trafficPolicy.connectionPool.tcp.tcpKeepalive.interval",
        ),
        ("trafficPolicy: {tls: {mode: MUTUAL, clientCertificate: /a}}", "MS0204", "spec.trafficPolicy.tls.privateKey"),
        ("trafficPolicy: {tls: {mode: MUTUAL, privateKey: /a}}", "MS0204", "spec.trafficPolicy.tls.clientCertificate"),
        ("trafficPolicy: {tls: {mode: MUTUAL, credentialName: a}}", "MS0306", "spec.trafficPolicy.tls.credentialName"),
        (
            "trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 50}}]}}}",
            "MS0406",
            "spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to",
        ),
        (
            "trafficPolicy: {loadBalancer: {warmup: {aggression: 0.5}}}",
            "MS0204",
            "spec.trafficPolicy.loadBalancer.warmup.duration",
        ),
        (
            "trafficPolicy: {connectionPool: {tcp: {maxConnections: -1}}}",
            "MS0411",
            "spec.trafficPolicy.connectionPool.tcp.maxConnections",
        ),
        (
            "trafficPolicy: {connectionPool: {tcp: {connectTimeout: 0s}}}",
            "MS0402",
            "spec.trafficPolicy.connectionPool.tcp.connectTimeout",
        ),
        (
            "trafficPolicy: {connectionPool: {http: {http2KeepAlive: {}}}}",
            "MS0301",
            "spec.trafficPolicy.connectionPool.http.http2KeepAlive",
        ),
        (
            "trafficPolicy: {outlierDetection: {consecutiveLocalOriginFailures: 5}}",
            "MS0616",
            "spec.trafficPolicy.outlierDetection.consecutiveLocalOriginFailures",
        ),
        (
            "trafficPolicy: {outlierDetection: {maxEjectionPercent: 101}}",
            "MS0407",
            "spec.trafficPolicy.outlierDetection.maxEjectionPercent",
        ),
        (
            "trafficPolicy: {outlierDetection: {consecutiveErrors: 5}}",
            "MS0305",
            "spec.trafficPolicy.outlierDetection.consecutiveErrors",
        ),
        ("trafficPolicy: {tls: {mode: MUTUAL}}", "MS0204", "spec.trafficPolicy.tls.privateKey"),
        ("trafficPolicy: {tls: {mode: SIMPLE, credentialName: a}}", "MS0306", "spec.trafficPolicy.tls.credentialName"),
        ("trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}", "MS0303", "spec.trafficPolicy.tls.mode"),
        ("trafficPolicy: {tls: {mode: ISTIO_MUTUAL, privateKey: a}}", "MS0409", "spec.trafficPolicy.tls.privateKey"),
    ];
    for (rest, code, field) in cases {
        check("DestinationRule", &[(&format!("{{host: a, {rest}}}"), code, field)]);
    }
    check("DestinationRule", &[("{}", "MS0204", "spec.host"), ("{host: ''}", "MS0401", "spec.host")]);
}

#[test]
fn of_service_entries_and_workload_entries() {
    let cases = [
        ("resolution: DYNAMIC_DNS", "MS0306", "spec.resolution"),
        ("resolution: STATIC, endpoints: [{address: a.b}]", "MS0405", "spec.endpoints[0].address"),
        ("resolution: STATIC, endpoints: [{network: far}]", "MS0301", "spec.endpoints[0].network"),
        (
            "resolution: STATIC, endpoints: [{address: 1.2.3.4, weight: 2}, {address: 1.2.3.4, weight: 9}]",
            "MS0616",
            "spec.endpoints[1].address",
        ),
        ("resolution: STATIC, endpoints: [{}]", "MS0204", "spec.endpoints[0].address"),
        ("resolution: STATIC, endpoints: [{address: 1.2.3.4, ports: {x: 1}}]", "MS0403", "spec.endpoints[0].ports.x"),
        ("resolution: DNS, endpoints: [{address: 'unix:///a'}]", "MS0405", "spec.endpoints[0].address"),
        ("resolution: NONE, endpoints: [{address: 1.2.3.4}]", "MS0409", "spec.endpoints"),
        ("workloadSelector: {labels: {a: b}}, endpoints: [{address: 1.2.3.4}]", "MS0409", "spec.endpoints"),
        ("resolution: DNS, addresses: [10.0.0.0/8]", "MS0405", "spec.addresses[0]"),
        ("addresses: [a]", "MS0405", "spec.addresses[0]"),
        ("location: OUTSIDE", "MS0203", "spec.location"),
    ];
    for (rest, code, field) in cases {
        let spec = format!("{{hosts: [a.b], ports: [{{number: 80, name: http, protocol: HTTP}}], {rest}}}");
        check("ServiceEntry", &[(&spec, code, field)]);
    }
    check(
        "ServiceEntry",
        &[
            ("{hosts: [], ports: []}", "MS0204", "spec.hosts"),
            ("{hosts: ['*'], ports: []}", "MS0401", "spec.hosts[0]"),
            ("{hosts: ['*.a.b'], ports: [], resolution: DNS}", "MS0401", "spec.hosts[0]"),
            ("{hosts: [a.b], ports: [{number: 80, name: a, protocol: SMTP}]}", "MS0203", "spec.ports[0].protocol"),
            ("{hosts: [a.b], ports: [{number: 80, name: a}, {number: 80, name: a}]}", "MS0410", "spec.ports[1].number"),
        ],
    );
    check(
        "WorkloadEntry",
        &[("{address: 'unix://a'}", "MS0405", "spec.address"), ("{ports: {a: 0}}", "MS0403", "spec.ports.a")],
    );
}

#[test]
fn of_sidecars() {
    check(
        "Sidecar",
        &[
            ("{egress: [{hosts: [a]}]}", "MS0401", "spec.egress[0].hosts[0]"),
            ("{egress: [{}]}", "MS0204", "spec.egress[0].hosts"),
            ("{egress: [{hosts: ['./*']}, {hosts: ['a/*']}]}", "MS0610", "spec.egress[1]"),
            ("{egress: [{hosts: ['./*'], port: {number: 80}}]}", "MS0301", "spec.egress[0].port"),
            (
                "{ingress: [{port: {number: 80}, defaultEndpoint: '10.0.0.1:80'}]}",
                "MS0405",
                "spec.ingress[0].defaultEndpoint",
            ),
            ("{ingress: [{port: {number: 0}}]}", "MS0403", "spec.ingress[0].port.number"),
            ("{ingress: [{port: {number: 80}, tls: {}}]}", "MS0306", "spec.ingress[0].tls"),
            ("{ingress: [{}]}", "MS0204", "spec.ingress[0].port"),
            ("{outboundTrafficPolicy: {mode: ALLOW_ANY_DYNAMIC_DNS}}", "MS0301", "spec.outboundTrafficPolicy.mode"),
            ("{outboundTrafficPolicy: {egressProxy: {host: a}}}", "MS0301", "spec.outboundTrafficPolicy.egressProxy"),
        ],
    );
}

#[test]
fn of_kinds_of_kubernetes() {
    let cases = [
        ("kind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 0}]}", "MS0403 spec.ports[0].port"),
        (
            "kind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80, targetPort: 99999}]}",
            "MS0403 spec.ports[0].targetPort",
        ),
        (
            "kind: Service\nmetadata: {name: a}\nspec: {ports: [{port: 80, name: x}, {port: 81, name: x}]}",
            "MS0410 spec.ports[1].name",
        ),
        ("kind: Service\nmetadata: {name: a}\nspec: {clusterIP: x}", "MS0405 spec.clusterIP"),
        ("kind: Service\nmetadata: {name: a}\nspec: {sessionAffinity: ClientIP}", "MS0301 spec.sessionAffinity"),
        (
            "kind: Service\nmetadata: {name: a}\nspec: {type: ExternalName, externalName: 'x y'}",
            "MS0401 spec.externalName",
        ),
        ("kind: Service\nmetadata: {name: a}\nspec: {prots: []}", "MS0201 spec.prots"),
        ("kind: Pod\nmetadata: {name: a, labels: {a: true}}", "MS0202 metadata.labels.a"),
        ("kind: Node\nmetadata: {name: A}", "MS0206 metadata.name"),
        ("kind: Namespace\nmetadata: {}", "MS0206 metadata.name"),
        ("kind: Service\nmetadata: {name: a, namespace: 'x.y'}\nspec: {}", "MS0206 metadata.namespace"),
        ("kind: Service\nmetadata: {name: a}\nspec: {}\nspec: {}", "MS0105 spec"),
        ("kind: Service\nmetadata: {name: a, creationTimestamp: yesterday}\nspec: {}", "MS0202 metadata"),
    ];
    for (text, expected) in cases {
        let reading = reading(&format!("apiVersion: v1\n{text}\n"));
        let found: Vec<String> = reading.problems.iter().map(|p| format!("{} {}", p.code, p.field)).collect();
        assert!(found.iter().any(|found| found == expected), "{text}\n  expected {expected}\n  found    {found:?}");
    }
}

#[test]
fn a_document_that_is_no_object_is_said_to_be_none() {
    for (text, expected) in [
        ("- a\n", "error: the document is not an object (write apiVersion, kind, metadata and spec) [a.yaml:1:1]"),
        (
            "a: b\n",
            "error: apiVersion: the field is missing (add it, for example apiVersion: networking.istio.io/v1) [a.yaml:1:1]",
        ),
        (
            "apiVersion: v1\n",
            "error: kind: the field is missing (add it, for example kind: VirtualService) [a.yaml:1:1]",
        ),
    ] {
        assert_eq!(problems(text), [expected]);
        assert!(reading(text).unreadable);
    }
}

#[test]
fn more_findings_than_are_kept_still_refuse_the_object() {
    let many: Vec<String> = (0..500).map(|i| format!("a{i}: 1")).collect();
    let text =
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: a, {}}}\nspec: {{ports: 1}}\n", many.join(", "));
    let reading = reading(&text);
    assert!(reading.problems.len() <= 100);
    assert!(reading.problems.iter().any(|p| p.field == "spec.ports"));
    assert!(reading.items[0].content.is_none());
}

#[test]
fn a_text_that_may_be_cut_short_takes_nothing_away() {
    const SERVICE: &str = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80}]}\n";
    // A NUL is the end of the text for the parser, and one in the middle hides all behind it.
    for text in ["\0\0\0\0".to_owned(), format!("{SERVICE}---\n\0\n{SERVICE}"), SERVICE.replace("web", "w\0b")] {
        let reading = reading(&text);
        assert!(reading.items.is_empty() && reading.unreadable, "{text:?}");
        assert!(reading.problems[0].to_string().contains("NUL"), "{:?}", reading.problems);
    }
    let position = |text: &str| reading(text).problems[0].location.as_ref().map(|at| (at.line, at.column));
    assert_eq!(position("a: b\nc: \0"), Some((2, 4)));
    // What follows a text that ends in an error is not known; an error before others hides nothing.
    let broken = format!("{SERVICE}---\n{}", SERVICE.replace("80}]}", "80"));
    assert!(reading(&broken).unreadable);
    assert!(!reading(&format!("{broken}---\n{SERVICE}")).unreadable);
}

#[test]
fn a_port_is_repeated_as_it_was_written() {
    let of = |ports: &str| {
        problems(&format!("apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{ports: [{ports}]}}\n"))
    };
    for (ports, said) in [
        ("{port: -1}", "-1 is not a port"),
        ("{port: 80, targetPort: -7}", "-7 is not a port"),
        ("{port: 0}", "0 is not a port"),
    ] {
        let problems = of(ports);
        assert!(problems.iter().any(|problem| problem.contains(said)), "{ports}: {problems:?}");
    }
}

#[test]
fn what_is_wrong_with_json_is_said_in_its_words() {
    let text = "{\"apiVersion\": \"v1\",\n \"kind\" \"Service\"}";
    let reading = read(text, &Arc::from("a.JSON"), &Settings::default());
    let said = reading.problems[0].to_string();
    assert!(
        said.starts_with("error: the text is not JSON: expected `:` (look at the quotes, commas and brackets"),
        "{said}"
    );
    assert!(said.ends_with("[a.JSON:2:9]"), "{said}");
    assert!(!said.contains("YAML") && reading.unreadable, "{said}");
    assert!(problems(text)[0].contains("not YAML"));
}
