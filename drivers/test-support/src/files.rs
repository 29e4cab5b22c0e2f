//! Files, modes and locks.
//!
//! Invariant: a lock is the kernel's: it ends with the process that holds it, however that ends.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::error::{ClusterError, file_error};

/// The mode of a directory through which the server's user has to pass.
pub(crate) fn passable_mode() -> u32 {
    if effective_uid() == 0 { 0o711 } else { 0o700 }
}

/// Makes a directory with exactly this mode.
pub(crate) fn make_directory(path: &Path, mode: u32) -> Result<(), ClusterError> {
    fs::create_dir(path).map_err(file_error("create", path))?;
    // Set apart from creation, so that the umask has no say.
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(file_error("set the mode of", path))
}

/// Opens an existing file in order to lock it.
pub(crate) fn open_to_lock(path: &Path) -> Option<File> {
    OpenOptions::new().read(true).write(true).open(path).ok()
}

/// Whether nobody holds a lock on a file. A file that does not exist is not locked.
pub(crate) fn is_unlocked(path: &Path) -> bool {
    open_to_lock(path).is_none_or(|file| file.try_lock().is_ok())
}

/// Whether an open file is still the one at a path.
pub(crate) fn is_same_file(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(named)) = (file.metadata(), fs::metadata(path)) else {
        return false;
    };
    (open.dev(), open.ino()) == (named.dev(), named.ino())
}

/// The user id this process acts as.
pub(crate) fn effective_uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// `length` random bytes in hexadecimal.
pub(crate) fn random_hex(length: usize) -> Result<String, ClusterError> {
    let source = Path::new("/dev/urandom");
    let mut bytes = vec![0_u8; length];
    File::open(source)
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(file_error("read", source))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_is_not_the_same() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        let path = root.path().join("file");
        let file = File::create(&path)?;
        assert!(is_same_file(&file, &path));
        fs::remove_file(&path)?;
        assert!(!is_same_file(&file, &path));
        let _other = File::create(&path)?;
        assert!(!is_same_file(&file, &path));
        Ok(())
    }

    #[test]
    fn a_file_is_locked_until_the_last_holder_is_gone() -> std::io::Result<()> {
        let root = tempfile::tempdir()?;
        let path = root.path().join("file");
        assert!(is_unlocked(&path));
        let file = File::create(&path)?;
        file.lock_shared()?;
        assert!(!is_unlocked(&path));
        drop(file);
        assert!(is_unlocked(&path));
        Ok(())
    }

    #[test]
    fn random_texts_have_their_length_and_differ() {
        let (first, second) = (
            random_hex(8).expect("random"),
            random_hex(8).expect("random"),
        );
        assert_eq!(first.len(), 16);
        assert_ne!(first, second);
    }
}
