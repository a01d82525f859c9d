//! `mainsheet-agent`: the companion of each Envoy.

mod bootstrap;

use std::{io::Write as _, process::ExitCode};

use clap::{Parser, Subcommand};

/// The companion of each Envoy.
#[derive(Debug, Parser)]
#[command(name = "mainsheet-agent", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print a complete bootstrap: `mainsheet-agent bootstrap ... > envoy.json && envoy -c envoy.json`.
    Bootstrap(Box<bootstrap::Args>),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let written = match &cli.command {
        Command::Bootstrap(args) => bootstrap::run(args),
    };
    match written {
        Ok(text) => match writeln!(std::io::stdout(), "{text}") {
            Ok(()) => ExitCode::SUCCESS,
            // A reader that has seen enough (`| head`) is no error.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Err(error) => {
                let _ = writeln!(std::io::stderr(), "error: standard output cannot be written: {error}");
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}
