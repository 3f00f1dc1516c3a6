//! The admin socket in the file system: mode 0600, and no stale one in the way.

use anyhow::{Context as _, bail};
use std::fs;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// The bound socket. The file goes when this is dropped.
#[derive(Debug)]
pub(crate) struct AdminSocket {
    listener: UnixListener,
    file: SocketFile,
}

/// Removes the file of the socket.
#[derive(Debug)]
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl AdminSocket {
    /// Binds `path`. A socket that nobody answers on is replaced; a gateway that lives, or a file
    /// that is no socket, is an error.
    pub(crate) async fn bind(path: &Path) -> anyhow::Result<Self> {
        if UnixStream::connect(path).await.is_ok() {
            bail!(
                "another gateway answers on {}; --socket names another path",
                path.display()
            );
        }
        if fs::symlink_metadata(path).is_ok_and(|m| !m.file_type().is_socket()) {
            bail!("{} is there and is no socket", path.display());
        }
        let bind = || -> std::io::Result<UnixListener> {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            // Nobody finds the socket under its name before its mode is right.
            let unnamed = PathBuf::from(format!("{}.{}", path.display(), std::process::id()));
            let listener = UnixListener::bind(&unnamed)?;
            let closed = fs::set_permissions(&unnamed, fs::Permissions::from_mode(0o600));
            closed
                .and_then(|()| fs::rename(&unnamed, path))
                .inspect_err(|_| {
                    let _ = fs::remove_file(&unnamed);
                })?;
            Ok(listener)
        };
        let listener = bind().with_context(|| format!("the admin socket {}", path.display()))?;
        let file = SocketFile(path.to_owned());
        Ok(Self { listener, file })
    }

    pub(super) fn into_parts(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/hawser.sock");
        fs::create_dir(dir.path().join("sub")).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let socket = AdminSocket::bind(&path).await.unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert!(AdminSocket::bind(&path).await.is_err());
        drop(socket);
        assert!(!path.exists());
        fs::write(&path, "precious").unwrap();
        assert!(AdminSocket::bind(&path).await.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    }
}
