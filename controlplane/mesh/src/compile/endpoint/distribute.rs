//! `distribute`: the shares of traffic that the author gives to localities.

use super::locality::Group;
use crate::model::endpoint::Locality;

/// Parts of a percent that shares are counted in, so that a small share that several localities divide is not rounded up
/// to a large one.
const PARTS_PER_PERCENT: u64 = 10_000;

/// The shares for a caller at `from`: those of the most specific entry that covers it.
pub(super) fn shares<'a>(
    distribute: &'a [(String, Vec<(String, u32)>)],
    from: &Locality,
) -> Option<&'a [(String, u32)]> {
    let covering = distribute.iter().filter(|(pattern, _)| covers(pattern, from));
    covering.max_by(|(a, _), (b, _)| specificity(a).cmp(&specificity(b)).then(b.cmp(a))).map(|(_, to)| to.as_slice())
}

/// Gives localities their shares. One that several localities divide is divided by what they weigh; a locality without
/// a share gets nothing.
pub(super) fn apply<'a>(groups: Vec<Group<'a>>, shares: &[(String, u32)]) -> Vec<Group<'a>> {
    let own: Vec<Option<usize>> = groups.iter().map(|group| share_of(group.locality, shares)).collect();
    let total = |share: usize| -> u64 {
        let members = groups.iter().zip(&own).filter(|(_, own)| **own == Some(share));
        members.map(|(group, _)| u64::from(group.weight)).sum()
    };
    let weights: Vec<u32> = groups
        .iter()
        .zip(&own)
        .map(|(group, own)| {
            let Some((share, (_, percent))) = own.and_then(|index| Some((index, shares.get(index)?))) else { return 0 };
            weight(group.weight, total(share), *percent)
        })
        .collect();
    let with_weights = groups.into_iter().zip(weights).map(|(group, weight)| Group { weight, ..group });
    with_weights.filter(|group| group.weight > 0).collect()
}

/// The part of `percent` that a locality with `own` of `total` gets: something, unless the percentage is zero.
fn weight(own: u32, total: u64, percent: u32) -> u32 {
    let parts = u64::from(percent.min(100)) * PARTS_PER_PERCENT;
    if parts == 0 {
        return 0;
    }
    let weight = u128::from(parts) * u128::from(own) / u128::from(total.max(1));
    u32::try_from(weight).unwrap_or(u32::MAX).max(1)
}

/// Which share a locality falls under: the most specific one; of equals, the first by name.
fn share_of(locality: &Locality, shares: &[(String, u32)]) -> Option<usize> {
    let covering = shares.iter().enumerate().filter(|(_, (pattern, _))| covers(pattern, locality));
    covering
        .max_by(|(_, (a, _)), (_, (b, _))| specificity(a).cmp(&specificity(b)).then(b.cmp(a)))
        .map(|(index, _)| index)
}

/// Whether `region/zone/subzone`, where `*` or nothing stands for all that follow, covers a locality.
fn covers(pattern: &str, locality: &Locality) -> bool {
    let parts = [&locality.region, &locality.zone, &locality.subzone];
    pattern.splitn(3, '/').take_while(|part| !part.is_empty() && *part != "*").zip(parts).all(|(part, own)| part == own)
}

fn specificity(pattern: &str) -> usize {
    pattern.splitn(3, '/').take_while(|part| !part.is_empty() && *part != "*").count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(pattern: &str, percent: u32) -> (String, u32) {
        (pattern.to_owned(), percent)
    }

    #[test]
    fn a_pattern_covers_what_follows_its_star() {
        let here = Locality::parse("us/a/1");
        for pattern in ["*", "us/*", "us", "us/a", "us/a/*", "us/a/1"] {
            assert!(covers(pattern, &here), "{pattern}");
        }
        for pattern in ["eu/*", "us/b/*", "us/a/2"] {
            assert!(!covers(pattern, &here), "{pattern}");
        }
    }

    #[test]
    fn the_most_specific_entry_holds() {
        let distribute =
            [("us/*".to_owned(), vec![share("us/*", 100)]), ("us/a/*".to_owned(), vec![share("eu/*", 100)])];
        assert_eq!(shares(&distribute, &Locality::parse("us/a/1")).unwrap()[0].0, "eu/*");
        assert_eq!(shares(&distribute, &Locality::parse("us/b/1")).unwrap()[0].0, "us/*");
        assert_eq!(shares(&distribute, &Locality::parse("ap/b/1")), None);
    }

    #[test]
    fn a_share_is_divided_by_weight_and_the_rest_gets_nothing() {
        let localities = ["us/a", "us/b", "eu/a", "ap/a"].map(Locality::parse);
        let group = |locality, weight| Group { locality, priority: 0, weight, endpoints: Vec::new() };
        let [us_a, us_b, eu, ap] = &localities;
        let groups = vec![group(us_a, 1), group(us_b, 3), group(eu, 7), group(ap, 9)];
        let spread = apply(groups, &[share("us/*", 80), share("eu/*", 20), share("ap/*", 0)]);
        let seen: Vec<_> = spread.iter().map(|g| (g.locality.region.as_str(), g.weight)).collect();
        assert_eq!(seen, [("us", 200_000), ("us", 600_000), ("eu", 200_000)]);
    }
}
