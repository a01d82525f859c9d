//! The certificates of a cluster: its authorities, its servers, its clients.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize,
};
use time::{Duration, OffsetDateTime};

/// Longer than any cluster here runs.
const VALID: Duration = Duration::days(365);
/// For clocks that differ, as in containers that were frozen.
const VALID_BEFORE: Duration = Duration::hours(1);

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// To be known as a client.
    Client,
    /// To be known as a server.
    Server,
    /// Both, as the kubelet is.
    Both,
}

/// A certificate and its private key.
#[derive(Clone, Debug)]
pub struct Certified {
    /// PEM.
    pub certificate: String,
    /// PEM, PKCS #8.
    pub key: String,
}

/// A certificate authority.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// The cryptographic library refuses.
    pub fn new(common_name: &str) -> Result<Self> {
        let mut params = params(common_name, None, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?);
        Ok(Self { issuer: issuer.with_context(|| format!("make the authority {common_name}"))? })
    }

    /// Its certificate, PEM.
    #[must_use]
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// Its private key, PEM.
    #[must_use]
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// A certificate for `common_name`, which Kubernetes reads as the user, and `organization`, which it reads as the group. `names` are
    /// hostnames and addresses.
    ///
    /// # Errors
    /// A name cannot be in a certificate.
    pub fn issue(
        &self,
        common_name: &str,
        organization: Option<&str>,
        usage: Usage,
        names: &[String],
    ) -> Result<Certified> {
        let mut params = params(common_name, organization, names)?;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match usage {
            Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Both => vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
        };
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer);
        let certificate = certificate.with_context(|| format!("issue a certificate to {common_name}"))?;
        Ok(Certified { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// The key pair that signs the tokens of service accounts, as PEM: private, public. RSA, as most clusters have it.
///
/// # Errors
/// The cryptographic library refuses.
pub fn token_keys() -> Result<(String, String)> {
    let key = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).context("make an RSA key")?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

fn params(common_name: &str, organization: Option<&str>, names: &[String]) -> Result<CertificateParams> {
    let mut params = CertificateParams::new(names).with_context(|| format!("names of {common_name}: {names:?}"))?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    let now = OffsetDateTime::now_utc();
    params.not_before = now - VALID_BEFORE;
    params.not_after = now + VALID;
    Ok(params)
}
