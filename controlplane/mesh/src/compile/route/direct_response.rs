//! Answers that the proxy gives itself.

use proto::envoy::config::{
    core::v3::{DataSource, data_source::Specifier},
    route::v3::DirectResponseAction,
};

use super::plan::DIRECT_RESPONSE_BODY_MAX;

/// An answer with this status, from 200 to 599, and body.
pub(super) fn action(status: u16, body: Option<&[u8]>) -> DirectResponseAction {
    let body = body.filter(|body| !body.is_empty()).map(|body| {
        // Envoy refuses a longer one; objects with one are refused when they are read.
        let len = body.len().min(usize::try_from(DIRECT_RESPONSE_BODY_MAX).unwrap_or(usize::MAX));
        let body = body.get(..len).unwrap_or_default();
        let specifier = match std::str::from_utf8(body) {
            Ok(text) => Specifier::InlineString(text.to_owned()),
            Err(_) => Specifier::InlineBytes(body.to_vec().into()),
        };
        DataSource { specifier: Some(specifier), ..DataSource::default() }
    });
    DirectResponseAction { status: u32::from(status.clamp(200, 599)), body, ..DirectResponseAction::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_text_where_it_can_be() {
        let body = |body: &[u8]| action(418, Some(body)).body.and_then(|body| body.specifier);
        assert_eq!(body(b"teapot"), Some(Specifier::InlineString("teapot".into())));
        assert_eq!(body(&[0xff]), Some(Specifier::InlineBytes(vec![0xff].into())));
        assert_eq!(body(b""), None);
        assert_eq!(action(418, None).status, 418);
    }
}
