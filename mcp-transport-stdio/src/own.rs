//! This process's stdin and stdout.

use std::fmt;
use std::fs::File;
use std::future::Future;
#[cfg(target_os = "linux")]
use std::io::IsTerminal;
use std::io::{self, IoSlice, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_core::Stream;
use futures_sink::Sink;
use mcp_codec::{Joined, LineCodec, framed_split_with};
use mcp_types::{Inbound, Outbound};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::coop::has_budget_remaining;
use tokio::time::{Sleep, sleep};

use crate::close::Closing;

/// This process's stdin and stdout as a transport, with the default options; see [`Stdio`].
///
/// # Errors
/// stdin or stdout is closed, or the runtime has no room for another descriptor.
///
/// # Panics
/// Outside of a tokio runtime with I/O enabled.
pub fn stdio() -> io::Result<Stdio> {
    Stdio::options().open()
}

/// This process's stdin and stdout as a transport.
///
/// Pipes, sockets and terminals are read and written without a thread and without blocking, and without switching the
/// descriptors the process was given to non-blocking: those are shared with other processes and often with stderr, which
/// would fail at the next `eprintln!`. So there is nothing to restore afterwards, however the process ends. (On Linux; on
/// other systems that goes for sockets.) Files and all else go through threads; the one that reads does not keep the
/// process from exiting, a write that has begun is waited for.
///
/// The stream ends with stdin, and with a signal that asks the process to stop ([`StdioOptions::signals`]); a server should
/// exit then (REQ-STDIO-05). If the reader of stdout goes away the sink
/// reports a broken pipe. Closing the sink writes what is queued; the other side sees the end when the process exits,
/// and with [`StdioOptions::guard`] at once (REQ-STDIO-06).
///
/// Open it once in a process: two would take each other's bytes.
pub struct Stdio {
    io: Joined<Input, Closing<Output>>,
    /// Resolves when the process is asked to stop.
    stop: Option<Stop>,
    stopping: bool,
    /// Items until that is looked for, whatever comes in; of a process that stops, items until the end.
    items: usize,
    /// If a thread reads: how long nothing comes, of a process that stops, until there is nothing more.
    lull: Option<Duration>,
    /// The end of that time.
    quiet: Option<Pin<Box<Sleep>>>,
}

type Stop = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

/// Signals are looked for behind so many items: it takes locks.
const ITEMS: usize = 64;
/// A process that is asked to stop reads so many items more: whoever never stops writing must not keep it.
const LAST_ITEMS: usize = 1024;
/// A thread that has read something hands it over within that time, and so on.
const LULL: Duration = Duration::from_millis(50);

impl Stdio {
    /// How to open it.
    pub fn options() -> StdioOptions {
        StdioOptions {
            guard: false,
            max_length: LineCodec::MAX_LENGTH,
            signals: true,
        }
    }
}

/// How to open a [`Stdio`].
#[derive(Debug, Clone)]
#[must_use]
pub struct StdioOptions {
    guard: bool,
    max_length: usize,
    signals: bool,
}

impl StdioOptions {
    /// Whether the transport alone gets at stdout: what else is printed, by `println!` or a C library, goes to stderr, and
    /// who else reads stdin finds it empty (REQ-STDIO-02). Off unless asked for, as it is for the whole process and for good.
    pub fn guard(mut self, guard: bool) -> Self {
        self.guard = guard;
        self
    }

    /// The longest line that is read, in bytes; 16 MiB unless told otherwise.
    pub fn max_length(mut self, bytes: usize) -> Self {
        self.max_length = bytes;
        self
    }

    /// Whether SIGTERM and SIGINT (elsewhere Ctrl-C) end the stream as the end of stdin does: what has come in before is
    /// answered, as far as there is time and up to a bound of about a thousand messages, and the process can exit in good order.
    /// On unless told otherwise; from the first time that the stream is polled the signals no longer end the process by
    /// themselves. So they do nothing while the program does not read, as when it waits for a queue to get room: whoever may
    /// wait for ever there is to await [`shutdown_signal`], too. Where a thread reads stdin, as it does files, the signal is
    /// obeyed when nothing has come for 50 ms, and the runtime must have time enabled.
    pub fn signals(mut self, signals: bool) -> Self {
        self.signals = signals;
        self
    }

    /// Opens stdin and stdout.
    ///
    /// # Errors
    /// stdin or stdout is closed, the runtime has no room for another descriptor, or a guard was asked for on a system
    /// that has none ([`io::ErrorKind::Unsupported`] on Windows).
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn open(self) -> io::Result<Stdio> {
        let (input, output) = (Input::stdin()?, Output::stdout()?);
        if self.guard {
            guard()?;
        }
        let codec = LineCodec::new().with_max_length(self.max_length);
        let lull = matches!(input, Input::Thread(_)).then_some(LULL);
        Ok(Stdio {
            io: framed_split_with(input, Closing::new(output), codec),
            stop: self.signals.then(|| Box::pin(shutdown_signal()) as Stop),
            stopping: false,
            items: 0,
            lull,
            quiet: None,
        })
    }
}

#[cfg(unix)]
fn guard() -> io::Result<()> {
    use std::io::Write;

    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    // What was printed before and waits for its line end follows to stderr.
    io::stdout().flush()
}

#[cfg(not(unix))]
fn guard() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Waits until the process is asked to stop: SIGTERM or SIGINT, on other systems Ctrl-C.
///
/// From the first call on these signals no longer end the process by themselves.
///
/// # Errors
/// The runtime cannot listen for signals.
///
/// # Cancel safety
/// Cancel safe; a signal that comes while nobody waits is not remembered.
pub async fn shutdown_signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};

        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        Ok(())
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

impl Stdio {
    /// Sees whether the process is asked to stop.
    fn poll_stop(&mut self, cx: &mut Context<'_>) {
        if let Some(stop) = &mut self.stop
            && let Poll::Ready(asked) = stop.as_mut().poll(cx)
        {
            self.stop = None;
            match asked {
                Ok(()) => (self.stopping, self.items) = (true, LAST_ITEMS),
                // Then they end the process as ever.
                Err(error) => tracing::warn!(%error, "cannot listen for signals"),
            }
        }
    }

    /// Sees whether there is nothing more to be read, as there was nothing now.
    fn poll_quiet(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.lull {
            Some(lull) => {
                let quiet = self.quiet.get_or_insert_with(|| Box::pin(sleep(lull)));
                quiet.as_mut().poll(cx)
            }
            None => Poll::Ready(()),
        }
    }
}

impl Stream for Stdio {
    type Item = io::Result<Inbound>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.items == 0 {
            if this.stopping {
                return Poll::Ready(None);
            }
            this.items = ITEMS;
            this.poll_stop(cx);
        }
        if let Poll::Ready(item) = Pin::new(&mut this.io).poll_next(cx) {
            this.items -= 1;
            this.quiet = None;
            return Poll::Ready(item);
        }
        this.poll_stop(cx);
        // Without budget it says nothing that there is no item.
        if this.stopping && has_budget_remaining() && this.poll_quiet(cx).is_ready() {
            this.items = 0;
            return Poll::Ready(None);
        }
        Poll::Pending
    }
}

impl Sink<Outbound> for Stdio {
    type Error = io::Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, item: Outbound) -> io::Result<()> {
        Pin::new(&mut self.io).start_send(item)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}

impl fmt::Debug for Stdio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stdio")
            .field("io", &self.io)
            .field("stopping", &self.stopping)
            .finish_non_exhaustive()
    }
}

/// stdin, by the best way there is.
#[derive(Debug)]
enum Input {
    #[cfg(target_os = "linux")]
    Pipe(tokio::net::unix::pipe::Receiver),
    #[cfg(target_os = "linux")]
    Terminal(unix::Terminal),
    #[cfg(unix)]
    Socket(unix::Socket),
    Thread(ReadingThread),
}

impl Input {
    fn stdin() -> io::Result<Self> {
        #[cfg(unix)]
        {
            let stdin = rustix::stdio::stdin();
            #[cfg(target_os = "linux")]
            if let Some(fd) = unix::reopened(stdin, rustix::fs::OFlags::RDONLY)
                && let Ok(input) = if stdin.is_terminal() {
                    unix::Terminal::new(fd).map(Self::Terminal)
                } else {
                    tokio::net::unix::pipe::Receiver::from_owned_fd_unchecked(fd).map(Self::Pipe)
                }
            {
                return Ok(input);
            }
            if unix::is_socket(stdin)? {
                return unix::Socket::new(stdin, tokio::io::Interest::READABLE).map(Self::Socket);
            }
            Ok(Self::Thread(ReadingThread::new(
                stdin.try_clone_to_owned()?.into(),
            )))
        }
        #[cfg(windows)]
        {
            use std::os::windows::io::AsHandle;
            let stdin = io::stdin().as_handle().try_clone_to_owned()?;
            Ok(Self::Thread(ReadingThread::new(stdin.into())))
        }
    }
}

impl AsyncRead for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            #[cfg(target_os = "linux")]
            Self::Pipe(pipe) => Pin::new(pipe).poll_read(cx, buf),
            #[cfg(target_os = "linux")]
            Self::Terminal(terminal) => Pin::new(terminal).poll_read(cx, buf),
            #[cfg(unix)]
            Self::Socket(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Thread(thread) => Pin::new(thread).poll_read(cx, buf),
        }
    }
}

/// stdout, by the best way there is.
#[derive(Debug)]
enum Output {
    #[cfg(target_os = "linux")]
    Pipe(tokio::net::unix::pipe::Sender),
    #[cfg(unix)]
    Socket(unix::Socket),
    File(tokio::fs::File),
}

impl Output {
    fn stdout() -> io::Result<Self> {
        #[cfg(unix)]
        {
            let stdout = rustix::stdio::stdout();
            #[cfg(target_os = "linux")]
            if let Some(pipe) = unix::reopened(stdout, rustix::fs::OFlags::WRONLY)
                .and_then(|fd| tokio::net::unix::pipe::Sender::from_owned_fd_unchecked(fd).ok())
            {
                return Ok(Self::Pipe(pipe));
            }
            if unix::is_socket(stdout)? {
                return unix::Socket::new(stdout, tokio::io::Interest::WRITABLE).map(Self::Socket);
            }
            let file = File::from(stdout.try_clone_to_owned()?);
            Ok(Self::File(tokio::fs::File::from_std(file)))
        }
        #[cfg(windows)]
        {
            use std::os::windows::io::AsHandle;
            let stdout = io::stdout().as_handle().try_clone_to_owned()?;
            Ok(Self::File(tokio::fs::File::from_std(stdout.into())))
        }
    }
}

impl AsyncWrite for Output {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            #[cfg(target_os = "linux")]
            Self::Pipe(pipe) => Pin::new(pipe).poll_write(cx, bytes),
            #[cfg(unix)]
            Self::Socket(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::File(file) => Pin::new(file).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            #[cfg(target_os = "linux")]
            Self::Pipe(pipe) => Pin::new(pipe).poll_write_vectored(cx, slices),
            #[cfg(unix)]
            Self::Socket(socket) => Pin::new(socket).poll_write_vectored(cx, slices),
            Self::File(file) => Pin::new(file).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            #[cfg(target_os = "linux")]
            Self::Pipe(pipe) => pipe.is_write_vectored(),
            #[cfg(unix)]
            Self::Socket(socket) => socket.is_write_vectored(),
            Self::File(file) => file.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            #[cfg(target_os = "linux")]
            Self::Pipe(_) => Poll::Ready(Ok(())),
            #[cfg(unix)]
            Self::Socket(_) => Poll::Ready(Ok(())),
            Self::File(file) => Pin::new(file).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Not a socket's shutdown either: it may be another process's, too.
        self.poll_flush(cx)
    }
}

/// Reads what only blocks, in a thread of its own.
///
/// Not in the runtime's pool: a runtime that shuts down waits for that, and so for a key that nobody presses.
#[derive(Debug)]
struct ReadingThread {
    /// Until the first read.
    file: Option<File>,
    pieces: Option<mpsc::Receiver<io::Result<Bytes>>>,
    piece: Bytes,
}

impl ReadingThread {
    fn new(file: File) -> Self {
        Self {
            file: Some(file),
            pieces: None,
            piece: Bytes::new(),
        }
    }

    fn start(&mut self, mut file: File) -> io::Result<()> {
        let (send, receive) = mpsc::channel(1);
        self.pieces = Some(receive);
        let read = move || {
            let mut buffer = BytesMut::new();
            loop {
                buffer.resize(16 << 10, 0);
                let piece = match file.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(n) => Ok(buffer.split_to(n).freeze()),
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                    // Somebody else has made it non-blocking, as whoever shares it may.
                    #[cfg(unix)]
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => match unix::wait(&file) {
                        Ok(()) => continue,
                        Err(e) => Err(e),
                    },
                    Err(e) => Err(e),
                };
                let failed = piece.is_err();
                if send.blocking_send(piece).is_err() || failed {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("mcp-stdin".into())
            .spawn(read)?;
        Ok(())
    }
}

impl AsyncRead for ReadingThread {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(file) = self.file.take() {
            self.start(file)?;
        }
        if self.piece.is_empty()
            && let Some(pieces) = &mut self.pieces
        {
            match ready!(pieces.poll_recv(cx)) {
                Some(piece) => self.piece = piece?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let n = self.piece.len().min(buf.remaining());
        buf.put_slice(&self.piece[..n]);
        self.piece.advance(n);
        Poll::Ready(Ok(()))
    }
}

#[cfg(unix)]
mod unix {
    use std::os::fd::{BorrowedFd, OwnedFd};

    use rustix::fs::{FileType, fstat};
    use rustix::net::{RecvFlags, SendFlags, recv, send};
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    use super::*;

    /// The pipe or terminal at `fd`, opened once more: with flags that are nobody else's.
    #[cfg(target_os = "linux")]
    pub(super) fn reopened(fd: BorrowedFd<'_>, mode: rustix::fs::OFlags) -> Option<OwnedFd> {
        use std::os::fd::AsRawFd;

        use rustix::fs::{Mode, OFlags, fstatfs, open};

        /// Where pipes without a name live. One with a name is not read that way: opened after its writer has left, it would
        /// not report the end.
        const PIPEFS: u64 = 0x5049_5045;

        let is_pipe = match mode {
            OFlags::WRONLY => is(fd, FileType::Fifo).ok()?,
            _ => fstatfs(fd).is_ok_and(|fs| fs.f_type as u64 == PIPEFS),
        };
        if !is_pipe && !fd.is_terminal() {
            return None;
        }
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let flags = mode | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        open(path, flags, Mode::empty()).ok()
    }

    /// Waits until there is something to be read.
    pub(super) fn wait(file: &File) -> io::Result<()> {
        use rustix::event::{PollFd, PollFlags, poll};

        match poll(&mut [PollFd::new(file, PollFlags::IN)], None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    pub(super) fn is_socket(fd: BorrowedFd<'_>) -> io::Result<bool> {
        is(fd, FileType::Socket)
    }

    fn is(fd: BorrowedFd<'_>, kind: FileType) -> io::Result<bool> {
        Ok(FileType::from_raw_mode(fstat(fd)?.st_mode) == kind)
    }

    #[expect(
        deprecated,
        reason = "its successor is unsafe, and asks for what an OwnedFd does keep: to stay the same descriptor"
    )]
    fn registered(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
        AsyncFd::with_interest(fd, interest)
    }

    fn poll_read(
        fd: &AsyncFd<OwnedFd>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        read: impl Fn(&OwnedFd, &mut [u8]) -> rustix::io::Result<usize>,
    ) -> Poll<io::Result<()>> {
        loop {
            let mut ready = ready!(fd.poll_read_ready(cx))?;
            let room = buf.initialize_unfilled();
            match ready.try_io(|fd| Ok(read(fd.get_ref(), &mut *room)?)) {
                Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(read) => {
                    buf.advance(read?);
                    return Poll::Ready(Ok(()));
                }
                Err(_would_block) => {}
            }
        }
    }

    /// A terminal that was [`reopened`]. A read takes one line, with more behind it: unlike a pipe, a terminal is read until
    /// it would wait, as the system tells of the next line only when that comes.
    #[cfg(target_os = "linux")]
    #[derive(Debug)]
    pub(super) struct Terminal(AsyncFd<OwnedFd>);

    #[cfg(target_os = "linux")]
    impl Terminal {
        pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
            registered(fd, Interest::READABLE).map(Self)
        }
    }

    #[cfg(target_os = "linux")]
    impl AsyncRead for Terminal {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            poll_read(&self.0, cx, buf, |fd, room| rustix::io::read(fd, room))
        }
    }

    /// A stream socket whose flags stay as they are: each call says for itself that it does not wait.
    #[derive(Debug)]
    pub(super) struct Socket(AsyncFd<OwnedFd>);

    impl Socket {
        pub(super) fn new(fd: BorrowedFd<'_>, interest: Interest) -> io::Result<Self> {
            registered(fd.try_clone_to_owned()?, interest).map(Self)
        }
    }

    impl AsyncRead for Socket {
        fn poll_read(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            poll_read(&self.0, cx, buf, |fd, room| {
                recv(fd, room, RecvFlags::DONTWAIT).map(|(_, n)| n)
            })
        }
    }

    #[cfg(not(target_vendor = "apple"))]
    const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
    /// There, only what Rust does by itself keeps SIGPIPE away.
    #[cfg(target_vendor = "apple")]
    const SEND: SendFlags = SendFlags::DONTWAIT;

    impl AsyncWrite for Socket {
        fn poll_write(
            self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            loop {
                let mut ready = ready!(self.0.poll_write_ready(cx))?;
                match ready.try_io(|fd| send(fd, bytes, SEND).map_err(io::Error::from)) {
                    Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                    Ok(done) => return Poll::Ready(done),
                    Err(_would_block) => {}
                }
            }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use futures::StreamExt;
    use tokio::io::AsyncWriteExt;
    use tokio::net::unix::pipe;
    use tokio::sync::oneshot;

    use super::*;

    /// It stops when it is told to; nobody reads what it writes.
    fn stdio(input: Input, lull: Option<Duration>, stopped: oneshot::Receiver<()>) -> Stdio {
        let (output, _) = pipe::pipe().expect("there is room for a pipe");
        let output = Closing::new(Output::Pipe(output));
        Stdio {
            io: framed_split_with(input, output, LineCodec::new()),
            stop: Some(Box::pin(async {
                let _ = stopped.await;
                Ok(())
            })),
            stopping: false,
            items: 0,
            lull,
            quiet: None,
        }
    }

    #[tokio::test]
    async fn who_never_stops_writing_does_not_keep_the_process_from_stopping() {
        let (mut to, input) = pipe::pipe().unwrap();
        let (stop, stopped) = oneshot::channel();
        let mut stdio = stdio(Input::Pipe(input), None, stopped);
        // As much as a pipe has room for: its end is not reached here.
        to.write_all("x\n".repeat(32 << 10).as_bytes())
            .await
            .unwrap();
        stdio.next().await.unwrap().unwrap();
        stop.send(()).unwrap();
        let rest = stdio.by_ref().map(Result::unwrap).count().await;
        assert_eq!(rest, ITEMS - 1 + LAST_ITEMS);
        assert!(stdio.next().await.is_none());
    }

    #[tokio::test]
    async fn what_a_thread_has_yet_to_hand_over_is_read_before_the_process_stops() {
        // To the end of all that is there, or until nothing comes any more.
        for (ends, lull) in [(true, Duration::MAX), (false, Duration::ZERO)] {
            let (input, mut to) = std::io::pipe().unwrap();
            let lines = if ends { 1000 } else { 0 };
            let line = "x".repeat(50) + "\n";
            to.write_all(line.repeat(lines).as_bytes()).unwrap();
            let open = (!ends).then_some(to);
            let file = File::from(OwnedFd::from(input));
            let input = Input::Thread(ReadingThread::new(file));
            let (_, stopped) = oneshot::channel();
            let stdio = stdio(input, Some(lull), stopped);
            assert_eq!(stdio.map(Result::unwrap).count().await, lines);
            drop(open);
        }
    }
}
