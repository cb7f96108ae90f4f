//! Files as this master writes them: private to its user, whole or not at all.

use std::io::{self, Write};
use std::path::Path;

/// Writes a file beside its place, and renames it into it.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        private_folder(folder)?;
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Two writers of one place must not share the file beside it.
    let beside = path.with_file_name(format!(".{name}.{}", uuid::Uuid::new_v4().simple()));
    let result = write_new(&beside, content).and_then(|()| std::fs::rename(&beside, path));
    if result.is_err() {
        let _ = std::fs::remove_file(&beside);
    }
    result
}

/// Makes a folder and its parents; what is made is for this user only.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Opens a file for this user only.
pub(crate) fn private_options() -> std::fs::OpenOptions {
    #[allow(unused_mut, reason = "changed on Unix only")]
    let mut options = std::fs::OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = private_options().write(true).create_new(true).open(path)?;
    file.write_all(content)
}
