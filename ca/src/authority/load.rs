//! Reading an authority from the files of a Secret, in Istio's names (`cacerts`) or Kubernetes' (`kubernetes.io/tls`).

use std::collections::{BTreeMap, VecDeque};

use rcgen::{CertificateParams, Issuer};
use rustls_pki_types::{CertificateDer, pem::SectionKind};
use time::OffsetDateTime;
use x509_parser::parse_x509_certificate;

use super::Authority;
use crate::bundle::{BundleError, TrustBundle};
use crate::certificate::{Certificate, CertificateError};
use crate::identity::TrustDomain;
use crate::key::{KeyError, PrivateKey};
use crate::pem::{self, PemError};

/// Most certificates from the signing one to the root.
pub const PATH_LEN_MAX: usize = 8;

/// Why an authority was not taken. Each names the file; none holds anything of the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// A file is absent.
    #[error(
        "`{0}` is missing: expected are ca-cert.pem, ca-key.pem, cert-chain.pem and root-cert.pem, or tls.crt, tls.key and ca.crt"
    )]
    Missing(&'static str),
    /// A file is not PEM.
    #[error("`{file}` {error}")]
    Pem {
        /// Which.
        file: &'static str,
        /// What is wrong.
        error: PemError,
    },
    /// A file holds no certificate.
    #[error("`{0}` holds no certificate: a block CERTIFICATE is expected")]
    NoCertificate(&'static str),
    /// A certificate of a file is not of use.
    #[error("`{file}`: certificate {number} {error}")]
    Certificate {
        /// Which file.
        file: &'static str,
        /// Which certificate in it, from 1.
        number: usize,
        /// What is wrong.
        error: CertificateError,
    },
    /// The key is not of use.
    #[error("`{file}` {error}")]
    Key {
        /// Which file.
        file: &'static str,
        /// What is wrong.
        error: KeyError,
    },
    /// Key and certificate are not a pair.
    #[error(
        "`{key}` is not the key of any certificate in `{certificate}`: one of the two files is from another authority"
    )]
    KeyMismatch {
        /// The file with the certificate.
        certificate: &'static str,
        /// The file with the key.
        key: &'static str,
    },
    /// The certificate does not lead to a root.
    #[error(
        "no valid path leads from `{certificate}` to a root in `{roots}`: add the certificates between them, or the root that signed them"
    )]
    NoPath {
        /// The file with the certificate.
        certificate: &'static str,
        /// The file with the roots.
        roots: &'static str,
    },
    /// An authority of the path forbids that many below it.
    #[error("the path length constraint of an authority above `{0}` forbids it to sign")]
    PathLength(&'static str),
    /// The subject of the certificate has a form that cannot be written as the issuer of leaves.
    #[error(
        "the subject of `{0}` cannot be repeated as an issuer: use one value for each kind of attribute, and one attribute in each part"
    )]
    Subject(&'static str),
    /// The roots are not of use.
    #[error("`{file}` {error}")]
    Roots {
        /// Which file.
        file: &'static str,
        /// What is wrong.
        error: BundleError,
    },
}

/// The contents of the files, with the names under which errors speak of them.
#[derive(Clone)]
pub struct AuthorityFiles<'a> {
    certificate: (&'static str, &'a [u8]),
    key: (&'static str, &'a [u8]),
    chain: Option<(&'static str, &'a [u8])>,
    roots: Option<(&'static str, &'a [u8])>,
}

impl std::fmt::Debug for AuthorityFiles<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // One of the files is the key.
        f.debug_struct("AuthorityFiles").field("certificate", &self.certificate.0).finish_non_exhaustive()
    }
}

impl<'a> AuthorityFiles<'a> {
    /// Finds the files among the data of a Secret or a directory: `ca-cert.pem`, `ca-key.pem`, `cert-chain.pem` (optional) and
    /// `root-cert.pem`, or else `tls.crt`, `tls.key` and `ca.crt` (optional, when the root is in `tls.crt`).
    ///
    /// # Errors
    /// [`AuthorityError::Missing`].
    pub fn find(data: &'a BTreeMap<String, Vec<u8>>) -> Result<Self, AuthorityError> {
        let optional = |name: &'static str| data.get(name).map(|text| (name, text.as_slice()));
        let required = |name: &'static str| optional(name).ok_or(AuthorityError::Missing(name));
        if data.contains_key("tls.crt") && !data.contains_key("ca-cert.pem") {
            let (certificate, key) = (required("tls.crt")?, required("tls.key")?);
            return Ok(Self { certificate, key, chain: None, roots: optional("ca.crt") });
        }
        Ok(Self {
            certificate: required("ca-cert.pem")?,
            key: required("ca-key.pem")?,
            chain: optional("cert-chain.pem"),
            roots: Some(required("root-cert.pem")?),
        })
    }
}

impl Authority {
    /// Reads an authority. Certificates may stand in any order and in any of the files; those that do not belong to the path from
    /// the key's certificate to a root are left alone.
    ///
    /// # Errors
    /// What is wrong, and with which file.
    pub fn load(
        files: &AuthorityFiles<'_>,
        trust_domain: &TrustDomain,
        now: OffsetDateTime,
    ) -> Result<Self, AuthorityError> {
        let (certificate_file, _) = files.certificate;
        let (key_file, key_text) = files.key;
        let key = PrivateKey::from_pem(key_text).map_err(|error| AuthorityError::Key { file: key_file, error })?;
        let own = certificates(files.certificate)?;
        let chain = files.chain.map(certificates).transpose()?.unwrap_or_default();
        let roots = match files.roots {
            Some(file) => certificates(file)?,
            None => own.iter().filter(|certificate| certificate.is_self_issued()).cloned().collect(),
        };
        let (roots_file, _) = files.roots.unwrap_or(files.certificate);

        let public_key = key.public_key();
        let fitting: Vec<&Certificate> =
            own.iter().filter(|certificate| certificate.public_key == public_key).collect();
        let Some(first) = fitting.first() else {
            return Err(AuthorityError::KeyMismatch { certificate: certificate_file, key: key_file });
        };
        // Of several certificates for one key, as after a renewal, the first that is valid counts.
        let signing = fitting.iter().find(|certificate| certificate.validity.check(now).is_ok()).unwrap_or(first);
        signing.validity.check(now).map_err(|error| {
            let number = own.iter().position(|certificate| certificate.der == signing.der).unwrap_or(0) + 1;
            AuthorityError::Certificate { file: certificate_file, number, error }
        })?;

        let others: Vec<&Certificate> = roots.iter().chain(&chain).chain(&own).collect();
        let path = path(signing, &others, &roots, now)
            .ok_or(AuthorityError::NoPath { certificate: certificate_file, roots: roots_file })?;
        // Above the signing certificate, which itself only has leaves below it, stand authorities with 1, 2, ... below them.
        let allows =
            |(below, authority): (usize, &&Certificate)| authority.path_len.is_none_or(|max| below <= max as usize);
        if !path.iter().enumerate().all(|entry| allows((entry.0, entry.1))) {
            return Err(AuthorityError::PathLength(certificate_file));
        }
        let issuer =
            Issuer::from_ca_cert_der(&signing.der, key).map_err(|_| AuthorityError::Subject(certificate_file))?;
        if !repeats_subject(&issuer, signing) {
            return Err(AuthorityError::Subject(certificate_file));
        }
        let bundle = TrustBundle::new(trust_domain.clone(), roots.iter().map(|root| &root.der))
            .map_err(|error| AuthorityError::Roots { file: roots_file, error })?;
        let validity = path.iter().fold(signing.validity, |all, authority| all.and(authority.validity));
        let path = path.into_iter().map(|authority| authority.der.clone()).collect();
        Ok(Self { issuer, path, bundle, validity })
    }
}

fn certificates((file, text): (&'static str, &[u8])) -> Result<Vec<Certificate>, AuthorityError> {
    let blocks = pem::blocks(text).map_err(|error| AuthorityError::Pem { file, error })?;
    let certificates = blocks.iter().filter(|block| block.kind == SectionKind::Certificate).enumerate();
    let parsed = certificates.map(|(index, block)| {
        Certificate::parse(&block.der).map_err(|error| AuthorityError::Certificate { file, number: index + 1, error })
    });
    let parsed = parsed.collect::<Result<Vec<_>, _>>()?;
    if parsed.is_empty() { Err(AuthorityError::NoCertificate(file)) } else { Ok(parsed) }
}

/// The shortest path from the signing certificate to a self-issued one among the roots, all valid now: a search in breadth that
/// visits each certificate once.
fn path<'a>(
    signing: &'a Certificate,
    others: &[&'a Certificate],
    roots: &[Certificate],
    now: OffsetDateTime,
) -> Option<Vec<&'a Certificate>> {
    let is_root = |certificate: &Certificate| {
        certificate.is_self_issued() && roots.iter().any(|root| root.der == certificate.der)
    };
    let mut seen: Vec<&CertificateDer<'_>> = vec![&signing.der];
    let mut open = VecDeque::from([vec![signing]]);
    while let Some(path) = open.pop_front() {
        let top = *path.last()?;
        if is_root(top) {
            return Some(path);
        }
        if path.len() == PATH_LEN_MAX {
            continue;
        }
        for above in others {
            if !seen.contains(&&above.der) && above.validity.check(now).is_ok() && top.is_signed_by(above) {
                seen.push(&above.der);
                open.push_back(path.iter().copied().chain([*above]).collect());
            }
        }
    }
    None
}

/// Verifiers compare names byte for byte. The signing library rebuilds the issuer's name from its parts, which loses repeated
/// attributes: such a name is found out here, by a certificate that is thrown away, and not by peers that refuse ours.
fn repeats_subject(issuer: &Issuer<'static, PrivateKey>, signing: &Certificate) -> bool {
    let Ok(probe) = CertificateParams::default().signed_by(issuer.key(), issuer) else { return false };
    parse_x509_certificate(probe.der()).is_ok_and(|(_, parsed)| parsed.issuer().as_raw() == signing.subject)
}
