//! Bookinfo on real Envoys: see [`integration::demo`].

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use integration::demo::{self, Options};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Debug, Parser)]
#[command(name = "demo", about = "Bookinfo on six real Envoys, on loopback, with a live table of who calls whom")]
struct CommandLine {
    #[command(flatten)]
    options: Options,
}

/// How a shell sees that a program was interrupted.
const INTERRUPTED: u8 = 130;

#[tokio::main]
async fn main() -> ExitCode {
    let CommandLine { options } = CommandLine::parse();
    let outcome = tokio::select! {
        outcome = demo::run(&options) => Some(outcome),
        () = ended_from_outside() => None,
    };
    // Here everything is ended already: it went with the future.
    match outcome {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
        None if options.tour => {
            eprintln!("the tour was interrupted; nothing is left running");
            ExitCode::from(INTERRUPTED)
        }
        None => {
            eprintln!("ended; nothing is left running, and the directory is gone");
            ExitCode::SUCCESS
        }
    }
}

/// Waits for Ctrl-C or a polite request to end.
async fn ended_from_outside() {
    let asked = async |kind| -> Result<()> {
        signal(kind)?.recv().await;
        Ok(())
    };
    // A signal that cannot be waited for ends nothing.
    let or_never = async |kind| {
        if asked(kind).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = or_never(SignalKind::interrupt()) => {}
        () = or_never(SignalKind::terminate()) => {}
        () = or_never(SignalKind::hangup()) => {}
    }
}
