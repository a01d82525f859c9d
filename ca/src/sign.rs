//! Signing: from a proved key and an identity to a certificate. The identity is the caller's; nothing of it comes from the request.

use std::sync::Arc;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PublicKeyData,
    SanType,
};
use rustls_pki_types::{CertificateDer, DnsName};
use time::OffsetDateTime;

use crate::authority::Authority;
use crate::csr::VerifiedRequest;
use crate::identity::SpiffeId;
use crate::key::PrivateKey;
use crate::pem;
use crate::terms::{
    BACK_DATE, LIFETIME_MAX, LIFETIME_MIN, SERVER_NAMES_MAX, SUBJECT_TEXT_LEN_MAX, Serial, SignError, Terms, ia5,
    whole_seconds,
};

/// The attribute `generationQualifier` of X.520: what tells apart things of one name.
const GENERATION_QUALIFIER: [u64; 4] = [2, 5, 4, 44];

/// Whom a certificate is for: an identity, and what the pod to which its credential is bound says of the workload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    identity: SpiffeId,
    /// Attributes of the subject besides the namespace.
    labels: Vec<(DnType, String)>,
}

impl Workload {
    /// A workload of which only the identity is known: its certificate has no subject.
    #[must_use]
    pub fn new(identity: SpiffeId) -> Self {
        Self { identity, labels: Vec::new() }
    }

    /// Adds what peers label their metrics with: the workload's name (CN), app (OU) and version (generationQualifier); the
    /// namespace (O) is that of the identity. What is empty, longer than [`SUBJECT_TEXT_LEN_MAX`] or has other characters than
    /// names in Kubernetes is left out: a missing label costs a metric, a refused certificate would cost the pod.
    #[must_use]
    pub fn with_labels(self, name: &str, app: &str, version: &str) -> Self {
        let texts = [
            (DnType::OrganizationName, self.identity.namespace()),
            (DnType::OrganizationalUnitName, app),
            (DnType::CommonName, name),
            (DnType::CustomDnType(GENERATION_QUALIFIER.to_vec()), version),
        ];
        let labels = texts.into_iter().filter(|(_, text)| is_label(text)).map(|(kind, text)| (kind, text.to_owned()));
        let labels = labels.collect();
        Self { labels, ..self }
    }

    /// The identity.
    #[must_use]
    pub fn identity(&self) -> &SpiffeId {
        &self.identity
    }
}

fn is_label(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    (1..=SUBJECT_TEXT_LEN_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

/// A certificate with its path to the root.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate itself.
    pub leaf: CertificateDer<'static>,
    /// The authorities above it, nearest first; the last one is the root.
    pub path: Arc<[CertificateDer<'static>]>,
    /// Its number.
    pub serial: Serial,
    /// From when it is valid.
    pub not_before: OffsetDateTime,
    /// Until when it is valid.
    pub not_after: OffsetDateTime,
}

impl Issued {
    /// What a peer presents: the leaf and the authorities below the root, which the other side must know by itself.
    pub fn presented(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        let below_root = self.path.len().saturating_sub(1);
        std::iter::once(&self.leaf).chain(self.path.iter().take(below_root))
    }

    /// What a peer presents, as PEM.
    #[must_use]
    pub fn presented_pem(&self) -> String {
        self.presented().map(|der| pem::certificate(der)).collect()
    }

    /// The field `cert_chain` of Istio's certificate service: one PEM text each, the leaf first and the root last.
    #[must_use]
    pub fn response(&self) -> Vec<String> {
        std::iter::once(&self.leaf).chain(self.path.iter()).map(|der| pem::certificate(der)).collect()
    }
}

/// Signs a workload's certificate, a SPIFFE X.509-SVID: one URI name, which is the identity, and no authority of its own.
///
/// # Errors
/// When the authority is not valid at `terms.now`, or the library fails.
pub fn sign(
    authority: &Authority,
    request: &VerifiedRequest,
    workload: &Workload,
    terms: Terms,
) -> Result<Issued, SignError> {
    let mut params = params(terms);
    params.subject_alt_names = vec![SanType::URI(ia5(&workload.identity.to_string())?)];
    for (kind, text) in &workload.labels {
        params.distinguished_name.push(kind.clone(), text.as_str());
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    issue(authority, request.key(), params, terms)
}

/// Signs the certificate of a listener of our own (webhooks, xDS), which clients know by its DNS names.
///
/// # Errors
/// When a name is not a DNS name, there are none or too many, the authority is not valid, or the library fails.
pub fn sign_server(authority: &Authority, key: &PrivateKey, names: &[&str], terms: Terms) -> Result<Issued, SignError> {
    if names.is_empty() || names.len() > SERVER_NAMES_MAX {
        return Err(SignError::Names(names.len()));
    }
    let mut params = params(terms);
    for name in names {
        DnsName::try_from(*name).map_err(|_| SignError::Name((*name).to_owned()))?;
        params.subject_alt_names.push(SanType::DnsName(ia5(name)?));
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    issue(authority, key, params, terms)
}

/// Names that clients use for a Service: `name.namespace.svc` and its shorter and longer forms.
#[must_use]
pub fn service_names(service: &str, namespace: &str, cluster_domain: &str) -> Vec<String> {
    vec![
        format!("{service}.{namespace}.svc"),
        format!("{service}.{namespace}"),
        format!("{service}.{namespace}.svc.{cluster_domain}"),
    ]
}

/// What all certificates below an authority have in common.
fn params(terms: Terms) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(terms.serial.number());
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params
}

fn issue(
    authority: &Authority,
    key: &impl PublicKeyData,
    mut params: CertificateParams,
    terms: Terms,
) -> Result<Issued, SignError> {
    authority.validity().check(terms.now)?;
    let now = whole_seconds(terms.now);
    let lifetime = terms.lifetime.clamp(LIFETIME_MIN, LIFETIME_MAX);
    // Beyond the authority's own end no verifier would accept it.
    params.not_after = now.saturating_add(lifetime).min(authority.not_after());
    params.not_before = now.saturating_sub(BACK_DATE);
    let (not_before, not_after) = (params.not_before, params.not_after);
    let signed = params.signed_by(key, authority.issuer()).map_err(|error| SignError::Library(error.to_string()))?;
    Ok(Issued { leaf: signed.into(), path: authority.path(), serial: terms.serial, not_before, not_after })
}

#[cfg(test)]
mod tests;
