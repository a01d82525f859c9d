//! What stands in certificates, read back with the parser; that other implementations take them is shown in `tests/`.

use proptest::prelude::*;
use rcgen::{BasicConstraints, KeyPair};
use time::Duration;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, oid_registry, parse_x509_certificate};

use super::*;
use crate::certificate::CertificateError;
use crate::csr::AcceptedKeys;
use crate::fixture::{NOW, authority, request, request_der, terms};
use crate::terms::LIFETIME_DEFAULT;

fn workload() -> Workload {
    Workload::new("spiffe://cluster.local/ns/default/sa/bookinfo-reviews".parse().unwrap())
}

fn parse<'a>(der: &'a CertificateDer<'static>) -> X509Certificate<'a> {
    let (rest, parsed) = parse_x509_certificate(der).unwrap();
    assert!(rest.is_empty());
    parsed
}

fn uri_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    let uri = |name: &GeneralName<'_>| {
        if let GeneralName::URI(uri) = name { (*uri).to_owned() } else { format!("not an URI: {name:?}") }
    };
    names.value.general_names.iter().map(uri).collect()
}

/// The profile of <https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md>, rule by rule.
fn check_profile(certificate: &X509Certificate<'_>, identity: &SpiffeId) {
    assert_eq!(uri_names(certificate), [identity.to_string()], "exactly one URI name, and no other name");
    let basic = certificate.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && !basic.value.ca);
    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.digital_signature());
    assert!(!usage.value.key_cert_sign() && !usage.value.crl_sign());
    let extended = certificate.extended_key_usage().unwrap().unwrap();
    assert!(extended.value.server_auth && extended.value.client_auth && !extended.value.any);
    let no_subject = certificate.subject().iter().next().is_none();
    assert_eq!(certificate.subject_alternative_name().unwrap().unwrap().critical, no_subject);
    let known = [
        oid_registry::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER,
        oid_registry::OID_X509_EXT_SUBJECT_KEY_IDENTIFIER,
        oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME,
        oid_registry::OID_X509_EXT_KEY_USAGE,
        oid_registry::OID_X509_EXT_EXTENDED_KEY_USAGE,
        oid_registry::OID_X509_EXT_BASIC_CONSTRAINTS,
    ];
    assert_eq!(certificate.extensions().len(), known.len());
    assert!(certificate.extensions().iter().all(|extension| known.contains(&extension.oid)), "nothing else");
}

#[test]
fn a_leaf_is_an_svid_of_the_caller() {
    let authority = authority();
    let issued = sign(&authority, &request(), &workload(), terms(7)).unwrap();
    let leaf = parse(&issued.leaf);
    check_profile(&leaf, workload().identity());
    assert!(leaf.subject().iter().next().is_none(), "no labels were given");
    assert_eq!(leaf.raw_serial(), terms(7).serial.bytes());
    assert_eq!(leaf.validity().not_before.to_datetime(), NOW.replace_nanosecond(0).unwrap() - BACK_DATE);
    assert_eq!(leaf.validity().not_after.to_datetime(), NOW.replace_nanosecond(0).unwrap() + LIFETIME_DEFAULT);
    assert_eq!(
        (issued.not_before, issued.not_after),
        (leaf.validity().not_before.to_datetime(), leaf.validity().not_after.to_datetime(),)
    );
    assert_eq!(issued.presented().count(), 1, "the root is not presented");
    assert_eq!(issued.response().len(), 2, "but it is in Istio's answer");
}

#[test]
fn the_subject_holds_what_the_pod_says() {
    let labelled = workload().with_labels("reviews-v3", "reviews", "v3");
    let issued = sign(&authority(), &request(), &labelled, terms(7)).unwrap();
    let leaf = parse(&issued.leaf);
    check_profile(&leaf, workload().identity());
    let subject: Vec<(String, &str)> = leaf
        .subject()
        .iter_attributes()
        .map(|attribute| (attribute.attr_type().to_id_string(), attribute.as_str().unwrap()))
        .collect();
    let subject: Vec<(&str, &str)> = subject.iter().map(|(kind, text)| (kind.as_str(), *text)).collect();
    assert_eq!(
        subject,
        [("2.5.4.10", "default"), ("2.5.4.11", "reviews"), ("2.5.4.3", "reviews-v3"), ("2.5.4.44", "v3")]
    );
}

#[test]
fn texts_that_do_not_belong_in_a_subject_are_left_out() {
    let long = "a".repeat(SUBJECT_TEXT_LEN_MAX + 1);
    let labelled = workload().with_labels(&long, "a,O=admin", "");
    assert_eq!(labelled.labels, [(DnType::OrganizationName, "default".to_owned())]);
}

#[test]
fn lifetimes_are_bounded() {
    let authority = authority();
    let granted = |lifetime: Duration| {
        let issued = sign(&authority, &request(), &workload(), Terms { lifetime, ..terms(7) }).unwrap();
        issued.not_after - NOW.replace_nanosecond(0).unwrap()
    };
    assert_eq!(granted(Duration::hours(1)), Duration::hours(1));
    assert_eq!(granted(Duration::ZERO), LIFETIME_MIN);
    assert_eq!(granted(Duration::hours(-5)), LIFETIME_MIN);
    assert_eq!(granted(Duration::MAX), LIFETIME_MAX);
}

#[test]
fn a_leaf_ends_with_its_authority_and_an_expired_authority_signs_nothing() {
    let authority = authority();
    let end = authority.not_after();
    let at = |now| sign(&authority, &request(), &workload(), Terms { now, ..terms(7) });
    assert_eq!(at(end - Duration::hours(1)).unwrap().not_after, end);
    assert_eq!(at(end).unwrap_err(), SignError::Authority(CertificateError::Expired(end)));
    assert!(matches!(
        at(NOW - Duration::hours(1)).unwrap_err(),
        SignError::Authority(CertificateError::NotYetValid(_))
    ));
}

#[test]
fn a_listener_is_known_by_its_dns_names() {
    let key = PrivateKey::generate(crate::KeyAlgorithm::EcdsaP256).unwrap();
    let names = service_names("mainsheet", "istio-system", "cluster.local");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let issued = sign_server(&authority(), &key, &names, terms(7)).unwrap();
    let certificate = parse(&issued.leaf);
    let written = certificate.subject_alternative_name().unwrap().unwrap();
    let expected: Vec<GeneralName<'_>> = names.iter().map(|name| GeneralName::DNSName(name)).collect();
    assert_eq!(written.value.general_names, expected);
    let extended = certificate.extended_key_usage().unwrap().unwrap();
    assert!(extended.value.server_auth && !extended.value.client_auth, "a listener is not a client");
    let refused = |names: &[&str]| sign_server(&authority(), &key, names, terms(7)).unwrap_err();
    assert_eq!(refused(&[]), SignError::Names(0));
    assert_eq!(refused(&["a"; SERVER_NAMES_MAX + 1]), SignError::Names(SERVER_NAMES_MAX + 1));
    assert_eq!(refused(&["a b"]), SignError::Name("a b".to_owned()));
}

#[test]
fn serials_are_positive_and_keep_their_randomness() {
    for bytes in [[0; 16], [0xff; 16], [0x80; 16]] {
        let serial = Serial::from_random(bytes);
        assert_eq!(serial.bytes().first().unwrap() & 0xc0, 0x40);
        assert_eq!(serial.bytes().get(1..), bytes.get(1..));
    }
}

/// Whatever a request may ask for.
fn wishes() -> impl Strategy<Value = CertificateParams> {
    let names = prop::collection::vec(
        prop_oneof![
            "[a-z]{1,10}(\\.[a-z]{1,10}){0,3}".prop_map(|name| SanType::DnsName(name.as_str().try_into().unwrap())),
            "spiffe://[a-z.]{1,20}/ns/[a-z-]{1,20}/sa/[a-z]{1,20}"
                .prop_map(|name| SanType::URI(name.as_str().try_into().unwrap())),
            "[a-z]{1,9}@[a-z]{1,9}".prop_map(|name| SanType::Rfc822Name(name.as_str().try_into().unwrap())),
            any::<[u8; 4]>().prop_map(|address| SanType::IpAddress(address.into())),
        ],
        0..6,
    );
    let subject = prop::collection::vec(("[ -~]{0,40}", 0..4_u8), 0..4);
    let extensions = prop::collection::vec((1..200_u64, prop::collection::vec(any::<u8>(), 0..30)), 0..4);
    (names, subject, extensions, any::<(bool, bool, bool)>()).prop_map(
        |(names, subject, extensions, (ca, sign, any))| {
            let mut params = CertificateParams::default();
            params.subject_alt_names = names;
            for (text, kind) in subject {
                let kind = match kind {
                    0 => DnType::CommonName,
                    1 => DnType::OrganizationName,
                    2 => DnType::OrganizationalUnitName,
                    _ => DnType::CustomDnType(GENERATION_QUALIFIER.to_vec()),
                };
                params.distinguished_name.push(kind, text);
            }
            params.custom_extensions = extensions
                .into_iter()
                .map(|(arc, content)| {
                    rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, arc], content)
                })
                .collect();
            if ca {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
            if sign {
                params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
            }
            if any {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any, ExtendedKeyUsagePurpose::CodeSigning];
            }
            params
        },
    )
}

proptest! {
    #[test]
    fn nothing_that_a_request_asks_for_reaches_the_certificate(wishes in wishes()) {
        let (authority, key) = (authority(), KeyPair::generate().unwrap());
        let plain = CertificateParams::default();
        let signed = |params: &CertificateParams| {
            let request = VerifiedRequest::from_der(&request_der(&key, params), AcceptedKeys::default()).unwrap();
            sign(&authority, &request, &workload().with_labels("a", "b", "c"), terms(7)).unwrap()
        };
        let (wished, plain) = (signed(&wishes), signed(&plain));
        let (wished, plain) = (parse(&wished.leaf), parse(&plain.leaf));
        check_profile(&wished, workload().identity());
        // Equal but for the signature, which is random: the wishes made no difference at all.
        prop_assert_eq!(wished.tbs_certificate.as_ref(), plain.tbs_certificate.as_ref());
    }

    #[test]
    fn any_identity_stands_in_its_certificate_alone(namespace in "[a-zA-Z0-9._-]{1,63}", account in "[a-zA-Z0-9._-]{1,253}") {
        let domain = crate::fixture::trust_domain();
        prop_assume!(![".", ".."].contains(&namespace.as_str()) && ![".", ".."].contains(&account.as_str()));
        let identity = SpiffeId::new(domain, &namespace, &account).unwrap();
        let issued = sign(&authority(), &request(), &Workload::new(identity.clone()), terms(7)).unwrap();
        check_profile(&parse(&issued.leaf), &identity);
    }
}
