//! PEM text to DER and back: byte order marks, line endings and text between the blocks do not matter.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls_pki_types::pem::{Error, PemObject as _, SectionKind};
use zeroize::Zeroizing;

/// Longest PEM text that is read, in bytes: a bundle of a hundred large certificates.
pub(crate) const PEM_LEN_MAX: usize = 256 * 1024;
/// Most blocks in one PEM text.
pub(crate) const BLOCKS_MAX: usize = 128;

const BYTE_ORDER_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
const LINE_LEN: usize = 64;

/// What is wrong with a PEM text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// Longer than is read.
    #[error("is {0} bytes long, at most {PEM_LEN_MAX} are read")]
    TooLong(usize),
    /// More blocks than are read.
    #[error("holds more than {BLOCKS_MAX} blocks")]
    TooMany,
    /// A block does not end.
    #[error("block {0} has no end line: the text was cut off")]
    NoEnd(usize),
    /// A begin line is malformed.
    #[error("the begin line of block {0} is malformed")]
    BeginLine(usize),
    /// A block's content is not base64.
    #[error("block {0} is not base64")]
    Base64(usize),
}

/// A block: what its begin line says it is, and its content as DER, which is wiped from memory when dropped.
pub(crate) struct Block {
    pub(crate) kind: SectionKind,
    pub(crate) der: Zeroizing<Vec<u8>>,
}

/// The blocks of `text` in order; blocks with names that have nothing to do with certificates are left out.
pub(crate) fn blocks(text: &[u8]) -> Result<Vec<Block>, PemError> {
    if text.len() > PEM_LEN_MAX {
        return Err(PemError::TooLong(text.len()));
    }
    let text = without_marks(text);
    let mut blocks = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&text) {
        let number = blocks.len() + 1;
        let (kind, der) = section.map_err(|error| {
            if matches!(error, Error::MissingSectionEnd { .. }) {
                PemError::NoEnd(number)
            } else if matches!(error, Error::IllegalSectionStart { .. }) {
                PemError::BeginLine(number)
            } else {
                PemError::Base64(number)
            }
        })?;
        if number > BLOCKS_MAX {
            return Err(PemError::TooMany);
        }
        blocks.push(Block { kind, der: Zeroizing::new(der) });
    }
    Ok(blocks)
}

/// Files written by editors begin with a byte order mark, and files put together from such files hold some in the middle.
fn without_marks(text: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut clean = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(BYTE_ORDER_MARK) {
            rest = after;
        } else {
            clean.push(*first);
            rest = tail;
        }
    }
    clean
}

/// One block of PEM that ends with a newline. The text is wiped when dropped, since it may hold a key.
pub(crate) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let base64 = Zeroizing::new(STANDARD.encode(der));
    // Reserved at once: growing would leave copies of a key behind.
    let mut text = Zeroizing::new(String::with_capacity(base64.len() + base64.len() / LINE_LEN + 2 * label.len() + 40));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    let mut rest = base64.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(LINE_LEN));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// A certificate as PEM.
pub(crate) fn certificate(der: &[u8]) -> String {
    encode("CERTIFICATE", der).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contents(text: &[u8]) -> Result<Vec<Vec<u8>>, PemError> {
        Ok(blocks(text)?.into_iter().map(|block| block.der.to_vec()).collect())
    }

    #[test]
    fn marks_line_endings_and_remarks_do_not_matter() {
        let (one, two) = (certificate(&[1; 100]), certificate(&[2; 48]));
        let expected = Ok(vec![vec![1; 100], vec![2; 48]]);
        assert_eq!(contents(format!("{one}{two}").as_bytes()), expected);
        assert_eq!(contents(format!("{one}{two}\n\n  \n").as_bytes()), expected, "trailing newlines");
        assert_eq!(contents(format!("{}{}", one, two.trim_end()).as_bytes()), expected, "no newline at the end");
        assert_eq!(contents(format!("{one}{two}").replace('\n', "\r\n").as_bytes()), expected, "CRLF");
        assert_eq!(contents(format!("\u{feff}{one}\u{feff}{two}").as_bytes()), expected, "marks");
        assert_eq!(contents(format!("subject=/CN=a\n{one}# b\n{two}").as_bytes()), expected, "remarks");
        assert_eq!(contents(format!("{}{one}{two}", encode("DH PARAMETERS", b"x").as_str()).as_bytes()), expected);
    }

    #[test]
    fn what_is_broken_is_named() {
        let one = certificate(&[1; 100]);
        let cut = one.get(..80).unwrap();
        assert_eq!(contents(format!("{one}{cut}").as_bytes()), Err(PemError::NoEnd(2)));
        assert_eq!(contents(one.replace("AQEB", "A?EB").as_bytes()), Err(PemError::Base64(1)));
        assert_eq!(contents(one.replacen("ATE-----", "ATE----", 1).as_bytes()), Err(PemError::BeginLine(1)));
        assert_eq!(contents(&vec![b'a'; PEM_LEN_MAX + 1]), Err(PemError::TooLong(PEM_LEN_MAX + 1)));
        assert_eq!(contents(certificate(&[]).repeat(BLOCKS_MAX + 1).as_bytes()), Err(PemError::TooMany));
    }

    proptest! {
        #[test]
        fn any_content_comes_back(der in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(contents(certificate(&der).as_bytes()), Ok(vec![der]));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = contents(&text);
            let _ = contents(&[b"-----BEGIN CERTIFICATE-----\n".as_slice(), &text].concat());
        }
    }
}
