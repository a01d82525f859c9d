//! Requests that are taken, and every reason to refuse one.

use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::fixture::{ALL_KEYS, request_der};

fn of_kind(algorithm: &'static rcgen::SignatureAlgorithm) -> Vec<u8> {
    request_der(&KeyPair::generate_for(algorithm).unwrap(), &CertificateParams::default())
}

#[test]
fn each_kind_of_key_is_taken_as_configured() {
    let kinds = [
        (&rcgen::PKCS_ECDSA_P256_SHA256, KeyAlgorithm::EcdsaP256),
        (&rcgen::PKCS_ECDSA_P384_SHA384, KeyAlgorithm::EcdsaP384),
        (&rcgen::PKCS_RSA_SHA256, KeyAlgorithm::Rsa),
        (&rcgen::PKCS_RSA_SHA512, KeyAlgorithm::Rsa),
        (&rcgen::PKCS_ED25519, KeyAlgorithm::Ed25519),
    ];
    for (signature, algorithm) in kinds {
        let der = of_kind(signature);
        assert_eq!(VerifiedRequest::from_der(&der, ALL_KEYS).map(|request| request.algorithm()), Ok(algorithm));
        let by_default = VerifiedRequest::from_der(&der, AcceptedKeys::default());
        if algorithm == KeyAlgorithm::EcdsaP256 {
            assert!(by_default.is_ok());
        } else {
            assert_eq!(by_default, Err(RequestError::KeyNotAccepted(algorithm)));
        }
    }
}

#[test]
fn a_request_in_pem_is_taken_whatever_its_line_endings() {
    let text = pem::encode("CERTIFICATE REQUEST", &of_kind(&rcgen::PKCS_ECDSA_P256_SHA256));
    let take = |text: &str| VerifiedRequest::from_pem(text.as_bytes(), AcceptedKeys::default());
    assert!(take(&text).is_ok());
    assert!(take(&format!("\u{feff}{}\n\n", text.replace('\n', "\r\n"))).is_ok());
    assert_eq!(take(&text.repeat(2)), Err(RequestError::NotOne(2)));
    assert_eq!(take("hello"), Err(RequestError::NotOne(0)));
    assert_eq!(take(text.get(..100).unwrap()), Err(RequestError::Pem(PemError::NoEnd(1))));
}

#[test]
fn what_is_not_a_sound_request_is_refused_with_the_reason() {
    let take = |der: &[u8]| VerifiedRequest::from_der(der, ALL_KEYS);
    let good = of_kind(&rcgen::PKCS_ECDSA_P256_SHA256);
    assert_eq!(take(&[]), Err(RequestError::Empty));
    assert_eq!(take(&[0x30; REQUEST_LEN_MAX + 1]), Err(RequestError::TooLong(REQUEST_LEN_MAX + 1)));
    assert_eq!(take(b"not DER"), Err(RequestError::Malformed));
    assert_eq!(take(&[good.as_slice(), b"xy"].concat()), Err(RequestError::Trailing(2)));
    let other_curve = of_kind(&rcgen::PKCS_ECDSA_P521_SHA512);
    assert!(matches!(take(&other_curve), Err(RequestError::UnknownKey(_) | RequestError::SignatureMethod(_))));
}

/// Someone else's public key in a request that is signed with one's own: the signature must not fit.
#[test]
fn a_key_that_the_sender_does_not_hold_is_refused() {
    let (own, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut der = request_der(&own, &CertificateParams::default());
    let (own, other) = (own.public_key_raw().to_vec(), other.public_key_raw().to_vec());
    let place = der.windows(own.len()).position(|window| window == own).unwrap();
    der.splice(place..place + own.len(), other);
    assert_eq!(VerifiedRequest::from_der(&der, ALL_KEYS), Err(RequestError::Signature));
}

#[test]
fn a_compressed_point_is_refused() {
    let key = KeyPair::generate().unwrap();
    let mut der = request_der(&key, &CertificateParams::default());
    let place = der.windows(65).position(|window| window == key.public_key_raw()).unwrap();
    if let Some(form) = der.get_mut(place) {
        *form = 3;
    }
    assert_eq!(VerifiedRequest::from_der(&der, ALL_KEYS), Err(RequestError::Point));
}

/// Made with `openssl req -newkey rsa:BITS -DIGEST`: the library here makes no such keys.
#[test]
fn weak_rsa_and_sha1_are_refused() {
    let take = |text: &[u8]| VerifiedRequest::from_pem(text, ALL_KEYS);
    assert_eq!(take(include_bytes!("testdata/rsa1024.pem")), Err(RequestError::RsaLength(1024)));
    assert_eq!(take(include_bytes!("testdata/rsa2047.pem")), Err(RequestError::RsaLength(2047)));
    assert_eq!(take(include_bytes!("testdata/rsa8192.pem")), Err(RequestError::RsaLength(8192)));
    let sha1 = Err(RequestError::SignatureMethod("1.2.840.113549.1.1.5".to_owned()));
    assert_eq!(take(include_bytes!("testdata/sha1.pem")), sha1);
    assert!(matches!(take(include_bytes!("testdata/dsa.pem")), Err(RequestError::UnknownKey(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_verification_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(VerifiedRequest::from_der(&bytes, ALL_KEYS).is_err());
        prop_assert!(VerifiedRequest::from_pem(&bytes, ALL_KEYS).is_err());
    }

    /// What is under the signature cannot be changed, and the wrapping around it, which the parser takes in some other forms too,
    /// cannot change the key.
    #[test]
    fn a_changed_request_never_proves_another_key(place in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let mut der = of_kind(&rcgen::PKCS_ECDSA_P256_SHA256);
        let original = VerifiedRequest::from_der(&der, ALL_KEYS);
        let place = place.index(der.len());
        if let Some(byte) = der.get_mut(place) {
            *byte ^= change;
        }
        let changed = VerifiedRequest::from_der(&der, ALL_KEYS);
        prop_assert!(changed.is_err() || changed == original);
    }
}
