//! DestinationRule.

use std::collections::BTreeSet;

use mesh::model::{
    code,
    destination_rule::{DestinationRule, SUBSETS_MAX, Subset},
};

use super::{Conversion, values::match_labels_selector};
use crate::source::{
    path::Path,
    wire::destination_rule::{self as wire, DestinationRuleSpec},
};

/// Longest name of a subset, in bytes.
const NAME_LEN_MAX: usize = 253;

impl Conversion<'_> {
    /// Converts the `spec` at `path`; `None` when its host cannot be read.
    pub fn destination_rule(&mut self, spec: DestinationRuleSpec, path: Path<'_>) -> Option<DestinationRule> {
        let DestinationRuleSpec { host, traffic_policy, subsets, export_to, workload_selector } = spec;
        let subsets_path = path.field("subsets");
        self.limit(subsets.len(), SUBSETS_MAX, subsets_path);
        let policy = self.traffic_policy(traffic_policy, path.field("trafficPolicy"));
        let export_to = self.export_to(&export_to, path.field("exportTo"));
        let mut names = BTreeSet::new();
        let subsets = subsets
            .into_iter()
            .enumerate()
            .map(|(place, subset)| {
                let path = subsets_path.index(place);
                if !names.insert(subset.name.clone()) {
                    let reason = format!("the subset {} is given twice", subset.name);
                    self.error(code::DUPLICATE_NAME, path.field("name"), reason, "give each its own name");
                }
                self.subset(subset, path)
            })
            .collect();
        Some(DestinationRule {
            host: self.host(&host, path.field("host"))?,
            policy,
            subsets,
            export_to,
            workload_selector: match_labels_selector(workload_selector),
        })
    }

    fn subset(&mut self, value: wire::Subset, path: Path<'_>) -> Subset {
        let wire::Subset { name, labels, traffic_policy } = value;
        let valid = !name.is_empty()
            && name.len() <= NAME_LEN_MAX
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
        if !valid {
            let reason = format!("{name:?} is not the name of a subset");
            self.error(code::BAD_NAME, path.field("name"), reason, "use letters, digits, -, _ and .");
        }
        Subset { name, labels, policy: self.traffic_policy(traffic_policy, path.field("trafficPolicy")) }
    }
}
