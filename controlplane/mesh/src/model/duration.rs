//! Durations as protobuf writes them in JSON.

use std::time::Duration;

/// Parses `1.5s`, `1h30m`, `250ms`, `0s`: the forms that Istio's fields accept.
///
/// # Errors
/// A sentence that says what is wrong and shows a right form.
pub fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a duration: write it like `0.5s`, `250ms` or `1h30m`");
    let mut rest = text;
    let mut nanos: f64 = 0.0;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let unit_len = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let scale = match unit {
            "h" => 3.6e12,
            "m" => 6e10,
            "s" => 1e9,
            "ms" => 1e6,
            "us" | "µs" => 1e3,
            "ns" => 1.0,
            _ => return Err(wrong()),
        };
        nanos += number * scale;
        rest = tail;
    }
    // Ten years: far beyond any use, and far below where Envoy's own limit lies.
    const NANOS_MAX: f64 = 10.0 * 365.0 * 86_400.0 * 1e9;
    if !(0.0..=NANOS_MAX).contains(&nanos) {
        return Err(format!("`{text}` is outside 0s to ten years"));
    }
    Duration::try_from_secs_f64(nanos.round() / 1e9).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form_that_istio_accepts() {
        assert_eq!(parse("0.5s"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("0s"), Ok(Duration::ZERO));
    }

    #[test]
    fn refuses_what_is_not_a_duration() {
        for bad in ["", "5", "s", "-1s", "1 s", "1.2.3s", "1y", "99999999h"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
