//! The command line: each command in a file of its own, each room's arguments in the room.

mod access;
pub mod analyze;
pub(crate) mod arguments;
pub mod compile;
mod crds;
mod fetch;
mod install;
mod pages;
mod proxy_config;
mod replicas;
mod serve;
mod status;
mod yaml;

use std::{io::Write as _, process::ExitCode};

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

/// The version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Mainsheet, a service mesh control plane: existing Istio YAML in, configuration for stock Envoys out.
#[derive(Debug, Parser)]
#[command(name = "mainsheet", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the mesh of a directory or a cluster to its proxies, and follow every change
    Serve(serve::Args),
    /// Print what a proxy would be sent, without serving anything
    Compile(compile::Args),
    /// Say what is wrong with the objects in files or in a cluster, where, and how to mend it
    Analyze(analyze::Args),
    /// Show how far each connected proxy has followed, what it refuses and why, and problems of the configuration
    Status(status::Args),
    /// Print what a connected proxy is to hold, in the shape of Envoy's own config dump
    ProxyConfig(proxy_config::Args),
    /// Print the custom resource definitions of Istio's kinds, for `kubectl apply`
    Crds(crds::Args),
    /// Put the control plane into a cluster, or bring the one that is there up to this version
    Install(install::InstallArgs),
    /// Take the control plane out of a cluster
    Uninstall(install::UninstallArgs),
    /// Print the version
    Version,
}

/// What a command ends with, besides what it wrote to standard output.
enum End {
    /// It did what it was asked.
    Done,
    /// It did, and found errors in what it was given.
    Found,
    /// It could not.
    Failed(anyhow::Error),
    /// It was asked for what makes no sense.
    Misused(anyhow::Error),
}

impl From<anyhow::Result<()>> for End {
    fn from(result: anyhow::Result<()>) -> Self {
        result.map_or_else(Self::Failed, |()| Self::Done)
    }
}

/// The name by which it is called, where that is not its own: kubectl runs `kubectl-mainsheet` for `kubectl mainsheet`.
fn plugin_name() -> Option<&'static str> {
    let program = std::env::args_os().next()?;
    let stem = std::path::Path::new(&program).file_stem()?;
    (stem == "kubectl-mainsheet").then_some("kubectl mainsheet")
}

/// The arguments, or the end of the process with what is wrong with them.
fn parse() -> Cli {
    let mut command = Cli::command();
    if let Some(name) = plugin_name() {
        command = command.bin_name(name);
    }
    let matches = command.get_matches();
    Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
}

/// Runs the command that the arguments ask for. 0 is success, 1 an error, 2 wrong usage.
#[must_use]
pub fn main() -> ExitCode {
    let cli = parse();
    let end: End = match &cli.command {
        Command::Serve(args) => serve::run(args).into(),
        Command::Compile(args) => compile::run(args),
        Command::Analyze(args) => analyze::run(args),
        Command::Status(args) => status::run(args).into(),
        Command::ProxyConfig(args) => proxy_config::run(args).into(),
        Command::Crds(args) => crds::run(args).into(),
        Command::Install(args) => install::install(args).into(),
        Command::Uninstall(args) => install::uninstall(args).into(),
        Command::Version => print(&format!("mainsheet {VERSION}\n")).into(),
    };
    match end {
        End::Done => ExitCode::SUCCESS,
        End::Found => ExitCode::from(1),
        End::Failed(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::from(1)
        }
        End::Misused(error) => {
            note(&format!("error: {error:#}"));
            ExitCode::from(2)
        }
    }
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("standard output cannot be written"))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a line to standard error, where notes go; there is nowhere to say that it failed.
fn note(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn the_arguments_of_all_commands_fit_together() {
        Cli::command().debug_assert();
    }
}
