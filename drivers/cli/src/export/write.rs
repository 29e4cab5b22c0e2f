//! A file that is written whole.
//!
//! Invariant: whoever looks under the name sees what was there before, or everything.

use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// Writes a text to a file beside the one that is meant, flushes it to disk, and gives it its name. Only the user who wrote it can
/// read it: it may hold what customers sent.
///
/// # Errors
/// If that fails; what was there before is as it was.
pub(super) fn whole(path: &Path, text: &str) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let mut file = NamedTempFile::new_in(directory.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}
