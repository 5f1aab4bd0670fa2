//! A terminal for the program, with somebody who types.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

/// A process whose stdin, stdout and stderr are a terminal.
pub(crate) struct Terminal {
    child: Child,
    keyboard: File,
    screen: Receiver<Vec<u8>>,
    /// All that was shown so far, escapes included.
    pub(crate) shown: String,
    seen: usize,
}

/// How long something may take to be shown that is shown at all.
const PATIENCE: Duration = Duration::from_secs(60);

impl Terminal {
    /// Runs a program on a terminal of so many columns; what has been redirected before stays so.
    pub(crate) fn run(mut command: Command, columns: u16, stdout: Option<File>) -> Self {
        let master =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let side = open(
            name.as_c_str(),
            OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .unwrap();
        let size = Winsize {
            ws_row: 30,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&side, size).unwrap();
        let side = File::from(side);
        let stdout = stdout.unwrap_or_else(|| side.try_clone().unwrap());
        let child = command
            .env("TERM", "xterm")
            .stdin(Stdio::from(side.try_clone().unwrap()))
            .stdout(stdout)
            .stderr(side)
            .spawn()
            .unwrap();
        // It holds the terminal, too.
        drop(command);
        let keyboard = File::from(master);
        let mut master = keyboard.try_clone().unwrap();
        let (send, screen) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The end of a terminal is an error.
            while let Ok(n) = master.read(&mut buffer) {
                if n == 0 || send.send(buffer[..n].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            keyboard,
            screen,
            shown: String::new(),
            seen: 0,
        }
    }

    /// Waits for a text to be shown after what was waited for before.
    pub(crate) fn expect(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.shown[self.seen..].find(text) {
                self.seen += at + text.len();
                return;
            }
            match self
                .screen
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(e) => panic!("no {text:?} ({e}): {}", self.shown),
            }
        }
    }

    pub(crate) fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether it gives the program whole lines, as terminals do by themselves.
    pub(crate) fn is_cooked(&self) -> bool {
        let attributes = tcgetattr(&self.keyboard).unwrap();
        attributes.local_modes.contains(LocalModes::ICANON)
    }

    /// Waits until keys are read one by one.
    pub(crate) fn expect_keys(&mut self) {
        let end = Instant::now() + PATIENCE;
        while self.is_cooked() {
            assert!(Instant::now() < end, "no keys are read: {}", self.shown);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Once the program has ended: lines are whole, what is typed can be seen, the cursor is there, what is pasted is plain.
    pub(crate) fn is_as_it_was(&self) {
        assert!(self.is_cooked(), "{}", self.shown);
        for (last, off) in [("\u{1b}[?25", 'h'), ("\u{1b}[?2004", 'l')] {
            let after = self.shown.rsplit_once(last).map(|(_, after)| after);
            assert!(
                after.is_none_or(|after| after.starts_with(off)),
                "{last:?}: {:?}",
                self.shown
            );
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end, and returns the exit code; all that was shown is in [`shown`](Self::shown) then.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let end = Instant::now() + PATIENCE;
        let status: ExitStatus = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < end, "it hangs: {}", self.shown);
            match self.screen.recv_timeout(Duration::from_millis(10)) {
                Ok(bytes) => self.shown.push_str(&String::from_utf8_lossy(&bytes)),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        };
        while let Ok(bytes) = self.screen.recv_timeout(Duration::from_millis(200)) {
            self.shown.push_str(&String::from_utf8_lossy(&bytes));
        }
        status.code()
    }
}
