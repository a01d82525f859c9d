//! Private keys: made, read and written as PEM; wiped from memory when dropped and never printed.

use std::fmt;

use rcgen::{KeyPair, PublicKeyData, SignatureAlgorithm, SigningKey};
use rustls_pki_types::{PrivateKeyDer, pem::SectionKind};
use zeroize::{Zeroize as _, Zeroizing};

use crate::pem::{self, PemError};

/// Kinds of keys that certificates are made for and signed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyAlgorithm {
    /// ECDSA on the curve P-256: the default, small and fast.
    EcdsaP256,
    /// ECDSA on the curve P-384.
    EcdsaP384,
    /// RSA; 2048 bits when made here.
    Rsa,
    /// Ed25519.
    Ed25519,
}

impl KeyAlgorithm {
    fn signature(self) -> &'static SignatureAlgorithm {
        match self {
            Self::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            Self::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            Self::Rsa => &rcgen::PKCS_RSA_SHA256,
            Self::Ed25519 => &rcgen::PKCS_ED25519,
        }
    }

    /// The kind of key that `signature` is made with, if it is one of ours.
    pub(crate) fn of(signature: &SignatureAlgorithm) -> Option<Self> {
        [Self::EcdsaP256, Self::EcdsaP384, Self::Rsa, Self::Ed25519]
            .into_iter()
            .find(|algorithm| algorithm.signature() == signature)
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EcdsaP256 => "ECDSA P-256",
            Self::EcdsaP384 => "ECDSA P-384",
            Self::Rsa => "RSA",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// Why there is no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is not PEM.
    #[error(transparent)]
    Pem(#[from] PemError),
    /// The text holds no private key.
    #[error("holds no private key: a block PRIVATE KEY, EC PRIVATE KEY or RSA PRIVATE KEY is expected")]
    Missing,
    /// The key is protected by a passphrase.
    #[error("the private key is encrypted: decrypt it first, as with `openssl pkey`")]
    Encrypted,
    /// There are several keys.
    #[error("holds {0} private keys, one is expected")]
    Several(usize),
    /// The key is damaged or of a kind that is not used here.
    #[error(
        "the private key is damaged or of another kind than ECDSA P-256 or P-384, RSA of 2048 bits or more, or Ed25519"
    )]
    Unusable,
    /// The cryptographic library could not make a key.
    #[error("cannot make a key: {0}")]
    Generation(String),
}

/// A private key with its public half.
pub struct PrivateKey {
    pair: KeyPair,
    algorithm: KeyAlgorithm,
    /// How PEM calls the form in which the pair keeps its bytes.
    label: &'static str,
}

impl PrivateKey {
    /// Makes a key. The randomness is that of the cryptographic library.
    ///
    /// # Errors
    /// [`KeyError::Generation`], when the operating system has no randomness to give.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let pair = KeyPair::generate_for(algorithm.signature()).map_err(|e| KeyError::Generation(e.to_string()))?;
        Ok(Self { pair, algorithm, label: "PRIVATE KEY" })
    }

    /// Reads the one private key of a PEM text: PKCS#8, SEC1 or PKCS#1. Other blocks are left alone.
    ///
    /// # Errors
    /// Whatever is wrong with the text or the key.
    pub fn from_pem(text: &[u8]) -> Result<Self, KeyError> {
        let encrypted = text.windows(9).any(|window| window == b"ENCRYPTED");
        let blocks = pem::blocks(text).map_err(|error| if encrypted { KeyError::Encrypted } else { error.into() })?;
        let mut keys = blocks.into_iter().filter_map(|block| Some((label(block.kind)?, block.der)));
        let Some((label, der)) = keys.next() else {
            return Err(if encrypted { KeyError::Encrypted } else { KeyError::Missing });
        };
        let more = keys.count();
        if more > 0 {
            return Err(KeyError::Several(more + 1));
        }
        let key = PrivateKeyDer::try_from(der.as_slice()).map_err(|_| KeyError::Unusable)?;
        let pair = KeyPair::try_from(&key).map_err(|_| KeyError::Unusable)?;
        let algorithm = KeyAlgorithm::of(pair.algorithm()).ok_or(KeyError::Unusable)?;
        Ok(Self { pair, algorithm, label })
    }

    /// The key as PEM, for a Secret or a proxy; wiped from memory when dropped. A key made here is PKCS#8.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        pem::encode(self.label, self.pair.serialized_der())
    }

    /// The key as DER, for a listener of our own.
    #[must_use]
    pub fn to_der(&self) -> PrivateKeyDer<'static> {
        let der = self.pair.serialized_der().to_vec();
        match self.label {
            "EC PRIVATE KEY" => PrivateKeyDer::Sec1(der.into()),
            "RSA PRIVATE KEY" => PrivateKeyDer::Pkcs1(der.into()),
            _ => PrivateKeyDer::Pkcs8(der.into()),
        }
    }

    /// Its kind.
    #[must_use]
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The public half, as a SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn public_key(&self) -> Vec<u8> {
        self.pair.subject_public_key_info()
    }
}

fn label(kind: SectionKind) -> Option<&'static str> {
    let labels = [
        (SectionKind::PrivateKey, "PRIVATE KEY"),
        (SectionKind::EcPrivateKey, "EC PRIVATE KEY"),
        (SectionKind::RsaPrivateKey, "RSA PRIVATE KEY"),
    ];
    labels.into_iter().find(|(known, _)| *known == kind).map(|(_, label)| label)
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        // The library wipes its own form of the key when it frees it; this is the copy in DER.
        self.pair.zeroize();
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.algorithm)
    }
}

impl PublicKeyData for PrivateKey {
    fn der_bytes(&self) -> &[u8] {
        self.pair.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm.signature()
    }
}

impl SigningKey for PrivateKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.pair.sign(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_reads_back_as_it_was_written() {
        for algorithm in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa, KeyAlgorithm::Ed25519] {
            let key = PrivateKey::generate(algorithm).unwrap();
            let again = PrivateKey::from_pem(key.to_pem().replace('\n', "\r\n").as_bytes()).unwrap();
            assert_eq!((again.algorithm(), again.public_key()), (algorithm, key.public_key()));
            assert_eq!(again.to_pem(), key.to_pem());
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        assert_eq!(format!("{key:?}"), "PrivateKey(ECDSA P-256)");
    }

    #[test]
    fn what_is_not_one_key_is_refused_with_the_reason() {
        let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap().to_pem();
        let reason = |text: &str| PrivateKey::from_pem(text.as_bytes()).unwrap_err();
        assert_eq!(reason(""), KeyError::Missing);
        assert_eq!(reason(&pem::certificate(b"x")), KeyError::Missing);
        assert_eq!(reason(&pem::encode("ENCRYPTED PRIVATE KEY", b"x")), KeyError::Encrypted);
        let traditional =
            "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
        assert_eq!(reason(traditional), KeyError::Encrypted);
        assert_eq!(reason(&format!("{}{}", key.as_str(), key.as_str())), KeyError::Several(2));
        assert_eq!(reason(&pem::encode("PRIVATE KEY", b"x")), KeyError::Unusable);
        assert_eq!(reason(key.get(..60).unwrap()), KeyError::Pem(PemError::NoEnd(1)));
    }
}
