//! Lines over TCP and Unix sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use futures::{SinkExt, StreamExt};
use mcp_transport_stdio::{TcpServer, connect_tcp};
use mcp_types::{Inbound, Message};

fn ping() -> Message {
    Message::request(1, "ping", None)
}

#[tokio::test]
async fn messages_go_both_ways_over_tcp_and_the_end_with_them() {
    let server = TcpServer::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let (client, accepted) = tokio::join!(connect_tcp(address), server.accept());
    let (mut client, (mut accepted, from)) = (client.unwrap(), accepted.unwrap());
    assert!(from.ip().is_loopback());
    assert!(client.get_ref().nodelay().unwrap() && accepted.get_ref().nodelay().unwrap());
    client.send(ping().into()).await.unwrap();
    assert_eq!(
        accepted.next().await.unwrap().unwrap(),
        Inbound::Message(ping())
    );
    // One side has said all it had to say; the other may still answer.
    client.close().await.unwrap();
    assert!(accepted.next().await.is_none());
    accepted.send(ping().into()).await.unwrap();
    assert_eq!(
        client.next().await.unwrap().unwrap(),
        Inbound::Message(ping())
    );
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    use std::path::PathBuf;

    use mcp_transport_stdio::{UnixServer, connect_unix};

    fn directory(name: &str) -> PathBuf {
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        // It fails the first time.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[tokio::test]
    async fn messages_go_both_ways_over_a_unix_socket() {
        let path = directory("both").join("s");
        let server = UnixServer::bind(&path).unwrap();
        let (client, accepted) = tokio::join!(connect_unix(&path), server.accept());
        let (mut client, mut accepted) = (client.unwrap(), accepted.unwrap());
        client.send(ping().into()).await.unwrap();
        assert_eq!(
            accepted.next().await.unwrap().unwrap(),
            Inbound::Message(ping())
        );
        drop(accepted);
        assert!(client.next().await.is_none());
    }

    #[tokio::test]
    async fn the_file_is_for_its_user_alone_unless_told_otherwise_and_goes_with_the_server() {
        let directory = directory("mode");
        let path = directory.join("s");
        let mode = |server: &UnixServer| {
            let file = fs::symlink_metadata(server.path()).unwrap();
            assert!(file.file_type().is_socket());
            file.permissions().mode() & 0o777
        };
        let private = UnixServer::bind(&path).unwrap();
        assert_eq!(mode(&private), 0o600);
        // Another takes its place: that one's file stays when the first server goes.
        fs::remove_file(&path).unwrap();
        let shared = UnixServer::bind_with_mode(&path, 0o660).unwrap();
        assert_eq!(mode(&shared), 0o660);
        drop(private);
        assert!(path.exists());
        drop(shared);
        assert_eq!(
            fs::read_dir(&directory).unwrap().count(),
            0,
            "nothing is left"
        );
    }

    #[tokio::test]
    async fn what_a_crash_leaves_of_a_bind_is_in_nobodys_way() {
        let directory = directory("crash");
        for count in 0..100 {
            let name = format!(".{:x}-{count:x}", std::process::id());
            fs::create_dir(directory.join(name)).unwrap();
        }
        UnixServer::bind(directory.join("s")).unwrap();
    }

    #[test]
    fn of_servers_that_start_at_once_one_listens() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        // At a path that is free, and at one that a process left behind.
        for (count, left) in [(8, false), (2, true)] {
            for _ in 0..100 {
                let directory = directory("at-once");
                let path = directory.join("s");
                if left {
                    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
                }
                let start = std::sync::Barrier::new(count);
                let bind = || {
                    let _within = runtime.enter();
                    start.wait();
                    UnixServer::bind(&path)
                };
                let (servers, refused): (Vec<_>, Vec<_>) = std::thread::scope(|scope| {
                    let threads: Vec<_> = (0..count).map(|_| scope.spawn(bind)).collect();
                    let bound = threads.into_iter().map(|thread| thread.join().unwrap());
                    bound.partition(Result::is_ok)
                });
                assert_eq!(servers.len(), 1, "{refused:?}");
                for refused in refused {
                    assert_eq!(refused.unwrap_err().kind(), ErrorKind::AddrInUse);
                }
                assert!(path.exists());
                drop(servers);
                assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
            }
        }
    }

    #[test]
    fn a_server_that_accepts_nobody_listens_still() {
        let path = directory("wedged").join("s");
        let wedged = std::os::unix::net::UnixListener::bind(&path).unwrap();
        rustix::net::listen(&wedged, 0).unwrap();
        let _waits = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let (send, bound) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            let _within = runtime.enter();
            send.send(UnixServer::bind(&path)).unwrap();
        });
        let bound = bound.recv_timeout(std::time::Duration::from_secs(60));
        assert_eq!(
            bound.expect("it hangs").unwrap_err().kind(),
            ErrorKind::AddrInUse
        );
    }

    #[tokio::test]
    async fn what_a_process_left_behind_is_replaced_and_nothing_else_is() {
        let directory = directory("left");
        let path = directory.join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let server = UnixServer::bind(&path).unwrap();
        let refused = UnixServer::bind(&path).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AddrInUse);
        let (client, accepted) = tokio::join!(connect_unix(&path), server.accept());
        // The one who asked whether somebody listens was the first.
        assert!(client.is_ok() && accepted.is_ok());
        let file = directory.join("file");
        fs::write(&file, "precious").unwrap();
        assert_eq!(
            UnixServer::bind(&file).unwrap_err().kind(),
            ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read(&file).unwrap(), b"precious");
        let nobody = connect_unix(directory.join("none")).await.unwrap_err();
        assert_eq!(nobody.kind(), ErrorKind::NotFound);
    }
}
