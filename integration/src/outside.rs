//! What comes from outside the tests: the programs they drive, where those are found, and what to do when one is absent.

use std::{
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
    process::Command,
};

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

impl Program {
    fn title(self) -> &'static str {
        match self {
            Self::Envoy => "Envoy",
            Self::ControlPlane => "control plane",
            Self::Agent => "agent",
            Self::Bookinfo => "bookinfo",
            Self::Demo => "demo",
            Self::PythonWithGrpc => "Python with grpcio",
            Self::Etcd => "etcd",
            Self::KubeApiServer => "kube-apiserver",
        }
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::Envoy => "make envoy",
            Self::ControlPlane => "cargo build -p mainsheet",
            Self::Agent => "cargo build -p mainsheet-agent",
            Self::Bookinfo | Self::Demo => "cargo build -p integration --bins",
            Self::PythonWithGrpc => "make python",
            Self::Etcd | Self::KubeApiServer => "make kube",
        }
    }

    /// The variable that, when it is `1`, says that nothing may be skipped because this is missing.
    fn requirement(self) -> &'static str {
        match self {
            Self::Etcd | Self::KubeApiServer => "MAINSHEET_REQUIRE_CLUSTER",
            Self::Envoy | Self::ControlPlane | Self::Agent | Self::Bookinfo | Self::Demo | Self::PythonWithGrpc => {
                "MAINSHEET_REQUIRE_ENVOY"
            }
        }
    }

    /// The path of the program.
    ///
    /// # Errors
    /// [`Missing`], with the command that brings it.
    pub fn find(self) -> Result<PathBuf, Missing> {
        let candidates = match self {
            Self::Envoy => overridden("MAINSHEET_ENVOY").unwrap_or_else(|| above("envoy/envoy")),
            Self::ControlPlane => beside("mainsheet"),
            Self::Agent => beside("mainsheet-agent"),
            Self::Bookinfo => beside("bookinfo"),
            Self::Demo => beside("demo"),
            Self::PythonWithGrpc => overridden("MAINSHEET_PYTHON").unwrap_or_else(|| above("python/bin/python")),
            Self::Etcd => of_kubernetes("etcd"),
            Self::KubeApiServer => of_kubernetes("kube-apiserver"),
        };
        let usable = |path: &&PathBuf| match self {
            Self::PythonWithGrpc => imports_grpc(path),
            Self::Envoy
            | Self::ControlPlane
            | Self::Agent
            | Self::Bookinfo
            | Self::Demo
            | Self::Etcd
            | Self::KubeApiServer => path.is_file(),
        };
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
            if variable(program.requirement()).is_some_and(|value| value == "1") {
                return Err(missing);
            }
            println!("skipped: {name}: {missing}");
            return Ok(false);
        }
    }
    Ok(true)
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

#[expect(clippy::disallowed_methods, reason = "this is the edge where tests learn what the machine has")]
fn variable(name: &str) -> Option<OsString> {
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
