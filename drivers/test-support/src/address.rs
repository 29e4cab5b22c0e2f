//! How to reach a server.
//!
//! Invariant: every address carries all that is needed to connect; no `PG*` variable is consulted
//! for user, host or port.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use url::Url;

use crate::directory::ClusterDirectory;
use crate::error::{ClusterError, file_error};

/// The superuser of a cluster made here.
pub(crate) const SUPERUSER: &str = "postgres";

/// The database that every server has, used to create and drop others.
pub(crate) const MAINTENANCE: &str = "postgres";

/// How to reach a server.
#[derive(Debug, Clone)]
pub(crate) enum Address {
    /// A server made here.
    Own(OwnAddress),
    /// The server of `TEST_DATABASE_URL`.
    External(Url),
}

impl Address {
    /// Reads `TEST_DATABASE_URL`.
    pub(crate) fn from_environment() -> Result<Option<Self>, ClusterError> {
        match std::env::var("TEST_DATABASE_URL") {
            Ok(text) if !text.is_empty() => Self::parse(&text).map(Some),
            Ok(_) | Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(ClusterError::ExternalUrl),
        }
    }

    fn parse(text: &str) -> Result<Self, ClusterError> {
        Url::parse(text)
            .ok()
            .filter(|url| matches!(url.scheme(), "postgres" | "postgresql"))
            .map(Self::External)
            .ok_or(ClusterError::ExternalUrl)
    }

    /// The address of a database, through a Unix socket where there is one.
    pub(crate) fn url(&self, database: &str) -> String {
        match self {
            Self::Own(own) => own.socket_url(database),
            Self::External(url) => with_database(url, database),
        }
    }

    /// The address of a database, through TCP. For an external server that is its address as given.
    pub(crate) fn tcp_url(&self, database: &str) -> String {
        match self {
            Self::Own(own) => own.tcp_url(database),
            Self::External(url) => with_database(url, database),
        }
    }
}

/// Socket, port and password of a server made here.
///
/// The password guards TCP, which every user of the machine can reach. The socket is guarded by the
/// mode of its directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OwnAddress {
    /// The directory of the socket.
    pub(crate) sockets: PathBuf,
    /// The port on 127.0.0.1, also part of the socket's name.
    pub(crate) port: u16,
    /// The superuser's password.
    pub(crate) password: String,
}

impl OwnAddress {
    /// Writes the address down for those who join the cluster, all or nothing.
    pub(crate) fn save(&self, directory: &ClusterDirectory) -> Result<(), ClusterError> {
        let path = directory.state();
        let draft = path.with_extension("draft");
        let text = format!("{}\n{}\n", self.port, self.password);
        fs::write(&draft, text)
            .and_then(|()| fs::set_permissions(&draft, fs::Permissions::from_mode(0o600)))
            .and_then(|()| fs::rename(&draft, &path))
            .map_err(file_error("write", &path))
    }

    /// Reads what was written down. None when the cluster has never been started.
    pub(crate) fn load(directory: &ClusterDirectory) -> Result<Option<Self>, ClusterError> {
        let path = directory.state();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Self::read(&text, directory.server())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_error("read", &path)(error)),
        }
    }

    fn read(text: &str, sockets: PathBuf) -> Option<Self> {
        let (port, password) = text.trim_end().split_once('\n')?;
        Some(Self {
            sockets,
            port: port.parse().ok()?,
            password: password.to_owned(),
        })
    }

    fn socket_url(&self, database: &str) -> String {
        // The host in front is for parsers that insist on one; `host` overrides it.
        let port = self.port;
        let host = percent_encoded(&self.sockets);
        format!("postgres://{SUPERUSER}@localhost:{port}/{database}?host={host}")
    }

    fn tcp_url(&self, database: &str) -> String {
        let Self { port, password, .. } = self;
        format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/{database}")
    }
}

fn with_database(url: &Url, database: &str) -> String {
    let mut url = url.clone();
    url.set_path(&format!("/{database}"));
    url.into()
}

/// A path as the value of a query parameter.
fn percent_encoded(path: &Path) -> String {
    url::form_urlencoded::byte_serialize(path.as_os_str().as_encoded_bytes())
        .collect::<String>()
        // A blank as `+` is understood by forms, not by Postgres' own client.
        .replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> OwnAddress {
        OwnAddress {
            sockets: PathBuf::from("/tmp/a b/server"),
            port: 20_001,
            password: "cafe".to_owned(),
        }
    }

    #[test]
    fn own_addresses_name_socket_or_port() {
        let address = Address::Own(own());
        assert_eq!(
            address.url("orders"),
            "postgres://postgres@localhost:20001/orders?host=%2Ftmp%2Fa%20b%2Fserver"
        );
        assert_eq!(
            address.tcp_url("orders"),
            "postgres://postgres:cafe@127.0.0.1:20001/orders"
        );
    }

    #[test]
    fn an_external_address_keeps_everything_but_the_database() {
        let address =
            Address::parse("postgres://me:secret@db:5433/app?sslmode=disable").expect("an address");
        let expected = "postgres://me:secret@db:5433/orders?sslmode=disable";
        assert_eq!(address.url("orders"), expected);
        assert_eq!(address.tcp_url("orders"), expected);
    }

    #[test]
    fn addresses_of_other_databases_are_refused() {
        for text in ["mysql://localhost/app", "localhost", ""] {
            assert!(
                matches!(Address::parse(text), Err(ClusterError::ExternalUrl)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_written_down_is_read_back() {
        let text = "20001\ncafe\n";
        assert_eq!(
            OwnAddress::read(text, PathBuf::from("/tmp/a b/server")),
            Some(own())
        );
        assert_eq!(OwnAddress::read("20001", PathBuf::new()), None);
    }
}
