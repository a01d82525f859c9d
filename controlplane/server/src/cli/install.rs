//! `mainsheet install` and `mainsheet uninstall`: the control plane into a cluster, and out again.

use std::time::Duration;

use clap::ValueEnum;

use super::{
    access::{Access, runtime},
    arguments, note, print, yaml,
};
use crate::install::{self, Apply, Choices, Object};

const REPLICAS_MAX: i64 = 100;

/// Arguments of `mainsheet install`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mainsheet install --image registry.example/mainsheet:0.1.0\n  mainsheet install --dry-run | less"
)]
pub(super) struct InstallArgs {
    #[command(flatten)]
    access: Access,
    /// The namespace of the control plane; made when it is not there
    #[arg(short, long, default_value = "istio-system", value_parser = arguments::namespace)]
    namespace: String,
    /// The image of the control plane; default is that of this version
    #[arg(long, value_name = "REFERENCE", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    image: Option<String>,
    /// How many control planes run; default is 2
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=REPLICAS_MAX))]
    replicas: Option<u16>,
    /// Change nothing: print the YAML, or ask the API server what it would do
    #[arg(long, value_enum, num_args = 0..=1, require_equals = true, default_missing_value = "client")]
    dry_run: Option<DryRun>,
    /// Take fields over that somebody else has set
    #[arg(long)]
    force_conflicts: bool,
    /// How long to wait until the control plane is available; 0 does not wait
    #[arg(long, value_name = "SECONDS", default_value_t = 180, value_parser = clap::value_parser!(u16))]
    timeout: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DryRun {
    Client,
    Server,
}

/// Arguments of `mainsheet uninstall`.
#[derive(Debug, clap::Args)]
pub(super) struct UninstallArgs {
    #[command(flatten)]
    access: Access,
    /// The namespace of the control plane
    #[arg(short, long, default_value = "istio-system", value_parser = arguments::namespace)]
    namespace: String,
    /// Remove the definitions of Istio's kinds too, and with them every object of these kinds in the cluster
    #[arg(long)]
    purge_crds: bool,
}

pub(super) fn install(args: &InstallArgs) -> anyhow::Result<()> {
    let choices = Choices { namespace: args.namespace.clone(), image: args.image.clone(), replicas: args.replicas };
    let objects = install::objects(&choices)?;
    if args.dry_run == Some(DryRun::Client) {
        return print(&objects.iter().map(document).collect::<String>());
    }
    let how = Apply { dry_run: args.dry_run == Some(DryRun::Server), force: args.force_conflicts };
    runtime()?.block_on(async {
        let client = args.access.client().await?;
        install::apply(&client, &objects, how, |line| note(&line)).await?;
        if !how.dry_run && args.timeout > 0 {
            let limit = Duration::from_secs(args.timeout.into());
            install::available(&client, &args.namespace, limit, |line| note(&line)).await?;
        }
        Ok(())
    })
}

pub(super) fn uninstall(args: &UninstallArgs) -> anyhow::Result<()> {
    let objects = install::objects(&Choices { namespace: args.namespace.clone(), image: None, replicas: None })?;
    runtime()?.block_on(async {
        let client = args.access.client().await?;
        Ok(install::remove(&client, &objects, args.purge_crds, |line| note(&line)).await?)
    })
}

fn document(object: &Object) -> String {
    format!("---\n{}", yaml::write(object.json()))
}
