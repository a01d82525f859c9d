//! Roots made here, and authorities read from the files of a Secret: in every form that is taken, and every reason to refuse.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rcgen::{Certificate, KeyPair};
use x509_parser::parse_x509_certificate;

use super::*;
use crate::certificate::CertificateError;
use crate::fixture::{NOW, authority, authority_params, request, terms, trust_domain};
use crate::key::KeyError;
use crate::pem::PemError;
use crate::sign::{Workload, sign};

/// A root, an intermediate below it, and a signing authority below that.
struct Chain {
    root: Certificate,
    intermediate: Certificate,
    signing: Certificate,
    key: KeyPair,
}

fn chain_of(change: impl Fn(&str, &mut CertificateParams)) -> Chain {
    let params = |name: &str| {
        let mut params = authority_params(name);
        change(name, &mut params);
        params
    };
    let (root_key, intermediate_key, key) = (pair(), pair(), pair());
    let root = params("root").self_signed(&root_key).unwrap();
    let above = Issuer::new(params("root"), root_key);
    let intermediate = params("intermediate").signed_by(&intermediate_key, &above).unwrap();
    let above = Issuer::new(params("intermediate"), intermediate_key);
    let signing = params("signing").signed_by(&key, &above).unwrap();
    Chain { root, intermediate, signing, key }
}

fn chain() -> Chain {
    chain_of(|_, _| ())
}

fn pair() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn load(files: &[(&str, String)]) -> Result<Authority, AuthorityError> {
    let data: BTreeMap<String, Vec<u8>> =
        files.iter().map(|(name, text)| ((*name).to_owned(), text.clone().into_bytes())).collect();
    Authority::load(&AuthorityFiles::find(&data)?, &trust_domain(), NOW)
}

fn cacerts(chain: &Chain) -> Vec<(&'static str, String)> {
    vec![
        ("ca-cert.pem", chain.signing.pem()),
        ("ca-key.pem", chain.key.serialize_pem()),
        ("cert-chain.pem", chain.intermediate.pem()),
        ("root-cert.pem", chain.root.pem()),
    ]
}

fn with(files: &[(&'static str, String)], name: &'static str, text: String) -> Vec<(&'static str, String)> {
    files.iter().map(|(known, old)| (*known, if *known == name { text.clone() } else { old.clone() })).collect()
}

fn ders(authority: &Authority) -> Vec<Vec<u8>> {
    authority.path().iter().map(|der| der.to_vec()).collect()
}

#[test]
fn a_root_made_here_is_an_authority_of_its_trust_domain_and_no_leaf() {
    let authority = authority();
    let root = authority.path().first().unwrap().clone();
    let (_, parsed) = parse_x509_certificate(&root).unwrap();
    let basic = parsed.basic_constraints().unwrap().unwrap();
    assert!(basic.critical && basic.value.ca && basic.value.path_len_constraint == Some(0));
    let usage = parsed.key_usage().unwrap().unwrap();
    assert!(
        usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign() && !usage.value.digital_signature()
    );
    let names = parsed.subject_alternative_name().unwrap().unwrap();
    assert_eq!(names.value.general_names, [x509_parser::extensions::GeneralName::URI("spiffe://cluster.local")]);
    assert!(parsed.extended_key_usage().unwrap().is_none());
    assert!(parsed.verify_signature(None).is_ok());
    assert_eq!(parsed.validity().not_after.to_datetime() - NOW.replace_nanosecond(0).unwrap(), ROOT_LIFETIME);
}

#[test]
fn a_root_made_here_comes_back_from_its_files() {
    let made = authority();
    let again = load(&[
        ("ca-cert.pem", made.certificate_pem()),
        ("ca-key.pem", made.key().to_pem().to_string()),
        ("root-cert.pem", made.bundle().to_pem()),
    ])
    .unwrap();
    assert_eq!((again.root(), ders(&again), again.not_after()), (made.root(), ders(&made), made.not_after()));
    assert!(!format!("{again:?}").contains("PRIVATE"));
}

#[test]
fn files_are_taken_in_istios_and_in_kubernetes_names() {
    let chain = chain();
    let expected = vec![chain.signing.der().to_vec(), chain.intermediate.der().to_vec(), chain.root.der().to_vec()];
    let istio = load(&cacerts(&chain)).unwrap();
    assert_eq!(ders(&istio), expected);
    let tls = [
        ("tls.crt", format!("{}{}", chain.signing.pem(), chain.intermediate.pem())),
        ("tls.key", chain.key.serialize_pem()),
        ("ca.crt", chain.root.pem()),
    ];
    assert_eq!(ders(&load(&tls).unwrap()), expected);
    let all_in_one = format!("{}{}{}", chain.signing.pem(), chain.intermediate.pem(), chain.root.pem());
    let tls = [("tls.crt", all_in_one), ("tls.key", chain.key.serialize_pem())];
    assert_eq!(ders(&load(&tls).unwrap()), expected, "the root is found in tls.crt");
}

#[test]
fn leaves_of_an_intermediate_come_with_the_path_to_the_root() {
    let chain = chain();
    let authority = load(&cacerts(&chain)).unwrap();
    let workload = Workload::new("spiffe://cluster.local/ns/a/sa/b".parse().unwrap());
    let issued = sign(&authority, &request(), &workload, terms(7)).unwrap();
    assert_eq!(issued.presented().count(), 3, "leaf, signing authority, intermediate");
    assert_eq!(issued.response().last().unwrap(), &authority.bundle().to_pem());
}

#[test]
fn the_form_of_the_files_does_not_matter() {
    let chain = chain();
    let files = cacerts(&chain);
    let expected = ders(&load(&files).unwrap());
    let all = format!("{}{}{}", chain.root.pem(), chain.intermediate.pem(), chain.signing.pem());
    let stranger = chain_of(|_, _| ()).root.pem();
    type Change = fn(&str) -> String;
    let forms: [(&str, Change); 4] = [
        ("trailing newlines", |text| format!("{text}\n\n")),
        ("no newline at the end", |text| text.trim_end().to_owned()),
        ("CRLF", |text| text.replace('\n', "\r\n")),
        ("byte order mark", |text| format!("\u{feff}{text}")),
    ];
    for (form, change) in forms {
        let changed: Vec<_> = files.iter().map(|(name, text)| (*name, change(text))).collect();
        assert_eq!(load(&changed).map(|authority| ders(&authority)), Ok(expected.clone()), "{form}");
    }
    let orders = [
        ("the whole chain in each file", vec![("ca-cert.pem", &all), ("cert-chain.pem", &all)]),
        ("several roots, one a stranger", vec![("root-cert.pem", &stranger)]),
    ];
    for (order, changes) in orders {
        let mut changed = files.clone();
        for (name, text) in changes {
            let old = files.iter().find(|(known, _)| *known == name).map(|(_, text)| text.clone()).unwrap();
            changed = with(&changed, name, format!("{text}{old}"));
        }
        assert_eq!(load(&changed).map(|authority| ders(&authority)), Ok(expected.clone()), "{order}");
    }
}

#[test]
fn files_that_do_not_fit_are_refused_with_the_exact_reason() {
    let chain = chain();
    let files = cacerts(&chain);
    let refused = |name: &'static str, text: String| load(&with(&files, name, text)).unwrap_err();
    let missing = |name: &str| {
        let rest: Vec<_> = files.iter().filter(|(known, _)| *known != name).cloned().collect();
        load(&rest).map(|_| ())
    };
    assert_eq!(missing("ca-key.pem"), Err(AuthorityError::Missing("ca-key.pem")));
    assert_eq!(missing("root-cert.pem"), Err(AuthorityError::Missing("root-cert.pem")));
    assert_eq!(refused("ca-cert.pem", String::new()), AuthorityError::NoCertificate("ca-cert.pem"));
    let cut = chain.root.pem().get(..90).unwrap().to_owned();
    assert_eq!(refused("root-cert.pem", cut), AuthorityError::Pem { file: "root-cert.pem", error: PemError::NoEnd(1) });
    assert_eq!(
        refused("ca-key.pem", chain.root.pem()),
        AuthorityError::Key { file: "ca-key.pem", error: KeyError::Missing }
    );
    let mismatch = AuthorityError::KeyMismatch { certificate: "ca-cert.pem", key: "ca-key.pem" };
    assert_eq!(refused("ca-key.pem", pair().serialize_pem()), mismatch);
    assert_eq!(refused("ca-cert.pem", chain.root.pem()), mismatch);
    let no_path = AuthorityError::NoPath { certificate: "ca-cert.pem", roots: "root-cert.pem" };
    assert_eq!(missing("cert-chain.pem"), Err(no_path.clone()));
    assert_eq!(refused("root-cert.pem", chain_of(|_, _| ()).root.pem()), no_path);
    let leaf = CertificateParams::default().self_signed(&pair()).unwrap();
    let error = CertificateError::NotAuthority;
    let not_authority = AuthorityError::Certificate { file: "cert-chain.pem", number: 2, error };
    assert_eq!(refused("cert-chain.pem", format!("{}{}", chain.intermediate.pem(), leaf.pem())), not_authority);
}

#[test]
fn certificates_that_may_not_sign_are_refused_with_the_exact_reason() {
    let of = |change: fn(&str, &mut CertificateParams)| load(&cacerts(&chain_of(change))).map(|_| ()).unwrap_err();
    let own = |error| AuthorityError::Certificate { file: "ca-cert.pem", number: 1, error };
    let past = NOW.replace_nanosecond(0).unwrap() - Duration::hours(1);
    let expired = of(|name, params| {
        if name == "signing" {
            params.not_after = NOW - Duration::hours(1);
        }
    });
    assert_eq!(expired, own(CertificateError::Expired(past)));
    let no_sign = of(|name, params| {
        if name == "signing" {
            params.key_usages = vec![KeyUsagePurpose::CrlSign];
        }
    });
    assert_eq!(no_sign, own(CertificateError::NoCertSign));
    let root_expired = of(|name, params| {
        if name == "root" {
            params.not_after = NOW - Duration::hours(1);
        }
    });
    assert_eq!(root_expired, AuthorityError::NoPath { certificate: "ca-cert.pem", roots: "root-cert.pem" });
    let too_long = of(|name, params| {
        if name == "root" {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(1));
        }
    });
    assert_eq!(too_long, AuthorityError::PathLength("ca-cert.pem"));
}

#[test]
fn a_path_lives_as_long_as_its_shortest_part() {
    let end = NOW.replace_nanosecond(0).unwrap() + Duration::hours(2);
    let chain = chain_of(|name, params| {
        if name == "intermediate" {
            params.not_after = NOW + Duration::hours(2);
        }
    });
    assert_eq!(load(&cacerts(&chain)).unwrap().not_after(), end);
}

/// A subject with an attribute twice, like the domain components of many corporate authorities: the signing library would lose one.
#[test]
fn a_subject_that_cannot_be_repeated_is_refused_and_not_signed_for() {
    let chain = chain_of(|_, params| {
        params.distinguished_name.push(DnType::OrganizationalUnitName, "security");
        params.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 11]), "mesh");
    });
    assert_eq!(load(&cacerts(&chain)).map(|_| ()), Err(AuthorityError::Subject("ca-cert.pem")));
}

proptest! {
    #[test]
    fn no_file_makes_the_reader_panic(
        which in 0..4_usize, place in any::<prop::sample::Index>(), garbage in prop::collection::vec(any::<u8>(), 0..50)
    ) {
        let chain = chain();
        let mut data: Vec<(&str, Vec<u8>)> =
            cacerts(&chain).into_iter().map(|(name, text)| (name, text.into_bytes())).collect();
        if let Some((_, text)) = data.get_mut(which) {
            let place = place.index(text.len());
            let end = (place + garbage.len()).min(text.len());
            text.splice(place..end, garbage);
        }
        let data: BTreeMap<String, Vec<u8>> = data.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        let _ = Authority::load(&AuthorityFiles::find(&data).unwrap(), &trust_domain(), NOW);
    }
}
