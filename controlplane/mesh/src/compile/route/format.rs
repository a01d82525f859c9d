//! Envoy's format strings, `%REQ(name)%`, in the values of headers and in access logs.
//!
//! Envoy refuses the whole resource for one command that it does not know. What it would refuse is written so that it
//! stands for itself.

use std::borrow::Cow;

/// What a command takes in parentheses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    /// The name of a header, and another one after `?`; and a length.
    Header,
    /// A path of keys; not every command that takes one can cut it to a length.
    Keys,
    /// A kind of metadata and a path of keys.
    Metadata,
    /// A format of times, or nothing.
    MaybeTime,
    /// The name of a variable.
    Variable,
}

/// The commands of Envoy 1.40 that need nothing but a request or connection.
const COMMANDS: [(&str, Takes); 80] = [
    ("ACCESS_LOG_TYPE", Takes::Nothing),
    ("BYTES_RECEIVED", Takes::Nothing),
    ("BYTES_SENT", Takes::Nothing),
    ("CLUSTER_METADATA", Takes::Keys),
    ("CONNECTION_ID", Takes::Nothing),
    ("CONNECTION_TERMINATION_DETAILS", Takes::Nothing),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS", Takes::Nothing),
    ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", Takes::Nothing),
    ("DOWNSTREAM_HANDSHAKE_DURATION", Takes::Nothing),
    ("DOWNSTREAM_HEADER_BYTES_RECEIVED", Takes::Nothing),
    ("DOWNSTREAM_HEADER_BYTES_SENT", Takes::Nothing),
    ("DOWNSTREAM_LOCAL_ADDRESS", Takes::Nothing),
    ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", Takes::Nothing),
    ("DOWNSTREAM_LOCAL_DNS_SAN", Takes::Nothing),
    ("DOWNSTREAM_LOCAL_PORT", Takes::Nothing),
    ("DOWNSTREAM_LOCAL_SUBJECT", Takes::Nothing),
    ("DOWNSTREAM_LOCAL_URI_SAN", Takes::Nothing),
    ("DOWNSTREAM_PEER_CERT", Takes::Nothing),
    ("DOWNSTREAM_PEER_CERT_V_END", Takes::MaybeTime),
    ("DOWNSTREAM_PEER_CERT_V_START", Takes::MaybeTime),
    ("DOWNSTREAM_PEER_DNS_SAN", Takes::Nothing),
    ("DOWNSTREAM_PEER_FINGERPRINT_1", Takes::Nothing),
    ("DOWNSTREAM_PEER_FINGERPRINT_256", Takes::Nothing),
    ("DOWNSTREAM_PEER_ISSUER", Takes::Nothing),
    ("DOWNSTREAM_PEER_SERIAL", Takes::Nothing),
    ("DOWNSTREAM_PEER_SUBJECT", Takes::Nothing),
    ("DOWNSTREAM_PEER_URI_SAN", Takes::Nothing),
    ("DOWNSTREAM_REMOTE_ADDRESS", Takes::Nothing),
    ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", Takes::Nothing),
    ("DOWNSTREAM_REMOTE_PORT", Takes::Nothing),
    ("DOWNSTREAM_TLS_CIPHER", Takes::Nothing),
    ("DOWNSTREAM_TLS_SESSION_ID", Takes::Nothing),
    ("DOWNSTREAM_TLS_VERSION", Takes::Nothing),
    ("DOWNSTREAM_TRANSPORT_FAILURE_REASON", Takes::Nothing),
    ("DOWNSTREAM_WIRE_BYTES_RECEIVED", Takes::Nothing),
    ("DOWNSTREAM_WIRE_BYTES_SENT", Takes::Nothing),
    ("DURATION", Takes::Nothing),
    ("DYNAMIC_METADATA", Takes::Keys),
    ("ENVIRONMENT", Takes::Variable),
    ("FILTER_CHAIN_NAME", Takes::Nothing),
    ("GRPC_STATUS_NUMBER", Takes::Nothing),
    ("HOSTNAME", Takes::Nothing),
    ("METADATA", Takes::Metadata),
    ("PROTOCOL", Takes::Nothing),
    ("REQ", Takes::Header),
    ("REQUESTED_SERVER_NAME", Takes::Nothing),
    ("REQUEST_DURATION", Takes::Nothing),
    ("REQUEST_HEADERS_BYTES", Takes::Nothing),
    ("REQUEST_TX_DURATION", Takes::Nothing),
    ("RESP", Takes::Header),
    ("RESPONSE_CODE", Takes::Nothing),
    ("RESPONSE_CODE_DETAILS", Takes::Nothing),
    ("RESPONSE_DURATION", Takes::Nothing),
    ("RESPONSE_FLAGS", Takes::Nothing),
    ("RESPONSE_FLAGS_LONG", Takes::Nothing),
    ("RESPONSE_HEADERS_BYTES", Takes::Nothing),
    ("RESPONSE_TRAILERS_BYTES", Takes::Nothing),
    ("RESPONSE_TX_DURATION", Takes::Nothing),
    ("ROUTE_NAME", Takes::Nothing),
    ("START_TIME", Takes::MaybeTime),
    ("STREAM_ID", Takes::Nothing),
    ("TLS_JA3_FINGERPRINT", Takes::Nothing),
    ("TRACE_ID", Takes::Nothing),
    ("TRAILER", Takes::Header),
    ("UPSTREAM_CLUSTER", Takes::Nothing),
    ("UPSTREAM_CLUSTER_RAW", Takes::Nothing),
    ("UPSTREAM_CONNECTION_ID", Takes::Nothing),
    ("UPSTREAM_HEADER_BYTES_RECEIVED", Takes::Nothing),
    ("UPSTREAM_HEADER_BYTES_SENT", Takes::Nothing),
    ("UPSTREAM_HOST", Takes::Nothing),
    ("UPSTREAM_LOCAL_ADDRESS", Takes::Nothing),
    ("UPSTREAM_METADATA", Takes::Keys),
    ("UPSTREAM_PROTOCOL", Takes::Nothing),
    ("UPSTREAM_REMOTE_ADDRESS", Takes::Nothing),
    ("UPSTREAM_REQUEST_ATTEMPT_COUNT", Takes::Nothing),
    ("UPSTREAM_TLS_VERSION", Takes::Nothing),
    ("UPSTREAM_TRANSPORT_FAILURE_REASON", Takes::Nothing),
    ("UPSTREAM_WIRE_BYTES_RECEIVED", Takes::Nothing),
    ("UPSTREAM_WIRE_BYTES_SENT", Takes::Nothing),
    ("VIRTUAL_CLUSTER_NAME", Takes::Nothing),
];

/// Where `METADATA` looks.
const METADATA_KINDS: [&str; 6] = ["DYNAMIC", "CLUSTER", "ROUTE", "UPSTREAM_HOST", "LISTENER", "VIRTUAL_HOST"];

/// The text with every percent sign that begins no command of Envoy's doubled, which makes it stand for itself.
pub(crate) fn known(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('%') {
        out.push_str(before);
        rest = if let Some(behind) = behind.strip_prefix('%') {
            out.push_str("%%");
            behind
        } else if let Some(len) = command_len(behind) {
            let (command, behind) = behind.split_at(len);
            out.push('%');
            out.push_str(command);
            behind
        } else {
            out.push_str("%%");
            behind
        };
    }
    out.push_str(rest);
    if out == text { Cow::Borrowed(text) } else { Cow::Owned(out) }
}

/// The bytes of the command at the beginning of a text, its closing percent sign included.
fn command_len(text: &str) -> Option<usize> {
    let name_len = text.find(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'))?;
    let (name, mut rest) = text.split_at(name_len);
    let place = COMMANDS.binary_search_by_key(&name, |(known, _)| known).ok()?;
    let (_, takes) = COMMANDS.get(place)?;
    let mut argument = None;
    if let Some(open) = rest.strip_prefix('(') {
        let (inside, behind) = open.split_once(')')?;
        argument = Some(inside);
        rest = behind;
    }
    let mut has_length = false;
    if let Some(length) = rest.strip_prefix(':') {
        let behind = length.trim_start_matches(|c: char| c.is_ascii_digit());
        // At most five digits: more than any header holds.
        has_length = (1..=5).contains(&(length.len() - behind.len()));
        rest = if has_length { behind } else { return None };
    }
    let rest = rest.strip_prefix('%')?;
    takes.accepts(argument, has_length).then_some(text.len() - rest.len())
}

impl Takes {
    fn accepts(self, argument: Option<&str>, has_length: bool) -> bool {
        let plain = |text: &str| !text.is_empty() && !text.bytes().any(|b| b.is_ascii_control());
        match (self, argument) {
            (Self::Nothing, argument) => argument.is_none() && !has_length,
            (Self::Header, Some(header)) => {
                let mut names = header.split('?');
                let named = names.by_ref().take(2).all(|name| plain(name) && name.bytes().all(is_header_byte));
                named && names.next().is_none()
            }
            (Self::Keys, Some(keys)) => !has_length && plain(keys) && keys.split(':').all(|key| !key.is_empty()),
            (Self::Metadata, Some(keys)) => {
                let (kind, keys) = keys.split_once(':').unwrap_or_default();
                METADATA_KINDS.contains(&kind) && Self::Keys.accepts(Some(keys), has_length)
            }
            (Self::MaybeTime, None) => !has_length,
            // Only the conversions that C's strftime and Envoy share.
            (Self::MaybeTime, Some(format)) => !has_length && plain(format) && is_time_format(format),
            (Self::Variable, Some(name)) => !has_length && plain(name),
            (Self::Header | Self::Keys | Self::Metadata | Self::Variable, None) => false,
        }
    }
}

fn is_header_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte)
}

fn is_time_format(format: &str) -> bool {
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            continue;
        }
        let conversion = characters.by_ref().find(|c| !c.is_ascii_digit());
        if !conversion.is_some_and(|c| "YmdHMSfsFTzZjbBaAepIyuwDR".contains(c)) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(COMMANDS.is_sorted_by_key(|(name, _)| *name));
    }

    #[test]
    fn known_commands_stay() {
        for text in [
            "",
            "plain",
            "%%",
            "%REQ(x-a)%",
            "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH):100%",
            "[%START_TIME%] %START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
            "%DYNAMIC_METADATA(istio:config)%",
            "%METADATA(ROUTE:istio:config)%",
            "%RESPONSE_FLAGS%%BYTES_SENT%",
        ] {
            assert_eq!(known(text), text);
        }
    }

    #[test]
    fn what_envoy_would_refuse_stands_for_itself() {
        for (text, written) in [
            ("100%", "100%%"),
            ("%", "%%"),
            ("%NOSUCH%", "%%NOSUCH%%"),
            ("%REQ%", "%%REQ%%"),
            ("%REQ(a?b?c)%", "%%REQ(a?b?c)%%"),
            ("%PROTOCOL(x)%", "%%PROTOCOL(x)%%"),
            ("%CLUSTER_METADATA(a:b):10%", "%%CLUSTER_METADATA(a:b):10%%"),
            ("%METADATA(OTHER:a)%", "%%METADATA(OTHER:a)%%"),
            ("50% of %PROTOCOL%", "50%% of %PROTOCOL%"),
            ("%START_TIME(%!)%", "%%START_TIME(%%!)%%"),
        ] {
            assert_eq!(known(text), written, "{text:?}");
        }
    }
}
