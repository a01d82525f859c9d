//! Reads one file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use mesh::model::{code, code::Code};
use xxhash_rust::xxh3::xxh3_64;

use super::scan::{FILE_LEN_MAX, not_a_file};

/// The text of a file that had `len` bytes when it was looked at, and its hash; or what is wrong with it.
pub(super) fn read_file(path: &Path, len: u64) -> Result<(String, u64), (Code, String)> {
    if len > FILE_LEN_MAX {
        return Err((code::FILE_TOO_LARGE, format!("the file has {len} bytes, at most {FILE_LEN_MAX} are read")));
    }
    let bytes = bytes(path).map_err(|error| (code::FILE_UNREADABLE, format!("the file cannot be read: {error}")))?;
    let hash = xxh3_64(&bytes);
    match String::from_utf8(bytes) {
        Ok(text) => Ok((text, hash)),
        Err(error) => {
            let valid = error.utf8_error().valid_up_to();
            Err((code::FILE_UNREADABLE, format!("the file is not UTF-8 text: look at byte {valid}")))
        }
    }
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe may have taken the file's place since it was looked at, and nobody may ever write to it.
    let file: File = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(not_a_file(&metadata));
    }
    let mut bytes = Vec::new();
    // The file may have grown since it was looked at.
    file.take(FILE_LEN_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
