//! The authority that the replicas share, as a Secret; and the certificates that each signs for itself.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ca::{
    Authority, AuthorityError, AuthorityFiles, KeyAlgorithm, KeyError, PrivateKey, Serial, SignError, Terms,
    TrustDomain,
    sign::{service_names, sign_server},
};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use rustls::{crypto::CryptoProvider, sign::CertifiedKey};
use time::OffsetDateTime;

/// The name of the Secret with the authority, which the first replica makes.
pub const SECRET: &str = "mainsheet-ca";
/// The Services by which API servers may call: our own, and Istio's.
const SERVICES: [&str; 2] = ["mainsheet", "istiod"];
/// How long a certificate lives; it is replaced at half of that.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Why there is no certificate to serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error("Secret {SECRET}: {0}; mend it, or delete it so that a new authority is made")]
    Secret(#[from] AuthorityError),
    #[error("a key cannot be made: {0}")]
    Key(#[from] KeyError),
    #[error("a certificate cannot be signed: {0}")]
    Sign(#[from] SignError),
    #[error("the certificate cannot be served: {0}; please report it")]
    Serve(#[from] rustls::Error),
    #[error("the operating system gives no randomness")]
    Random,
}

/// What certificates are made of and for.
#[derive(Debug, Clone)]
pub(super) struct Issuer {
    pub(super) trust_domain: TrustDomain,
    pub(super) namespace: String,
    pub(super) domain: String,
    pub(super) provider: Arc<CryptoProvider>,
}

/// A certificate to serve, and how long it lasts from now on.
pub(super) struct Fresh {
    pub(super) certified: CertifiedKey,
    pub(super) lifetime: Duration,
}

impl Issuer {
    /// Reads the authority that the data of the Secret holds.
    pub(super) fn read(&self, data: &BTreeMap<String, ByteString>, now: SystemTime) -> Result<Authority, Fault> {
        let data = data.iter().map(|(name, content)| (name.clone(), content.0.clone())).collect();
        Ok(Authority::load(&AuthorityFiles::find(&data)?, &self.trust_domain, OffsetDateTime::from(now))?)
    }

    /// Makes a Secret with a new authority, in the names that Istio's have.
    pub(super) fn secret(&self, now: SystemTime) -> Result<Secret, Fault> {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        let authority = Authority::self_signed(&self.trust_domain, key, self.serial()?, OffsetDateTime::from(now))?;
        let certificate = ByteString(authority.certificate_pem().into_bytes());
        let data = [
            ("ca-cert.pem", certificate.clone()),
            ("ca-key.pem", ByteString(authority.key().to_pem().as_bytes().to_vec())),
            ("root-cert.pem", certificate),
        ];
        Ok(self.secret_of(data.into_iter().map(|(name, content)| (name.to_owned(), content)).collect()))
    }

    /// The Secret with this data.
    pub(super) fn secret_of(&self, data: BTreeMap<String, ByteString>) -> Secret {
        let mut secret = Secret { data: Some(data), type_: Some("istio.io/ca-root".into()), ..Secret::default() };
        // What `mainsheet uninstall` knows it by.
        secret.metadata.labels = Some(BTreeMap::from([("app.kubernetes.io/part-of".into(), "mainsheet".into())]));
        secret.metadata.name = Some(SECRET.into());
        secret.metadata.namespace = Some(self.namespace.clone());
        secret
    }

    /// Signs a certificate for a key of its own, which never leaves this process.
    pub(super) fn sign(&self, authority: &Authority, now: SystemTime) -> Result<Fresh, Fault> {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256)?;
        let names: Vec<String> =
            SERVICES.iter().flat_map(|service| service_names(service, &self.namespace, &self.domain)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let now = OffsetDateTime::from(now);
        let lifetime = time::Duration::try_from(LIFETIME).unwrap_or(ca::terms::LIFETIME_DEFAULT);
        let issued = sign_server(authority, &key, &names, Terms { now, lifetime, serial: self.serial()? })?;
        let path = issued.presented().cloned().collect();
        let certified = CertifiedKey::from_der(path, key.to_der(), &self.provider)?;
        let lifetime = Duration::try_from(issued.not_after - now).unwrap_or_default();
        Ok(Fresh { certified, lifetime })
    }

    fn serial(&self) -> Result<Serial, Fault> {
        let mut bytes = [0; 16];
        self.provider.secure_random.fill(&mut bytes).map_err(|_| Fault::Random)?;
        Ok(Serial::from_random(bytes))
    }
}

/// For logs: nothing of what a Secret holds.
impl std::fmt::Debug for Fresh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fresh").field("lifetime", &self.lifetime).finish_non_exhaustive()
    }
}
