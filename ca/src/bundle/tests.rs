//! Bundles as PEM and as JWKS.

use super::*;
use crate::fixture::{NOW, authority, serial, trust_domain};
use crate::{Authority, KeyAlgorithm, PrivateKey};

fn root(algorithm: KeyAlgorithm) -> Authority {
    Authority::self_signed(&trust_domain(), PrivateKey::generate(algorithm).unwrap(), serial(3), NOW).unwrap()
}

#[test]
fn equal_roots_are_equal_bytes_in_any_order_and_number() {
    let (one, two) = (authority(), authority());
    let both = one.bundle().join(two.bundle()).unwrap();
    assert_eq!(both, two.bundle().join(one.bundle()).unwrap());
    assert_eq!(both.join(&both).unwrap(), both);
    let text = format!("{}{}{}", two.bundle().to_pem(), one.bundle().to_pem(), two.bundle().to_pem());
    assert_eq!(TrustBundle::from_pem(trust_domain(), text.as_bytes()).unwrap().to_pem(), both.to_pem());
    let expected = if one.root() < two.root() { [one.root(), two.root()] } else { [two.root(), one.root()] };
    assert_eq!(both.roots().map(|(fingerprint, _)| fingerprint).collect::<Vec<_>>(), expected);
}

#[test]
fn bundles_that_would_be_dangerous_are_refused() {
    assert_eq!(TrustBundle::from_pem(trust_domain(), b""), Err(BundleError::Empty));
    let (own, other) = (trust_domain(), TrustDomain::parse("other.example").unwrap());
    let foreign = TrustBundle::from_pem(other.clone(), authority().bundle().to_pem().as_bytes()).unwrap();
    assert_eq!(authority().bundle().join(&foreign), Err(BundleError::OtherTrustDomain { own, other }));
    let many: String = (0..=ROOTS_MAX).map(|_| authority().bundle().to_pem()).collect();
    assert_eq!(TrustBundle::from_pem(trust_domain(), many.as_bytes()), Err(BundleError::TooMany(ROOTS_MAX + 1)));
    let leaf = rcgen::CertificateParams::default().self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
    let error = BundleError::Root { number: 1, error: CertificateError::NotAuthority };
    assert_eq!(TrustBundle::new(trust_domain(), [leaf.der()]), Err(error));
}

#[test]
fn a_jwks_holds_one_key_of_each_root_as_spiffe_asks() {
    let kinds = [
        (KeyAlgorithm::EcdsaP256, "EC", "crv", "P-256"),
        (KeyAlgorithm::EcdsaP384, "EC", "crv", "P-384"),
        (KeyAlgorithm::Rsa, "RSA", "e", "AQAB"),
        (KeyAlgorithm::Ed25519, "OKP", "crv", "Ed25519"),
    ];
    for (algorithm, kty, field, value) in kinds {
        let authority = root(algorithm);
        let text = authority.bundle().to_jwks(7, 300).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&json["spiffe_sequence"], &json["spiffe_refresh_hint"]), (&json!(7), &json!(300)));
        let [key] = json["keys"].as_array().unwrap().as_slice() else { panic!("one key: {text}") };
        assert_eq!((&key["use"], &key["kty"], &key[field]), (&json!("x509-svid"), &json!(kty), &json!(value)));
        assert!(key.get("kid").is_none());
        let [certificate] = key["x5c"].as_array().unwrap().as_slice() else { panic!("one certificate: {text}") };
        let (_, root) = authority.bundle().roots().next().unwrap();
        assert_eq!(STANDARD.decode(certificate.as_str().unwrap()).unwrap(), root.to_vec());
    }
}

#[test]
fn a_fingerprint_has_one_text() {
    let fingerprint = Fingerprint::of(b"abc");
    let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(fingerprint.to_string(), text);
    assert_eq!(Fingerprint::try_from(text.to_owned()), Ok(fingerprint));
    for wrong in [String::new(), text.to_uppercase(), format!("+{}", &text[1..]), text.replace("ba", "é")] {
        assert!(Fingerprint::try_from(wrong.clone()).is_err(), "{wrong}");
    }
}
