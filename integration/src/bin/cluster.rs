//! A real cluster for people: see [`integration::cluster::standing`].

use std::{path::PathBuf, time::Instant};

use anyhow::Result;
use clap::{Parser, Subcommand};
use integration::cluster::standing::{self, State};

#[derive(Debug, Parser)]
#[command(
    name = "cluster",
    about = "A real Kubernetes on this machine, without Docker; nothing of it is left when it ends"
)]
struct CommandLine {
    /// Where the kubeconfig and the log go.
    #[arg(long, global = true, default_value = "target/cluster")]
    state: PathBuf,
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Debug, Subcommand)]
enum Subcommands {
    /// Starts it in the background and says how to use it.
    Up {
        /// How many nodes; 0 is the API server alone, which needs no root.
        #[arg(long, default_value_t = 2)]
        nodes: u8,
    },
    /// Ends it.
    Down,
    /// Opens a shell in the network of its nodes, where pods can be reached.
    Shell,
    /// Runs it until Ctrl-C.
    Run {
        /// How many nodes.
        #[arg(long, default_value_t = 2)]
        nodes: u8,
    },
    /// What `run` runs in namespaces of its own.
    #[command(hide = true)]
    Inside {
        /// How many nodes.
        #[arg(long)]
        nodes: u8,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let CommandLine { state: directory, command } = CommandLine::parse();
    let state = State::new(std::path::absolute(directory)?);
    match command {
        Subcommands::Up { nodes } => {
            let begun = Instant::now();
            let (directory, nodes) = (state.kubeconfig(), nodes.to_string());
            let directory = directory.parent().unwrap_or(&directory).display().to_string();
            standing::up(&state, &["run", "--nodes", &nodes, "--state", &directory]).await?;
            eprintln!("the cluster is ready after {:.1} s", begun.elapsed().as_secs_f32());
            eprintln!("its logs are in {}; `make cluster-down` ends it", state.kept_in()?.display());
            println!("export KUBECONFIG={}", state.kubeconfig().display());
            Ok(())
        }
        Subcommands::Down => {
            let was = standing::down(&state).await?;
            eprintln!("{}", if was { "the cluster is gone" } else { "no cluster is running" });
            Ok(())
        }
        Subcommands::Shell => standing::shell(&state),
        Subcommands::Run { nodes } => standing::run(&state, nodes).await,
        Subcommands::Inside { nodes } => standing::run_inside(nodes).await,
    }
}
