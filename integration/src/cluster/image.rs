//! Container images made of programs of this machine, without a daemon: an archive in OCI's image layout.
//!
//! The format: <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>.

use std::{
    collections::BTreeSet,
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::cluster::command;

const PLATFORM_OS: &str = "linux";
/// `/tmp`, for everybody.
const TMP_MODE: u32 = 0o1777;
const DIRECTORY_MODE: u32 = 0o755;
const PROGRAM_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// An image of one layer.
#[derive(Clone, Debug)]
pub struct Image {
    reference: String,
    entrypoint: Vec<String>,
    /// Where from, and where to in the image, without the leading slash.
    files: Vec<(PathBuf, PathBuf)>,
}

impl Image {
    /// An image `reference` (with its tag) of a program and the libraries that it is linked to; `arguments` come before those that a pod gives.
    ///
    /// # Errors
    /// There is no such program.
    pub async fn of_program(reference: &str, program: &Path, arguments: &[&str]) -> Result<Self> {
        let name = program.file_name().with_context(|| format!("{} is no program", program.display()))?;
        let mut files = vec![(program.to_path_buf(), PathBuf::from(name))];
        let mut ldd = Command::new("ldd");
        ldd.arg(program);
        // A static program has none, which is an error to `ldd`.
        let libraries = command::output(ldd).await.unwrap_or_default();
        files.extend(libraries_in(&libraries).map(|path| (path.into(), path.trim_start_matches('/').into())));
        let mut entrypoint = vec![format!("/{}", name.to_string_lossy())];
        entrypoint.extend(arguments.iter().map(|&argument| argument.to_owned()));
        Ok(Self { reference: reference.to_owned(), entrypoint, files })
    }

    /// The same with another file in it.
    #[must_use]
    pub fn with_file(mut self, from: impl Into<PathBuf>, to: &str) -> Self {
        self.files.push((from.into(), to.trim_start_matches('/').into()));
        self
    }

    fn layer(&self) -> Result<Vec<u8>> {
        let mut layer = Builder::new(Vec::new());
        directory(&mut layer, Path::new("tmp"), TMP_MODE)?;
        let parents: BTreeSet<&Path> = self.files.iter().flat_map(|(_, to)| to.ancestors().skip(1)).collect();
        for parent in parents.into_iter().filter(|parent| !parent.as_os_str().is_empty()) {
            directory(&mut layer, parent, DIRECTORY_MODE)?;
        }
        for (from, to) in &self.files {
            let content = std::fs::read(from).with_context(|| format!("read {}", from.display()))?;
            file(&mut layer, to, PROGRAM_MODE, &content)?;
        }
        layer.into_inner().context("end a layer")
    }
}

/// A copy of a program in `directory`, without what only a debugger reads, which is most of it.
///
/// # Errors
/// There is no such program.
pub async fn stripped(program: &Path, directory: &Path) -> Result<PathBuf> {
    let name = program.file_name().with_context(|| format!("{} is no program", program.display()))?;
    let copy = directory.join(name);
    let mut strip = Command::new("strip");
    strip.arg("-o").arg(&copy).arg(program);
    command::output(strip).await?;
    Ok(copy)
}

/// Writes an archive with these images.
///
/// # Errors
/// A file of an image cannot be read or the archive cannot be written.
pub fn write(path: &Path, images: &[Image]) -> Result<()> {
    let sink = File::create(path).with_context(|| format!("create {}", path.display()))?;
    let mut archive = Archive { tar: Builder::new(sink), written: BTreeSet::new() };
    let mut manifests = Vec::new();
    for image in images {
        let layer = archive.blob(&image.layer()?, "application/vnd.oci.image.layer.v1.tar")?;
        let config = json!({
            "architecture": architecture(),
            "os": PLATFORM_OS,
            "config": {"Entrypoint": image.entrypoint, "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
            // The layer is not compressed, so that this is the digest of the blob too.
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        });
        let config = archive.blob(config.to_string().as_bytes(), "application/vnd.oci.image.config.v1+json")?;
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]});
        let mut manifest = archive.blob(manifest.to_string().as_bytes(), kind)?;
        manifest.platform = Some(json!({"architecture": architecture(), "os": PLATFORM_OS}));
        manifest.annotations = Some(json!({"io.containerd.image.name": image.reference}));
        manifests.push(manifest);
    }
    let index = json!({"schemaVersion": 2, "manifests": manifests}).to_string();
    file(&mut archive.tar, Path::new("index.json"), FILE_MODE, index.as_bytes())?;
    file(&mut archive.tar, Path::new("oci-layout"), FILE_MODE, br#"{"imageLayoutVersion": "1.0.0"}"#)?;
    archive.tar.into_inner().and_then(|mut sink| sink.flush()).with_context(|| format!("write {}", path.display()))
}

/// How one blob names another.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    platform: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<Value>,
}

struct Archive {
    tar: Builder<File>,
    written: BTreeSet<String>,
}

impl Archive {
    /// Adds a blob, once, and describes it.
    fn blob(&mut self, content: &[u8], media_type: &'static str) -> Result<Descriptor> {
        let digest = digest(&SHA256, content).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        if self.written.insert(digest.clone()) {
            file(&mut self.tar, &Path::new("blobs/sha256").join(&digest), FILE_MODE, content)?;
        }
        let digest = format!("sha256:{digest}");
        Ok(Descriptor { media_type, digest, size: content.len(), platform: None, annotations: None })
    }
}

fn file<W: Write>(tar: &mut Builder<W>, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(u64::try_from(content.len()).context("a file too large")?);
    header.set_mode(mode);
    tar.append_data(&mut header, path, content).with_context(|| format!("add {}", path.display()))
}

fn directory<W: Write>(tar: &mut Builder<W>, path: &Path, mode: u32) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Directory);
    header.set_size(0);
    header.set_mode(mode);
    tar.append_data(&mut header, path, std::io::empty()).with_context(|| format!("add {}", path.display()))
}

/// What OCI calls this machine's processor.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// The paths in what `ldd` writes: `libc.so.6 => /lib/libc.so.6 (0x1)`, or the path alone for the loader.
fn libraries_in(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_known_by_their_paths() {
        let text = "\tlinux-vdso.so.1 (0x7f)\n\tlibc.so.6 => /lib/libc.so.6 (0x7f)\n\t/lib64/ld-linux.so.2 (0x7f)\n";
        assert_eq!(libraries_in(text).collect::<Vec<_>>(), ["/lib/libc.so.6", "/lib64/ld-linux.so.2"]);
        assert_eq!(libraries_in("\tnot a dynamic executable\n").count(), 0);
    }

    #[tokio::test]
    async fn images_of_the_same_files_share_them() {
        let directory = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        let one = Image::of_program("test.local/one:1", &program, &["a"]).await.unwrap();
        let two = Image::of_program("test.local/two:1", &program, &["b"]).await.unwrap();
        let path = directory.path().join("images.tar");
        write(&path, &[one, two]).unwrap();
        let mut archive = tar::Archive::new(File::open(&path).unwrap());
        let names: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().into_owned()).collect();
        let blobs = names.iter().filter(|name| name.starts_with("blobs")).count();
        assert_eq!(blobs, 1 + 2 + 2, "a layer, two configurations, two manifests: {names:?}");
    }
}
