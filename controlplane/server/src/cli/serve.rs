//! `mainsheet serve`: the control plane itself.

use clap::{CommandFactory as _, ValueEnum, error::ErrorKind};
use tracing_subscriber::EnvFilter;

use crate::server;

/// Arguments of `mainsheet serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    server: server::Args,
    /// How the log is written to standard error
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// What is logged: error, warn, info, debug, or by target as in mainsheet::ads=debug,info
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = filter)]
    log_level: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    if args.server.is_in_cluster() && !in_cluster() {
        let message = "no source of objects: give --config-dir with a directory of YAML, or --kubeconfig with a file that \
                       kubectl works with, or run in a pod of the cluster";
        super::Cli::command().error(ErrorKind::MissingRequiredArgument, message).exit();
    }
    log(args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("mainsheet").build();
    let runtime = runtime.map_err(|error| anyhow::anyhow!("the operating system gives no threads: {error}"))?;
    let served = runtime.block_on(server::run(&args.server));
    // Whatever still blocks a thread (a page being written) does not keep the process from ending.
    runtime.shutdown_background();
    served
}

/// Kubernetes says so to every container.
fn in_cluster() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

fn log(args: &Args) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(directives(&args.log_level))?;
    // A log that cannot be written is no reason to stop serving, and there is nowhere else to say so.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).log_internal_errors(false);
    let set = match args.log_format {
        LogFormat::Text => builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    set.map_err(|error| anyhow::anyhow!("the log cannot be set up: {error}"))
}

/// A level alone is for our own lines; libraries are heard when something is wrong, or when they are named. What the
/// client of Kubernetes says of every try we say once, in our own words.
fn directives(text: &str) -> String {
    if text.contains([',', '=']) {
        text.to_owned()
    } else {
        format!("warn,kube_client=off,kube_runtime=off,mainsheet={text}")
    }
}

fn filter(text: &str) -> Result<String, String> {
    const REMEDY: &str = "give error, warn, info, debug or trace, or targets as in mainsheet::ads=debug,info";
    if text.trim().is_empty() {
        return Err(format!("says nothing; {REMEDY}"));
    }
    match EnvFilter::try_new(directives(text)) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("{error}; {REMEDY}")),
    }
}
