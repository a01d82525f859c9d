//! Lists of revoked certificates, read back with the parser.

use x509_parser::{parse_x509_certificate, parse_x509_crl};

use super::*;
use crate::fixture::{NOW, authority, serial};

#[test]
fn a_list_names_what_is_revoked_and_is_signed_by_the_authority() {
    let authority = authority();
    let revoked = [Revoked { serial: serial(9), since: NOW }, Revoked { serial: serial(10), since: NOW }];
    let text = revocation_list(&authority, &revoked, 4, NOW, Duration::hours(1)).unwrap();
    let blocks = pem::blocks(text.as_bytes()).unwrap();
    let (_, list) = parse_x509_crl(&blocks.first().unwrap().der).unwrap();
    let serials: Vec<&[u8]> = list.iter_revoked_certificates().map(|entry| entry.raw_serial()).collect();
    assert_eq!(serials, revoked.iter().map(|entry| entry.serial.bytes().as_slice()).collect::<Vec<_>>());
    assert_eq!(list.crl_number().unwrap().to_string(), "4");
    let path = authority.path();
    let (_, root) = parse_x509_certificate(path.first().unwrap()).unwrap();
    assert!(list.verify_signature(root.public_key()).is_ok());
    assert_eq!(list.next_update().unwrap().to_datetime(), NOW.replace_nanosecond(0).unwrap() + Duration::hours(1));
}

#[test]
fn a_list_without_bounds_is_refused() {
    let revoked = vec![Revoked { serial: serial(9), since: NOW }; REVOKED_MAX + 1];
    let refused = revocation_list(&authority(), &revoked, 1, NOW, Duration::hours(1));
    assert_eq!(refused, Err(RevocationError::TooMany(REVOKED_MAX + 1)));
}
