//! `make soak`: steady load through real Envoys for as long as asked, while the mesh is edited at random and its control plane killed.

use std::{process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;
use integration::{
    envoy::Protocol,
    outside::Program,
    process,
    soak::{self, Plan},
};

/// Steady load while the mesh is edited at random and its control plane is killed and started again. Ends with 1 if a request was lost or a
/// configuration refused.
#[derive(Debug, Parser)]
#[command(name = "soak")]
struct Arguments {
    /// For how long, in seconds.
    #[arg(long, default_value_t = 300)]
    seconds: u32,
    /// Edits each second.
    #[arg(long, default_value_t = 30)]
    edits_per_second: u32,
    /// Requests each second, through each of two Envoys.
    #[arg(long, default_value_t = 300)]
    requests_per_second: u32,
    /// One kill of the control plane in so many seconds.
    #[arg(long, default_value_t = 20)]
    kill_every: u32,
    /// The Envoys speak the state of the world in place of delta; edits then rest around each kill.
    #[arg(long)]
    sotw: bool,
    /// Seed of the edits.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    for program in [Program::Envoy, Program::ControlPlane, Program::Agent] {
        program.find()?;
    }
    let plan = Plan {
        protocol: if arguments.sotw { Protocol::Sotw } else { Protocol::Delta },
        seed: arguments.seed,
        duration: Duration::from_secs(u64::from(arguments.seconds)),
        edits: arguments.seconds.saturating_mul(arguments.edits_per_second),
        kills: arguments.seconds / arguments.kill_every.max(1),
        per_second: arguments.requests_per_second,
    };
    eprintln!("{} edits over {} s, {} kills, seed {}", plan.edits, arguments.seconds, plan.kills, plan.seed);
    let mut code = ExitCode::FAILURE;
    let run = soak::scenario("soak", plan.protocol).run(async |mesh| {
        let step = (plan.edits / 20).max(1);
        let progress = |number| {
            if number % step == 0 {
                eprintln!("{:3} %", number * 100 / plan.edits);
            }
        };
        let outcome = soak::run(mesh, plan, progress).await?;
        println!("{outcome}");
        outcome.ensure_nothing_lost()?;
        code = ExitCode::SUCCESS;
        Ok(())
    });
    tokio::select! {
        outcome = run => outcome?,
        // The guards end every process.
        told = process::told_to_end() => {
            told?;
            eprintln!("interrupted");
        }
    }
    Ok(code)
}
