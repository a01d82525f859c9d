//! How fast requests become certificates, beside the signing library alone:
//! `cargo test -p ca --release --test speed -- --ignored --nocapture` on a quiet machine.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use ca::{
    AcceptedKeys, Authority, KeyAlgorithm, PrivateKey, Serial, Terms, TrustDomain, VerifiedRequest, Workload, sign,
};
use rcgen::{CertificateParams, CertificateSigningRequestParams, Issuer, KeyPair};
use time::OffsetDateTime;

const ROUNDS: u32 = 5;
const ROUND: Duration = Duration::from_secs(1);

/// Microseconds for one call.
fn cost_us(call: impl Fn()) -> f64 {
    let (start, mut calls) = (Instant::now(), 0_u32);
    while start.elapsed() < ROUND {
        for _ in 0..100 {
            call();
        }
        calls += 100;
    }
    start.elapsed().as_secs_f64() * 1e6 / f64::from(calls)
}

#[test]
#[ignore = "measures; run it alone and in a release build"]
fn a_request_becomes_a_certificate() {
    let now = OffsetDateTime::now_utc();
    let domain = TrustDomain::parse("cluster.local").unwrap();
    let key = PrivateKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let authority = Authority::self_signed(&domain, key, Serial::from_random([1; 16]), now).unwrap();
    let workload = Workload::new("spiffe://cluster.local/ns/default/sa/reviews".parse().unwrap()).with_labels(
        "reviews-v1",
        "reviews",
        "v1",
    );
    let csr = CertificateParams::default().serialize_request(&KeyPair::generate().unwrap()).unwrap();
    let pem = csr.pem().unwrap();
    let terms = Terms { now, lifetime: time::Duration::hours(24), serial: Serial::from_random([2; 16]) };
    let issuer = Issuer::new(CertificateParams::default(), KeyPair::generate().unwrap());
    let ours = || {
        let request = VerifiedRequest::from_pem(pem.as_bytes(), AcceptedKeys::default()).unwrap();
        black_box(sign(&authority, &request, &workload, terms).unwrap().response());
    };
    let floor = || {
        let request = CertificateSigningRequestParams::from_der(csr.der()).unwrap();
        black_box(request.signed_by(&issuer).unwrap());
    };
    // By turns, and the best of each: whatever else the machine does slows both.
    let best =
        (0..ROUNDS).fold((f64::MAX, f64::MAX), |best, _| (best.0.min(cost_us(ours)), best.1.min(cost_us(floor))));
    let (ours, floor) = best;
    println!("ours  {ours:6.1} us  {:6.0}/s  request in PEM to the chain in PEM", 1e6 / ours);
    println!("floor {floor:6.1} us  {:6.0}/s  rcgen alone, DER to DER", 1e6 / floor);
    println!("ours / floor in certificates per second: {:.2}", floor / ours);
}
