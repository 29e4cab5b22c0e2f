//! Making a data directory.
//!
//! Invariant: everything in it belongs to the user the server runs as.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use crate::account::Account;
use crate::address::SUPERUSER;
use crate::binaries::Binaries;
use crate::directory::ClusterDirectory;
use crate::error::{ClusterError, file_error};
use crate::settings::{Settings, quoted};

/// Makes the data directory of a cluster, for a superuser with this password.
pub(crate) fn make_data_directory(
    directory: &ClusterDirectory,
    binaries: &Binaries,
    account: &Account,
    settings: &Settings,
    password: &str,
) -> Result<(), ClusterError> {
    let server = directory.make_server()?;
    account
        .own(&server)
        .map_err(file_error("set the owner of", &server))?;
    account.check_reach(
        directory.path(),
        "set SQUID_MESH_TEST_DIR to a directory it can enter",
    )?;
    account.check_reach(
        binaries.directory(),
        "set PG_BIN to a directory it can enter",
    )?;
    run_initdb(directory, binaries, account, password)?;
    append_settings(directory, settings)
}

fn run_initdb(
    directory: &ClusterDirectory,
    binaries: &Binaries,
    account: &Account,
    password: &str,
) -> Result<(), ClusterError> {
    let password_file = directory.server().join("password");
    write_private(&password_file, account, password)?;
    let data = directory.data();
    let output = account
        .command(binaries.initdb())
        .arg("-D")
        .arg(&data)
        .args(["-U", SUPERUSER, "--encoding=UTF8", "--locale=C"])
        // A machine that crashes during this leaves a directory that nobody reads again.
        .arg("--no-sync")
        .args(["--auth-local=trust", "--auth-host=scram-sha-256"])
        .arg(format!("--pwfile={}", password_file.display()))
        .current_dir(directory.server())
        .output()
        .map_err(file_error("run", &binaries.initdb()))?;
    fs::remove_file(&password_file).map_err(file_error("remove", &password_file))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(ClusterError::Initdb {
        data,
        output: String::from_utf8_lossy(&text).trim().to_owned(),
    })
}

/// Creates a file that only the server's user and root can read.
fn write_private(path: &Path, account: &Account, text: &str) -> Result<(), ClusterError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| writeln!(file, "{text}"))
        .and_then(|()| account.own(path))
        .map_err(file_error("write", path))
}

/// Adds the parameters behind Postgres' defaults, of which the last one counts. The cluster's own
/// follow at the very end.
fn append_settings(directory: &ClusterDirectory, settings: &Settings) -> Result<(), ClusterError> {
    let path = directory.data().join("postgresql.conf");
    let sockets = quoted(&directory.server().display().to_string());
    let text = format!(
        "\n{}listen_addresses = '127.0.0.1'\nunix_socket_directories = {sockets}\n",
        settings.to_conf()
    );
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(file_error("write", &path))
}
