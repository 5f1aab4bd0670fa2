//! The same lines over TCP and Unix sockets.

use std::io;
use std::net::SocketAddr;

use mcp_codec::{Framed, framed};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};

/// A TCP connection as a transport.
pub type TcpTransport = Framed<TcpStream>;

/// Connects to a server that speaks lines over TCP.
///
/// Small messages leave at once (`TCP_NODELAY`).
///
/// # Errors
/// Whatever connecting fails with.
///
/// # Cancel safety
/// Dropping the future gives the connection up.
pub async fn connect_tcp(address: impl ToSocketAddrs) -> io::Result<TcpTransport> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(framed(stream))
}

/// Waits for clients that speak lines over TCP.
///
/// There is no encryption and nobody is asked who they are: for loopback, or behind something that does both.
#[derive(Debug)]
pub struct TcpServer(TcpListener);

impl TcpServer {
    /// Listens at an address; port 0 stands for any that is free.
    ///
    /// # Errors
    /// The address is in use or is none of this machine's.
    ///
    /// # Cancel safety
    /// Dropping the future gives the address up.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self)
    }

    /// Where it listens.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Takes the next client.
    ///
    /// # Errors
    /// A client that is gone again, or no descriptor left; the next call may succeed.
    ///
    /// # Cancel safety
    /// No client is lost if the future is dropped.
    pub async fn accept(&self) -> io::Result<(TcpTransport, SocketAddr)> {
        let (stream, from) = self.0.accept().await?;
        stream.set_nodelay(true)?;
        Ok((framed(stream), from))
    }
}

#[cfg(unix)]
pub use unix::{UnixServer, UnixTransport, connect_unix};

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::future::Future;
    use std::hash::{BuildHasher, RandomState};
    use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
    use std::path::{Path, PathBuf};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use tokio::net::{UnixListener, UnixStream};

    use super::*;

    /// A connection over a Unix socket as a transport.
    pub type UnixTransport = Framed<UnixStream>;

    /// Connects to a server that speaks lines over a Unix socket.
    ///
    /// # Errors
    /// Whatever connecting fails with: no such file, no permission, nobody listens.
    ///
    /// # Cancel safety
    /// Dropping the future gives the connection up.
    pub async fn connect_unix(path: impl AsRef<Path>) -> io::Result<UnixTransport> {
        UnixStream::connect(path).await.map(framed)
    }

    /// Waits for clients that speak lines over a Unix socket; its file goes when this is dropped.
    #[derive(Debug)]
    pub struct UnixServer {
        listener: UnixListener,
        path: PathBuf,
        /// Which file was made: by then another may stand at its path.
        inode: (u64, u64),
    }

    impl UnixServer {
        /// Listens at a path, for this user alone.
        ///
        /// # Errors
        /// As [`bind_with_mode`](Self::bind_with_mode).
        pub fn bind(path: impl AsRef<Path>) -> io::Result<Self> {
            Self::bind_with_mode(path, 0o600)
        }

        /// Listens at a path; `mode` are the permissions of the socket's file, of which writing is what lets connect.
        ///
        /// The file has them from the moment that it is there. A socket that a process left behind is replaced.
        ///
        /// # Errors
        /// [`io::ErrorKind::AddrInUse`] if somebody listens there, [`io::ErrorKind::AlreadyExists`] if the file is no
        /// socket; else what the system says.
        ///
        /// # Panics
        /// Outside of a tokio runtime with I/O enabled.
        pub fn bind_with_mode(path: impl AsRef<Path>, mode: u32) -> io::Result<Self> {
            let path = path.as_ref();
            let stale = match left_behind(path) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => false,
                left => left.map(|()| true)?,
            };
            // The system makes the file with permissions of its own choice: so first where nobody else can look. Its path must
            // not be much longer than the one asked for, as the system bounds it.
            let parent = path.parent().unwrap_or(Path::new(""));
            let private = private_directory(parent)?;
            let (first, aside) = (private.join("s"), private.join("o"));
            let bound = UnixListener::bind(&first).and_then(|listener| {
                fs::set_permissions(&first, fs::Permissions::from_mode(mode))?;
                let inode = inode(&fs::symlink_metadata(&first)?);
                if stale {
                    move_aside(path, &aside)?;
                }
                // Not by renaming, which would take the place of a server that has come meanwhile.
                fs::hard_link(&first, path).map_err(|e| match e.kind() {
                    io::ErrorKind::AlreadyExists => io::ErrorKind::AddrInUse.into(),
                    _ => e,
                })?;
                let path = path.to_owned();
                Ok(Self {
                    listener,
                    path,
                    inode,
                })
            });
            // What is in it has another name by now, or is of no use to anybody.
            let _ = fs::remove_dir_all(&private);
            bound
        }

        /// Where it listens.
        pub fn path(&self) -> &Path {
            &self.path
        }

        /// Takes the next client.
        ///
        /// # Errors
        /// No descriptor left; the next call may succeed.
        ///
        /// # Cancel safety
        /// No client is lost if the future is dropped.
        pub async fn accept(&self) -> io::Result<UnixTransport> {
            let (stream, _) = self.listener.accept().await?;
            Ok(framed(stream))
        }
    }

    impl Drop for UnixServer {
        fn drop(&mut self) {
            let ours = |file: &fs::Metadata| inode(file) == self.inode;
            if fs::symlink_metadata(&self.path).as_ref().is_ok_and(ours) {
                // It may be gone in between; then that is as well.
                let _ = fs::remove_file(&self.path);
            }
        }
    }

    fn inode(file: &fs::Metadata) -> (u64, u64) {
        (file.dev(), file.ino())
    }

    /// Whether a file is a socket on which nobody listens; if not, what else is there.
    fn left_behind(path: &Path) -> io::Result<()> {
        if !fs::symlink_metadata(path)?.file_type().is_socket() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        // Polled once, it does not wait for a server that accepts nobody any more.
        match pin!(UnixStream::connect(path)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Poll::Ready(Err(e)) if e.kind() != io::ErrorKind::WouldBlock => Err(e),
            _ => Err(io::ErrorKind::AddrInUse.into()),
        }
    }

    /// Takes a socket that was left behind out of the way, or puts back what has come in its place meanwhile.
    fn move_aside(path: &Path, aside: &Path) -> io::Result<()> {
        match fs::rename(path, aside) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            moved => moved?,
        }
        left_behind(aside).inspect_err(|_| {
            // It fails if a third one has come; who is to be reached there is open then.
            let _ = fs::hard_link(aside, path);
        })
    }

    /// Makes a directory for this user alone, under a name that nobody can have foreseen.
    fn private_directory(parent: &Path) -> io::Result<PathBuf> {
        const TRIES: u32 = 16;

        let mut tries = 0;
        loop {
            tries += 1;
            let name = RandomState::new().hash_one(tries) as u32;
            let path = parent.join(format!(".{name:x}"));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => {}
                made => return made.map(|()| path),
            }
        }
    }
}
