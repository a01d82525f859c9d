//! The demo: Bookinfo on six real Envoys and a control plane, on loopback, with a live table or a tour through what a mesh does with traffic.
//!
//! `place` is where it stands, `stage` what runs there, `visitors` who comes, `observe` and `ledger` what the Envoys count, `table` and `screen`
//! what is shown of it, `live` and `tour` the two ways to run it.

pub mod cast;
pub mod door;
pub mod ledger;
pub mod live;
pub mod observe;
pub mod place;
pub mod problem;
pub mod screen;
pub mod stage;
pub mod table;
pub mod tour;
pub mod visitors;

use clap::Args;

/// The command line of the demo.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// Walk through the scenarios, say in numbers what each did, and end.
    #[arg(long)]
    pub tour: bool,
    /// Requests that each scenario of the tour is measured with.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(50..=100_000), requires = "tour")]
    pub requests: u64,
    /// End after so many seconds.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "tour")]
    pub seconds: Option<u64>,
    /// Visits to the page each second.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=200))]
    pub rate: u32,
    /// Where the page is to be; another free port is taken if this one is in use.
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:9090")]
    pub page: std::net::SocketAddr,
    /// No colours.
    #[arg(long)]
    pub no_color: bool,
}

/// Runs the demo as the command line says.
///
/// # Errors
/// Something does not start or ends by itself; or, of a tour, a scenario did not do what it says.
pub async fn run(options: &Options) -> anyhow::Result<()> {
    if options.tour { tour::run(options).await } else { live::run(options).await }
}
