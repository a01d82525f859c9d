//! `mainsheet crds`: the custom resource definitions of Istio's kinds, ready to be applied.

use anyhow::Context as _;
use clap::ValueEnum;
use serde_json::{Value, json};

use super::{print, yaml};
use crate::{crds, source::istio};

/// Arguments of `mainsheet crds`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  mainsheet crds | kubectl apply --server-side -f -\n  mainsheet crds VirtualService DestinationRule"
)]
pub(super) struct Args {
    /// Only these kinds, by name; default is all
    #[arg(value_name = "KIND", value_parser = kind)]
    kinds: Vec<&'static istio::IstioKind>,
    /// The form of the output: YAML documents, or a JSON list
    #[arg(short, long, value_enum, default_value_t = Output::Yaml)]
    output: Output,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Json,
    Yaml,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let kinds = if args.kinds.is_empty() { istio::ALL } else { &args.kinds };
    match args.output {
        Output::Yaml => {
            let documents: Vec<String> = kinds.iter().map(|kind| document(kind)).collect::<anyhow::Result<_>>()?;
            print(&documents.concat())
        }
        Output::Json => {
            let items: Vec<Value> = kinds.iter().map(|kind| value(kind)).collect::<anyhow::Result<_>>()?;
            print(&format!("{:#}\n", json!({"apiVersion": "v1", "kind": "List", "items": items})))
        }
    }
}

/// The definition of a kind as a YAML document.
fn document(kind: &istio::IstioKind) -> anyhow::Result<String> {
    Ok(format!("---\n{}", yaml::write(&value(kind)?)))
}

fn value(kind: &istio::IstioKind) -> anyhow::Result<Value> {
    let definition = serde_json::to_value(crds::definition(kind));
    definition.map(whole_numbers).with_context(|| format!("the definition of {} cannot be written", kind.name))
}

/// Bounds are kept as fractions, and written as people write them: `65535`.
fn whole_numbers(value: Value) -> Value {
    /// Up to here every whole number is exactly one of the fractions.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(fraction) if number.is_f64() && fraction.fract() == 0.0 && fraction.abs() <= EXACT_MAX => {
                format!("{fraction:.0}").parse::<i64>().map_or(Value::Number(number), Value::from)
            }
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(whole_numbers).collect(),
        Value::Object(fields) => fields.into_iter().map(|(key, value)| (key, whole_numbers(value))).collect(),
        other @ (Value::Null | Value::Bool(_) | Value::String(_)) => other,
    }
}

fn kind(text: &str) -> Result<&'static istio::IstioKind, String> {
    let is_meant = |kind: &&istio::IstioKind| {
        kind.name.eq_ignore_ascii_case(text)
            || kind.plural.eq_ignore_ascii_case(text)
            || crds::short_name(kind).is_some_and(|short| short.eq_ignore_ascii_case(text))
    };
    istio::ALL.iter().copied().find(is_meant).ok_or_else(|| {
        let names: Vec<&str> = istio::ALL.iter().map(|kind| kind.name).collect();
        format!("no such kind; use {}", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// `UPDATE_GOLDEN=1` writes the files anew.
    #[test]
    fn golden_definitions_are_what_is_printed() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../manifests/crds");
        let update = std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1");
        let mut expected = BTreeSet::new();
        for kind in istio::ALL {
            let name = format!("{}_{}.yaml", kind.group, kind.plural);
            let (path, text) = (folder.join(&name), document(kind).unwrap());
            if update {
                fs::create_dir_all(&folder).unwrap();
                fs::write(&path, &text).unwrap();
            }
            let written = fs::read_to_string(&path).unwrap_or_default();
            assert!(written == text, "{name} differs from what `mainsheet crds` prints; `make golden` writes it anew");
            expected.insert(name);
        }
        let there = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(there.filter(|name| name.ends_with(".yaml")).collect::<BTreeSet<_>>(), expected);
    }

    #[test]
    fn a_kind_is_named_as_people_name_it() {
        for text in ["VirtualService", "virtualservices", "vs"] {
            assert_eq!(kind(text).unwrap().name, "VirtualService");
        }
        assert!(kind("Virtual").unwrap_err().contains("use TrafficExtension, "));
    }
}
