//! One service of the Bookinfo sample: see [`integration::bookinfo`].

use clap::Parser;
use integration::bookinfo::server::{self, Options};

#[derive(Debug, Parser)]
#[command(name = "bookinfo", about = "Plays one service of the Bookinfo sample")]
struct CommandLine {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    server::run(CommandLine::parse().options).await
}
