//! Which room may name which, and which may do I/O: the table of ARCHITECTURE.md, as data.

use crate::paths::{Named, named};
use crate::{Source, Violation};

/// A room: a top-level module of a crate with all that lies in it.
struct Room {
    name: &'static str,
    /// What it may name besides itself: rooms of its own crate (`crate::model`), other crates of ours (`proto`), or single
    /// items of either, each with its reason beside it.
    may_name: &'static [&'static str],
}

/// A crate whose rooms are kept apart.
struct House {
    /// Where its sources lie.
    sources: &'static str,
    rooms: &'static [Room],
    /// Files that name every room: they put the house together.
    wiring: &'static [&'static str],
    /// Paths that no file may name.
    forbidden: &'static [&'static str],
}

/// The crates of ours that a room must be allowed to name; any others are the business of `Cargo.toml`.
const OURS: [&str; 3] = ["ca", "mesh", "proto"];

/// What a crate that does no I/O must not name.
const PURE: [&str; 16] = [
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "std::io",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::net::ToSocketAddrs",
    "std::os",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tonic",
    "kube",
    "rustls",
];

const HOUSES: [House; 3] = [
    House {
        sources: "ca/src/",
        rooms: &[
            Room { name: "identity", may_name: &[] },
            Room { name: "pem", may_name: &[] },
            Room { name: "certificate", may_name: &[] },
            Room { name: "terms", may_name: &["crate::certificate"] },
            Room { name: "key", may_name: &["crate::pem"] },
            Room { name: "csr", may_name: &["crate::key", "crate::pem", "crate::fixture"] },
            Room {
                name: "bundle",
                may_name: &["crate::identity", "crate::certificate", "crate::pem", "crate::fixture"],
            },
            Room {
                name: "authority",
                may_name: &[
                    "crate::identity",
                    "crate::pem",
                    "crate::certificate",
                    "crate::terms",
                    "crate::key",
                    "crate::bundle",
                    "crate::fixture",
                    // Its tests sign with the authorities that they have read.
                    "crate::sign",
                ],
            },
            Room {
                name: "sign",
                may_name: &[
                    "crate::identity",
                    "crate::pem",
                    "crate::terms",
                    "crate::key",
                    "crate::csr",
                    "crate::authority",
                    "crate::fixture",
                    // Why an authority cannot sign, in a test.
                    "crate::certificate::CertificateError",
                ],
            },
            Room {
                name: "revocation",
                may_name: &["crate::pem", "crate::terms", "crate::authority", "crate::fixture"],
            },
            // Knows roots by their fingerprints alone: no keys, no certificates.
            Room { name: "rotation", may_name: &["crate::bundle::Fingerprint"] },
            // Compiled for tests only.
            Room {
                name: "fixture",
                may_name: &["crate::identity", "crate::terms", "crate::key", "crate::csr", "crate::authority"],
            },
        ],
        wiring: &["lib"],
        forbidden: &PURE,
    },
    House {
        sources: "controlplane/mesh/src/",
        rooms: &[
            Room { name: "model", may_name: &[] },
            Room { name: "store", may_name: &["crate::model"] },
            Room {
                name: "compile",
                may_name: &[
                    "crate::model",
                    "proto",
                    // Read only, and the names by which it is read.
                    "crate::store::Mesh",
                    "crate::store::ServiceKey",
                    // A plain value: what of a scope, and which viewpoints, to ask the mesh for again.
                    "crate::store::Touched",
                ],
            },
            Room { name: "snapshot", may_name: &["crate::model", "crate::store", "crate::compile", "proto"] },
            // What a refused resource was made of is reported as it stands in the resource.
            Room { name: "push", may_name: &["crate::snapshot", "crate::model::Origin", "proto"] },
        ],
        wiring: &["lib"],
        forbidden: &PURE,
    },
    House {
        sources: "controlplane/server/src/",
        rooms: &[
            Room { name: "source", may_name: &["mesh::model"] },
            // The definitions are made from the very types and rules that files are held against.
            Room { name: "crds", may_name: &["crate::source::istio", "crate::source::schema::EXCLUSIVE"] },
            // Knows the objects of an installation alone, nothing of a mesh; and what the control plane makes besides.
            Room { name: "install", may_name: &["crate::webhook::SECRET", "crate::leader::LEASE"] },
            // It counts what was compiled, type by type.
            Room { name: "dispatch", may_name: &["mesh", "proto::ResourceType"] },
            Room {
                name: "ads",
                may_name: &[
                    "crate::dispatch",
                    "mesh::push",
                    "mesh::snapshot",
                    "mesh::model",
                    // What a proxy says of itself is read where it arrives.
                    "mesh::compile::viewpoint::ProxyDescription",
                    "proto",
                ],
            },
            Room {
                name: "status",
                may_name: &["crate::dispatch", "crate::ads", "mesh::model", "mesh::snapshot", "proto"],
            },
            Room {
                name: "http",
                may_name: &[
                    "crate::dispatch",
                    "crate::ads",
                    "crate::status",
                    "mesh::model",
                    "mesh::snapshot",
                    // Read only: it shows the mesh as it stands.
                    "mesh::store::Mesh",
                    "mesh::store::Objects",
                    "mesh::store::ServiceKey",
                    "mesh::compile::scope::MeshService",
                    "proto",
                ],
            },
            // Knows a Lease and nothing of what is done by whoever leads.
            Room { name: "leader", may_name: &[] },
            Room {
                name: "conditions",
                may_name: &[
                    "crate::leader",
                    "crate::ads",
                    // How objects stand, and what they are called.
                    "crate::source::standing",
                    "crate::source::istio",
                    "mesh::model",
                    "mesh::snapshot",
                    // Read only: which form of an object is in force; a test makes a mesh.
                    "mesh::store::Mesh",
                    "mesh::store::Store",
                    // Beyond it not all problems are known.
                    "mesh::compile::check::PROBLEMS_MAX",
                    "proto::ResourceType",
                ],
            },
            Room {
                name: "webhook",
                may_name: &[
                    "crate::dispatch",
                    // An object is read as one from a file is.
                    "crate::source::Settings",
                    "crate::source::document",
                    "crate::source::istio",
                    "crate::source::yaml::Node",
                    // Most findings of one object, in a test.
                    "crate::source::finding::FINDINGS_MAX",
                    "mesh::model",
                    // Read only, and what an object and the mesh say of each other; a test makes a mesh.
                    "mesh::store::Mesh",
                    "mesh::store::Store",
                    "mesh::compile::check::check_object",
                    // Its certificates.
                    "ca",
                ],
            },
        ],
        wiring: &["main", "lib", "server", "cli"],
        forbidden: &[],
    },
];

/// What a file names that its room must not.
pub(crate) fn check(source: &Source) -> Vec<Violation> {
    let place = HOUSES.iter().find_map(|house| Some((house, source.path.strip_prefix(house.sources)?)));
    let Some((house, inside)) = place else { return Vec::new() };
    let module: Vec<&str> = inside.trim_end_matches(".rs").split('/').collect();
    let Some(room) = module.first().copied() else { return Vec::new() };
    let own_module: &[&str] = if matches!(room, "lib" | "main") { &[] } else { &module };
    let paths = named(&source.text, own_module);
    let violation = |path: &Named, rule: String, remedy: &'static str| Violation {
        file: source.path.clone(),
        line: path.line,
        rule,
        remedy,
    };
    let forbidden = |path: &Named| house.forbidden.iter().any(|forbidden| path.is_within(forbidden));
    let mut found: Vec<Violation> = paths
        .iter()
        .filter(|path| forbidden(path))
        .map(|path| {
            let rule = format!("`{}` is I/O, a clock or a runtime, and this crate is pure", path.text());
            violation(path, rule, "take its result as an argument")
        })
        .collect();
    if !house.wiring.contains(&room) {
        // A file outside the table is a leaf: it may name no room, nor another crate of ours.
        let may_name = house.rooms.iter().find(|known| known.name == room).map_or(&[][..], |known| known.may_name);
        found.extend(paths.iter().filter(|path| !allowed(house, room, may_name, path)).map(|path| {
            let rule = format!("room `{room}` must not name `{}`", path.text());
            violation(
                path,
                rule,
                "take the value as an argument, or change integration/tests/tidy/rooms.rs with the reason",
            )
        }));
    }
    found
}

fn allowed(house: &House, room: &str, may_name: &[&str], path: &Named) -> bool {
    let mut segments = path.segments.iter().map(String::as_str);
    let target = match (segments.next(), segments.next()) {
        (Some("crate"), Some(target)) => target,
        (Some(first), _) if OURS.contains(&first) => return may_name.iter().any(|allowed| path.is_within(allowed)),
        _ => return true,
    };
    let is_room = house.rooms.iter().any(|known| known.name == target) || house.wiring.contains(&target);
    target == room || !is_room || may_name.iter().any(|allowed| path.is_within(allowed))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::Source;

    fn rules(path: &str, text: &str) -> Vec<String> {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        check(&source).into_iter().map(|violation| format!("{} {}", violation.line, violation.rule)).collect()
    }

    #[test]
    fn rooms_of_the_compiler_are_kept_apart() {
        let refused = [
            ("model/name.rs", "use crate::store::Mesh;"),
            ("model.rs", "use proto::google;"),
            ("store.rs", "use crate::{model::Name, compile::Compiled};"),
            ("compile/route.rs", "fn f(x: crate::push::Automaton) {}"),
            ("compile/route.rs", "use crate::store::Writer;"),
            ("compile/route.rs", "use super::super::snapshot::Snapshot;"),
            ("compile/route.rs", "use crate::snapshot::References;"),
            ("snapshot.rs", "use crate::push;"),
            ("push/stream.rs", "use crate::store::Mesh;"),
            ("push/stream.rs", "mod tests { use crate::compile::route; }"),
        ];
        for (file, text) in refused {
            assert_eq!(rules(&format!("controlplane/mesh/src/{file}"), text).len(), 1, "{file}: {text}");
        }
        let accepted = [
            ("lib.rs", "pub mod push; use store::X; use push::Y;"),
            ("store.rs", "use crate::model::Name; use super::model::X;"),
            ("compile/route.rs", "use crate::{model::Origin, store::Mesh}; use super::cluster::f;"),
            ("snapshot.rs", "use crate::{model::Origin, store::Mesh, compile::Compiled}; use proto::pack;"),
            ("push.rs", "use crate::snapshot::{Snapshot, Resource}; use proto::ResourceType; use std::sync::Arc;"),
        ];
        for (file, text) in accepted {
            assert_eq!(rules(&format!("controlplane/mesh/src/{file}"), text), Vec::<String>::new(), "{file}");
        }
    }

    #[test]
    fn the_compiler_does_no_io_and_reads_no_clock() {
        for path in
            ["std::fs::read(a)", "std::net::TcpStream::connect(a)", "std::time::Instant::now()", "tokio::spawn(a)"]
        {
            assert_eq!(rules("controlplane/mesh/src/lib.rs", &format!("fn f() {{\n {path} }}")).len(), 1, "{path}");
        }
        assert!(rules("controlplane/mesh/src/model/a.rs", "use std::net::IpAddr; use std::time::Duration;").is_empty());
    }

    #[test]
    fn only_the_wiring_of_the_server_names_every_room() {
        let all = "use crate::{source::S, dispatch::D, ads::A, status::T};";
        assert!(rules("controlplane/server/src/server.rs", all).is_empty());
        assert!(rules("controlplane/server/src/cli/serve.rs", all).is_empty());
        assert_eq!(rules("controlplane/server/src/source/files.rs", all).len(), 3);
        assert_eq!(rules("controlplane/server/src/ads.rs", "use mesh::compile::route;").len(), 1);
        assert_eq!(rules("controlplane/server/src/ads.rs", "use mesh::push::Stream; use crate::server::X;").len(), 1);
        assert_eq!(rules("controlplane/server/src/metrics.rs", "use crate::dispatch::D;").len(), 1, "a leaf");
    }

    #[test]
    fn the_certificate_authority_is_pure_and_rotation_knows_no_keys() {
        assert_eq!(rules("ca/src/sign.rs", "use crate::csr::VerifiedRequest; fn f() { tokio::spawn(a) }").len(), 1);
        assert_eq!(rules("ca/src/rotation.rs", "use crate::bundle::Fingerprint; use crate::key::PrivateKey;").len(), 1);
        assert_eq!(rules("ca/src/key.rs", "fn f() { std::fs::write(a, b) }").len(), 1, "nobody here writes keys");
    }

    #[test]
    fn other_crates_are_left_alone() {
        assert!(rules("agent/src/main.rs", "use std::fs; use crate::ads::A;").is_empty());
    }
}
