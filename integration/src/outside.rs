//! What comes from outside the tests: the programs they drive, where those are found, and what to do when one is absent.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

/// The variable that, when it is `1`, says that tests with Kubernetes must not be skipped.
pub(crate) const CLUSTER_REQUIRED: &str = "MAINSHEET_REQUIRE_CLUSTER";

/// A program that a test or the demo drives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// The real Envoy: `MAINSHEET_ENVOY`, else `envoy/envoy` in the target directory.
    Envoy,
    /// The control plane, `mainsheet`, built beside this program.
    ControlPlane,
    /// `mainsheet-agent`, built beside this program.
    Agent,
    /// The Bookinfo services of the demo, built beside this program.
    Bookinfo,
    /// The demo, built beside this program.
    Demo,
    /// A Python with `grpcio`: `MAINSHEET_PYTHON`, else the one in `python/` in the target directory.
    PythonWithGrpc,
    /// etcd, as `make kube` builds it: in the directory `MAINSHEET_KUBE`, else `kube/` in the target directory.
    Etcd,
    /// The API server of Kubernetes, beside that etcd.
    KubeApiServer,
    /// The controllers, likewise.
    KubeControllerManager,
    /// The scheduler, likewise.
    KubeScheduler,
    /// What runs the pods of a node, likewise.
    Kubelet,
    /// What makes Services reachable on a node, likewise.
    KubeProxy,
    /// The command line of Kubernetes, likewise.
    Kubectl,
    /// The DNS server of a cluster, likewise.
    CoreDns,
    /// What renders charts, likewise.
    Helm,
    /// The application that pods run, built beside this program.
    App,
    /// What starts a cluster for people, built beside this program.
    Cluster,
}

/// A program that is not there, and the command that brings it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    program: Program,
    looked_at: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no {} at {} (bring it with `{}`)", self.program.title(), self.looked_at, self.program.remedy())
    }
}

impl std::error::Error for Missing {}

/// Where a program comes from.
enum Origin {
    /// Fetched into the target directory; the variable names another.
    Fetched { title: &'static str, variable: &'static str, path: &'static str, remedy: &'static str },
    /// Built beside this program.
    Built { title: &'static str, name: &'static str, remedy: &'static str },
    /// Built by `make kube`.
    Kubernetes { name: &'static str },
}

impl Program {
    fn title(self) -> &'static str {
        match self.origin() {
            Origin::Fetched { title, .. } | Origin::Built { title, .. } => title,
            Origin::Kubernetes { name } => name,
        }
    }

    fn origin(self) -> Origin {
        let integration = |name| Origin::Built { title: name, name, remedy: "cargo build -p integration --bins" };
        match self {
            Self::Envoy => Origin::Fetched {
                title: "Envoy",
                variable: "MAINSHEET_ENVOY",
                path: "envoy/envoy",
                remedy: "make envoy",
            },
            Self::PythonWithGrpc => Origin::Fetched {
                title: "Python with grpcio",
                variable: "MAINSHEET_PYTHON",
                path: "python/bin/python",
                remedy: "make python",
            },
            Self::ControlPlane => {
                Origin::Built { title: "control plane", name: "mainsheet", remedy: "cargo build -p mainsheet" }
            }
            Self::Agent => {
                Origin::Built { title: "agent", name: "mainsheet-agent", remedy: "cargo build -p mainsheet-agent" }
            }
            Self::Bookinfo => integration("bookinfo"),
            Self::Demo => integration("demo"),
            Self::App => integration("app"),
            Self::Cluster => integration("cluster"),
            Self::Etcd => Origin::Kubernetes { name: "etcd" },
            Self::KubeApiServer => Origin::Kubernetes { name: "kube-apiserver" },
            Self::KubeControllerManager => Origin::Kubernetes { name: "kube-controller-manager" },
            Self::KubeScheduler => Origin::Kubernetes { name: "kube-scheduler" },
            Self::Kubelet => Origin::Kubernetes { name: "kubelet" },
            Self::KubeProxy => Origin::Kubernetes { name: "kube-proxy" },
            Self::Kubectl => Origin::Kubernetes { name: "kubectl" },
            Self::CoreDns => Origin::Kubernetes { name: "coredns" },
            Self::Helm => Origin::Kubernetes { name: "helm" },
        }
    }

    fn remedy(self) -> &'static str {
        match self.origin() {
            Origin::Fetched { remedy, .. } | Origin::Built { remedy, .. } => remedy,
            Origin::Kubernetes { .. } => "make kube",
        }
    }

    /// The variable that, when it is `1`, says that nothing may be skipped because this is missing.
    fn requirement(self) -> &'static str {
        match self.origin() {
            Origin::Fetched { .. } | Origin::Built { .. } => "MAINSHEET_REQUIRE_ENVOY",
            Origin::Kubernetes { .. } => CLUSTER_REQUIRED,
        }
    }

    /// The path of the program.
    ///
    /// # Errors
    /// [`Missing`], with the command that brings it.
    pub fn find(self) -> Result<PathBuf, Missing> {
        let candidates = match self.origin() {
            Origin::Fetched { variable, path, .. } => overridden(variable).unwrap_or_else(|| above(path)),
            Origin::Built { name, .. } => beside(name),
            Origin::Kubernetes { name } => of_kubernetes(name),
        };
        let usable = |path: &&PathBuf| if self == Self::PythonWithGrpc { imports_grpc(path) } else { path.is_file() };
        candidates.iter().find(usable).cloned().ok_or_else(|| Missing {
            program: self,
            looked_at: candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
        })
    }
}

/// Whether every one of `programs` is there; if not, the test `name` is skipped (`false`) or, when the environment says that nothing may be
/// skipped, fails.
///
/// # Errors
/// Something is missing and `MAINSHEET_REQUIRE_ENVOY`, for the programs of Kubernetes `MAINSHEET_REQUIRE_CLUSTER`, is `1`.
pub fn all_present(name: &str, programs: &[Program]) -> Result<bool, Missing> {
    for program in programs {
        if let Err(missing) = program.find() {
            if is_required(program.requirement()) {
                return Err(missing);
            }
            say_skipped(name, &missing);
            return Ok(false);
        }
    }
    Ok(true)
}

/// Says which test is skipped and why, also where the output of tests that pass is not shown: only printing by macro is withheld.
pub(crate) fn say_skipped(name: &str, why: &dyn fmt::Display) {
    use std::io::Write;
    // Without an error stream nobody reads it.
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {why}");
}

/// Whether a variable says that tests which it stands for must not be skipped.
pub(crate) fn is_required(name: &str) -> bool {
    variable(name).is_some_and(|value| value == "1")
}

/// The root of the repository's files, for samples.
#[must_use]
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The text of a file under `manifests/samples/`.
///
/// # Errors
/// The file cannot be read.
pub fn sample(path: &str) -> anyhow::Result<String> {
    use anyhow::Context;
    let path = repository().join("manifests/samples").join(path);
    std::fs::read_to_string(&path).with_context(|| format!("read sample {}", path.display()))
}

/// A variable of the environment that is not empty.
#[expect(clippy::disallowed_methods, reason = "this is the edge where tests learn what the machine has")]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).map(OsString::from)
}

fn overridden(name: &str) -> Option<Vec<PathBuf>> {
    variable(name).map(|value| vec![PathBuf::from(value)])
}

/// Where a program built by the same `cargo` run may be: `target/debug/` is the directory of a binary and the parent of a test's `deps/`.
fn beside(program: &str) -> Vec<PathBuf> {
    let Ok(me) = std::env::current_exe() else { return Vec::new() };
    me.ancestors().skip(1).take(2).map(|directory| directory.join(program)).collect()
}

/// The same for things kept once for all profiles, in `target/` itself.
fn above(path: &str) -> Vec<PathBuf> {
    let Ok(me) = std::env::current_exe() else { return Vec::new() };
    me.ancestors().skip(2).take(2).map(|directory| directory.join(path)).collect()
}

fn of_kubernetes(program: &str) -> Vec<PathBuf> {
    let given = variable("MAINSHEET_KUBE").map(|folder| vec![PathBuf::from(folder).join(program)]);
    given.unwrap_or_else(|| above(&format!("kube/{program}")))
}

fn imports_grpc(python: &Path) -> bool {
    let probe = Command::new(python).args(["-c", "import grpc"]).output();
    probe.is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_names_the_command_that_brings_it() {
        let missing = Missing { program: Program::Agent, looked_at: "target/debug/mainsheet-agent".to_owned() };
        assert_eq!(
            missing.to_string(),
            "no agent at target/debug/mainsheet-agent (bring it with `cargo build -p mainsheet-agent`)"
        );
    }
}
