//! A process of ours on all kinds of stdin and stdout.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio as Pipe};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use mcp_transport_stdio::Stdio;
use mcp_types::Inbound;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::termios::LocalModes;

/// The server that the tests run: this program, with this as its only test. What the test harness prints is noise.
#[test]
#[ignore = "not a test by itself"]
fn serve() {
    let mode = std::env::var("MODE").unwrap_or_default();
    println!();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let code = runtime.block_on(async {
        let mut stdio = Stdio::options().guard(mode == "guard").open().unwrap();
        if mode == "guard" {
            println!("stray print");
        }
        let mut code = 0;
        while let Some(item) = stdio.next().await {
            if let Inbound::Message(message) = item.unwrap() {
                if let Err(e) = stdio.send(message.into()).await {
                    assert_eq!(e.kind(), std::io::ErrorKind::BrokenPipe);
                    code = 7;
                    break;
                }
                if mode == "leave" {
                    break;
                }
            }
        }
        // Fails if stdout is gone, as it has said before.
        let closed = stdio.close().await;
        assert_eq!(closed.is_err(), code == 7);
        if mode == "guard" {
            // stdout is closed now: this process must end only when it is told to.
            let mut told = String::new();
            File::open(std::env::var("UNTIL").unwrap())
                .unwrap()
                .read_to_string(&mut told)
                .unwrap();
        }
        code
    });
    // A runtime that waits for a read never comes to this.
    drop(runtime);
    std::process::exit(code);
}

fn server(mode: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--ignored", "--exact", "serve", "--nocapture"])
        .env("MODE", mode);
    command
}

fn wait(child: Child) -> ExitStatus {
    wait_while(child, || {})
}

fn wait_while(mut child: Child, mut what: impl FnMut()) -> ExitStatus {
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        what();
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    panic!("it hangs");
}

fn line(n: usize) -> String {
    format!("{{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":{{\"n\":{n}}}}}\n")
}

/// Writes lines, reads them back, and returns what else was read.
fn talk(mut to: impl Write, from: impl Read, lines: usize) -> Vec<String> {
    let mut from = BufReader::new(from);
    let mut noise = Vec::new();
    for n in 0..lines {
        to.write_all(line(n).as_bytes()).unwrap();
        loop {
            let mut read = String::new();
            assert_ne!(from.read_line(&mut read).unwrap(), 0, "it ended");
            if read == line(n) {
                break;
            }
            noise.push(read);
        }
    }
    noise
}

fn nonblocking(fd: impl AsFd) -> bool {
    fcntl_getfl(fd).unwrap().contains(OFlags::NONBLOCK)
}

#[test]
fn pipes() {
    // REQ-STDIO-05
    let (stdin, to) = std::io::pipe().unwrap();
    let (from, stdout) = std::io::pipe().unwrap();
    let kept = (stdin.try_clone().unwrap(), stdout.try_clone().unwrap());
    let child = server("").stdin(stdin).stdout(stdout).spawn().unwrap();
    talk(&to, &from, 100);
    // What the process was given is shared: its flags are not the server's.
    assert!(!nonblocking(&kept.0) && !nonblocking(&kept.1));
    drop(to);
    drop(kept);
    assert!(wait(child).success());
}

#[test]
fn all_that_was_written_is_read_though_the_writer_is_gone() {
    let (stdin, mut to) = std::io::pipe().unwrap();
    let (mut from, stdout) = std::io::pipe().unwrap();
    let input: String = (0..100).map(line).collect();
    to.write_all(input.as_bytes()).unwrap();
    drop(to);
    let child = server("").stdin(stdin).stdout(stdout).spawn().unwrap();
    let mut output = String::new();
    from.read_to_string(&mut output).unwrap();
    assert!(output.ends_with(&input));
    assert!(wait(child).success());
}

#[test]
fn sockets() {
    let (to, stdin) = UnixStream::pair().unwrap();
    let (from, stdout) = UnixStream::pair().unwrap();
    let kept = (stdin.try_clone().unwrap(), stdout.try_clone().unwrap());
    let child = server("")
        .stdin(OwnedFd::from(stdin))
        .stdout(OwnedFd::from(stdout))
        .spawn()
        .unwrap();
    talk(&to, &from, 100);
    assert!(!nonblocking(&kept.0) && !nonblocking(&kept.1));
    drop((to, kept));
    assert!(wait(child).success());
}

#[test]
fn one_socket_for_both() {
    let (near, far) = UnixStream::pair().unwrap();
    let stdout = OwnedFd::from(far.try_clone().unwrap());
    let child = server("")
        .stdin(OwnedFd::from(far))
        .stdout(stdout)
        .spawn()
        .unwrap();
    talk(&near, &near, 100);
    near.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(wait(child).success());
}

#[test]
fn files() {
    let dir = scratch("files");
    let (input, output) = (dir.join("in"), dir.join("out"));
    let text: String = (0..10_000).map(line).collect();
    std::fs::write(&input, &text).unwrap();
    let child = server("")
        .stdin(File::open(&input).unwrap())
        .stdout(File::create(&output).unwrap())
        .spawn()
        .unwrap();
    assert!(wait(child).success());
    assert!(std::fs::read_to_string(&output).unwrap().ends_with(&text));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn nothing_at_all() {
    let child = server("")
        .stdin(Pipe::null())
        .stdout(Pipe::null())
        .spawn()
        .unwrap();
    assert!(wait(child).success());
}

/// A terminal that neither echoes nor changes what is written: our end of it, and the program's.
fn terminal(local_modes: LocalModes) -> (File, File) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
    let here = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&here).unwrap();
    unlockpt(&here).unwrap();
    let name = ptsname(&here, Vec::new()).unwrap().into_string().unwrap();
    let there = File::options().read(true).write(true).open(name).unwrap();
    let mut modes = tcgetattr(&there).unwrap();
    modes.make_raw();
    modes.local_modes |= local_modes;
    tcsetattr(&there, OptionalActions::Now, &modes).unwrap();
    (here.into(), there)
}

#[test]
fn a_terminal() {
    let (here, there) = terminal(LocalModes::empty());
    let stdout = there.try_clone().unwrap();
    let child = server("leave")
        .stdin(there.try_clone().unwrap())
        .stdout(stdout)
        .spawn()
        .unwrap();
    talk(&here, &here, 1);
    assert!(!nonblocking(&there));
    assert!(wait(child).success());
}

#[test]
fn a_terminal_that_gives_its_lines_one_by_one() {
    let (mut here, there) = terminal(LocalModes::ICANON);
    let child = server("")
        .stdin(there.try_clone().unwrap())
        .stdout(there.try_clone().unwrap())
        .spawn()
        .unwrap();
    // All at once, with a Ctrl-D behind them.
    let lines: String = (0..3).map(line).collect();
    write!(here, "{lines}\x04").unwrap();
    assert!(wait(child).success());
    let mut output = BufReader::new(here).lines().map(Result::unwrap);
    for n in 0..3 {
        assert!(output.any(|read| read == line(n).trim_end()));
    }
}

/// A directory of the test's own, and a named pipe in it.
fn named_pipe(name: &str) -> (std::path::PathBuf, std::path::PathBuf) {
    let dir = scratch(name);
    let path = dir.join("fifo");
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    (dir, path)
}

/// A named pipe is read by a thread, which must not keep the process from its end.
#[test]
fn a_read_that_never_ends_does_not_hold_up_the_exit() {
    let (dir, path) = named_pipe("fifo");
    let to = File::options().read(true).write(true).open(&path).unwrap();
    let stdin = File::options().read(true).open(&path).unwrap();
    let (from, stdout) = std::io::pipe().unwrap();
    let child = server("leave").stdin(stdin).stdout(stdout).spawn().unwrap();
    talk(&to, &from, 1);
    assert!(wait(child).success());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_thread_waits_for_what_somebody_else_made_non_blocking() {
    let (dir, path) = named_pipe("nonblocking");
    let to = File::options().read(true).write(true).open(&path).unwrap();
    let stdin = File::options().read(true).open(&path).unwrap();
    rustix::fs::fcntl_setfl(&stdin, OFlags::NONBLOCK).unwrap();
    let (from, stdout) = std::io::pipe().unwrap();
    let child = server("").stdin(stdin).stdout(stdout).spawn().unwrap();
    // Before most lines it finds nothing.
    talk(&to, &from, 100);
    drop(to);
    assert!(wait(child).success());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_named_pipe_that_somebody_else_made_non_blocking_takes_everything() {
    let (dir, path) = named_pipe("full");
    let input = dir.join("in");
    // More than the pipe has room for.
    let text: String = (0..10_000).map(line).collect();
    std::fs::write(&input, &text).unwrap();
    let both = File::options().read(true).write(true).open(&path).unwrap();
    let mut from = File::open(&path).unwrap();
    let stdout = File::options().write(true).open(&path).unwrap();
    rustix::fs::fcntl_setfl(&stdout, OFlags::NONBLOCK).unwrap();
    let stdin = File::open(&input).unwrap();
    let mut child = server("").stdin(stdin).stdout(stdout).spawn().unwrap();
    let full = || {
        let mut out = [PollFd::new(&both, PollFlags::OUT)];
        poll(&mut out, Some(&Timespec::default())).unwrap() == 0
    };
    // Page by page, each when there is room for no other.
    let (mut output, mut page) = (Vec::new(), [0; 4096]);
    while child.try_wait().unwrap().is_none() {
        if full() {
            from.read_exact(&mut page).unwrap();
            output.extend_from_slice(&page);
        }
        std::thread::yield_now();
    }
    drop(both);
    from.read_to_end(&mut output).unwrap();
    assert!(output.ends_with(text.as_bytes()));
    assert!(wait(child).success());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_signal_ends_the_stream_and_what_came_before_is_answered() {
    for signal in ["TERM", "INT"] {
        let mut server = server("echo")
            .stdin(Pipe::piped())
            .stdout(Pipe::piped())
            .spawn()
            .unwrap();
        // It stays open: only the signal can end this.
        let mut stdin = server.stdin.take().unwrap();
        let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let mut next = || {
            lines
                .by_ref()
                .map(Result::unwrap)
                .find(|line| line.starts_with('{'))
        };
        let line = |n| line(n).trim_end().to_owned();
        writeln!(stdin, "{}", line(0)).unwrap();
        assert_eq!(next(), Some(line(0)));
        for n in 1..100 {
            writeln!(stdin, "{}", line(n)).unwrap();
        }
        let id = server.id().to_string();
        let kill = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(kill.unwrap().success());
        for n in 1..100 {
            assert_eq!(next(), Some(line(n)), "{signal}");
        }
        assert_eq!(next(), None);
        assert_eq!(wait(server).code(), Some(0), "{signal}");
    }
}

#[test]
fn a_reader_that_goes_away_is_an_error_and_no_panic() {
    for socket in [false, true] {
        let (stdin, mut to) = std::io::pipe().unwrap();
        let (from, stdout): (OwnedFd, OwnedFd) = if socket {
            let (from, stdout) = UnixStream::pair().unwrap();
            (from.into(), stdout.into())
        } else {
            let (from, stdout) = std::io::pipe().unwrap();
            (from.into(), stdout.into())
        };
        let child = server("").stdin(stdin).stdout(stdout).spawn().unwrap();
        let from = File::from(from);
        talk(&to, &from, 1);
        drop(from);
        // More than once: a process that another test is starting may for a moment hold the reader, too.
        let status = wait_while(child, || {
            // The server may have left before it has read this.
            let _ = to.write_all(line(1).as_bytes());
        });
        assert_eq!(status.code(), Some(7));
    }
}

#[test]
fn a_guard_keeps_stray_prints_off_stdout() {
    // REQ-STDIO-02, TRAP-51
    let dir = scratch("guard");
    let until = dir.join("until");
    assert!(
        Command::new("mkfifo")
            .arg(&until)
            .status()
            .unwrap()
            .success()
    );
    let (stdin, to) = std::io::pipe().unwrap();
    let (mut from, stdout) = std::io::pipe().unwrap();
    let (mut stderr_read, stderr) = std::io::pipe().unwrap();
    let child = server("guard")
        .env("UNTIL", &until)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(stderr)
        .spawn()
        .unwrap();
    let noise = talk(&to, &from, 10);
    assert!(
        !noise.iter().any(|line| line.contains("stray")),
        "{noise:?}"
    );
    drop(to);
    // The process runs on, but its stdout has ended.
    let mut rest = String::new();
    from.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "");
    drop(File::options().write(true).open(&until).unwrap());
    assert!(wait(child).success());
    let mut printed = String::new();
    stderr_read.read_to_string(&mut printed).unwrap();
    assert!(printed.contains("stray print"), "{printed}");
    std::fs::remove_dir_all(dir).unwrap();
}

fn scratch(name: &str) -> std::path::PathBuf {
    let dir = std::env::temp_dir().join(format!("mcp-stdio-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}
