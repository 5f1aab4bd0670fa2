//! Real processes, in all the ways they end.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use futures::{FutureExt, SinkExt, StreamExt};
use mcp_transport_stdio::{
    ChildProcess, ChildTransport, Exited, RestartError, RestartPolicy, SpawnError, Stderr,
};
use mcp_types::{Inbound, Message, RawJson};

/// Nothing here takes this long; what does hangs.
async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what)
        .await
        .expect("it hangs")
}

fn sh(script: &str) -> ChildProcess {
    ChildProcess::new("/bin/sh").args(["-c", script])
}

const SHORT: Duration = Duration::from_millis(20);
const LONG: Duration = Duration::from_secs(50);

/// A script's line that says it has come so far, with a number.
fn say(method: &str, n: &str) -> String {
    format!(
        r#"echo "{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":{{\"n\":\"{n}\"}}}}""#
    )
}

async fn said(child: &mut ChildTransport) -> (String, String) {
    match within(child.next()).await {
        Some(Ok(Inbound::Message(Message::Notification(n)))) => {
            let said = n.params.unwrap().member("n").unwrap().decode().unwrap();
            (n.method.to_string(), said)
        }
        other => panic!("{other:?}"),
    }
}

async fn error(child: &mut ChildTransport) -> Exited {
    let error = match within(child.next()).await {
        Some(Err(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(within(child.next()).await.is_none());
    Exited::of(&error).unwrap().clone()
}

/// Whether a process runs; one that waits to be reaped by another does not.
fn runs(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap()
            .trim_start()
            .starts_with('Z')
    })
}

async fn gone(pid: &str) {
    within(async {
        while runs(pid) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn cat_echoes_and_ends_with_its_stdin() {
    // REQ-STDIO-01, REQ-STDIO-06
    let mut cat = ChildProcess::new("cat").spawn().unwrap();
    for n in 0..100 {
        let text = serde_json::json!({ "text": "é".repeat(n * 100) });
        let sent = Message::request(n as i64, "echo", Some(RawJson::from(text)));
        cat.send(sent.clone().into()).await.unwrap();
        assert_eq!(
            within(cat.next()).await.unwrap().unwrap(),
            Inbound::Message(sent)
        );
    }
    within(cat.close()).await.unwrap();
    assert!(cat.exit_status().unwrap().success());
    assert!(within(cat.next()).await.is_none());
}

#[tokio::test]
async fn a_grace_without_end_is_no_panic() {
    let cat = ChildProcess::new("cat").grace(Duration::MAX, Duration::MAX);
    let mut cat = cat.spawn().unwrap();
    within(cat.close()).await.unwrap();
    assert!(cat.exit_status().unwrap().success());
}

#[tokio::test]
async fn last_words_survive_the_close() {
    let mut cat = ChildProcess::new("cat").grace(LONG, LONG).spawn().unwrap();
    let message = |size: usize| {
        let text = serde_json::json!({ "text": "x".repeat(size) });
        Message::notification("n", Some(RawJson::from(text)))
    };
    // The last one is more than two pipes hold: it is queued when the close begins, and comes back during it.
    let sent: Vec<_> = [10, 20, 30, 1 << 20].map(message).into();
    for message in &sent {
        cat.feed(message.clone().into()).await.unwrap();
    }
    within(cat.close()).await.unwrap();
    assert!(cat.exit_status().unwrap().success());
    let items: Vec<_> = within(cat.map(Result::unwrap).collect()).await;
    let sent: Vec<_> = sent.into_iter().map(Inbound::Message).collect();
    assert_eq!(items, sent);
}

#[tokio::test]
async fn who_reads_sees_the_end_when_another_closes_or_has_begun_to() {
    for given_up in [false, true] {
        let (mut sink, stream) = ChildProcess::new("cat").spawn().unwrap().split();
        let reading = tokio::spawn(stream.map(Result::unwrap).collect::<Vec<_>>());
        tokio::task::yield_now().await;
        let ping = Message::request(1, "ping", None);
        sink.feed(ping.clone().into()).await.unwrap();
        if given_up {
            assert!(sink.close().now_or_never().is_none());
        } else {
            within(sink.close()).await.unwrap();
        }
        let read = within(reading).await.unwrap();
        assert_eq!(read, [Inbound::Message(ping)]);
    }
}

#[tokio::test]
async fn noise_before_and_between_messages_is_an_item() {
    // REQ-STDIO-02, REQ-ERR-07: what breaks the rule costs a line and not the connection.
    let script = format!(
        "echo Listening; {}; echo; printf 'at 50%%\\r\\033[2Kat 100%%\\n'; printf '\\377\\000\\n{{\\n'; {}; cat",
        say("ready", "1"),
        say("ready", "2")
    );
    let mut child = sh(&script).spawn().unwrap();
    for (noise, n) in [(1, "1"), (3, "2")] {
        for _ in 0..noise {
            let item = within(child.next()).await;
            assert!(matches!(item, Some(Ok(Inbound::Malformed(_)))), "{item:?}");
        }
        assert_eq!(said(&mut child).await, ("ready".into(), n.into()));
    }
    let ping = Message::request(1, "ping", None);
    within(child.send(ping.clone().into())).await.unwrap();
    assert_eq!(
        within(child.next()).await.unwrap().unwrap(),
        Inbound::Message(ping)
    );
}

#[tokio::test]
async fn an_early_exit_is_told_with_status_and_last_words() {
    let script = "echo one >&2; echo two >&2; echo three >&2; exit 3";
    let child = sh(script).stderr(Stderr::Capture(2));
    let mut stream = child.spawn().unwrap();
    let told = error(&mut stream).await;
    assert_eq!(told.status.unwrap().code(), Some(3));
    assert_eq!(told.stderr, ["two", "three"]);
    assert_eq!(
        told.to_string(),
        "`/bin/sh` ended by itself, exit status: 3; it said: two\nthree"
    );
    assert_eq!(stream.exit_status(), told.status);

    // Who only writes learns the same.
    let mut sink = child.spawn().unwrap();
    let error = within(async {
        loop {
            if let Err(e) = sink.send(Message::request(1, "ping", None).into()).await {
                return e;
            }
        }
    })
    .await;
    assert_eq!(Exited::of(&error), Some(&told));
    within(sink.close()).await.unwrap();
}

#[tokio::test]
async fn an_exit_is_early_even_if_it_went_well() {
    let told = error(&mut sh("exit 0").spawn().unwrap()).await;
    assert!(told.status.unwrap().success());
}

#[tokio::test]
async fn a_signal_that_ends_the_child_is_told() {
    let told = error(&mut sh("kill -9 $$").spawn().unwrap()).await;
    assert_eq!(told.status.unwrap().signal(), Some(9));
}

#[tokio::test]
async fn a_child_that_stays_is_terminated() {
    let mut child = sh(&format!("{}; exec sleep 1000", say("ready", "")))
        .grace(SHORT, LONG)
        .spawn()
        .unwrap();
    said(&mut child).await;
    within(child.close()).await.unwrap();
    assert_eq!(child.exit_status().unwrap().signal(), Some(15));
    assert!(within(child.next()).await.is_none());
}

#[tokio::test]
async fn a_child_that_ignores_sigterm_is_killed_with_its_children() {
    // REQ-STDIO-04
    let script = format!(
        "trap '' TERM; sleep 1000 & {}; while :; do wait; done",
        say("ready", "$!")
    );
    let mut child = sh(&script).grace(SHORT, SHORT).spawn().unwrap();
    let (_, grandchild) = said(&mut child).await;
    assert!(runs(&grandchild));
    within(child.close()).await.unwrap();
    assert_eq!(child.exit_status().unwrap().signal(), Some(9));
    gone(&grandchild).await;
}

#[tokio::test]
async fn a_child_that_does_not_read_can_be_closed() {
    let mut child = sh("exec sleep 1000").grace(SHORT, SHORT).spawn().unwrap();
    let text = serde_json::json!({ "text": "x".repeat(1 << 20) });
    child
        .feed(Message::notification("n", Some(RawJson::from(text))).into())
        .await
        .unwrap();
    within(child.close()).await.unwrap();
    assert_eq!(child.exit_status().unwrap().signal(), Some(15));
}

#[tokio::test]
async fn much_on_stderr_never_blocks_the_child() {
    // REQ-STDIO-03, REQ-STDIO-11
    let script = format!(
        "head -c 67108864 /dev/zero | tr '\\0' x >&2; echo end >&2; {}; cat",
        say("ready", "")
    );
    for stderr in [Stderr::Null, Stderr::Capture(1), Stderr::Capture(0)] {
        let mut child = sh(&script).stderr(stderr).spawn().unwrap();
        said(&mut child).await;
        within(child.close()).await.unwrap();
        assert!(child.exit_status().unwrap().success());
        let lines = child.stderr_lines();
        match stderr {
            // The x and the end are one line: only its start is kept.
            Stderr::Capture(1) => assert_eq!(lines, ["x".repeat(4096)]),
            _ => assert!(lines.is_empty()),
        }
    }
}

#[tokio::test]
async fn dropping_the_transport_kills_the_group_and_reaps() {
    let script = format!("sleep 1000 & {}; wait", say("ready", "$!"));
    let mut child = sh(&script).spawn().unwrap();
    let (_, grandchild) = said(&mut child).await;
    let mut monitor = child.monitor();
    assert_eq!(monitor.exit_status(), None);
    drop(child);
    let status = within(monitor.wait()).await.unwrap();
    assert_eq!(status.signal(), Some(9));
    // Not even a zombie is left of the child itself.
    assert!(!std::path::Path::new(&format!("/proc/{}", monitor.id())).exists());
    gone(&grandchild).await;
}

#[test]
fn the_end_of_the_runtime_is_the_end_of_the_child() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let child = runtime.block_on(async {
        let mut child = sh(&format!("{}; exec sleep 1000", say("ready", "")))
            .spawn()
            .unwrap();
        said(&mut child).await;
        child
    });
    let pid = child.id().to_string();
    assert!(runs(&pid));
    drop(runtime);
    drop(child);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(gone(&pid));
}

#[test]
fn what_a_child_has_left_behind_does_not_outlive_the_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let grandchild = runtime.block_on(async {
        let script = format!("sleep 1000 & {}", say("ready", "$!"));
        let mut child = sh(&script).grace(LONG, LONG).spawn().unwrap();
        let (_, grandchild) = said(&mut child).await;
        within(child.monitor().wait()).await.unwrap();
        grandchild
    });
    drop(runtime);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(gone(&grandchild));
}

#[tokio::test]
async fn a_child_that_leaves_others_on_its_stdout_has_ended() {
    let script = format!("sleep 1000 & {}; exit 5", say("ready", "$!"));
    let mut child = sh(&script).grace(SHORT, SHORT).spawn().unwrap();
    let (_, grandchild) = said(&mut child).await;
    assert_eq!(error(&mut child).await.status.unwrap().code(), Some(5));
    gone(&grandchild).await;
}

#[tokio::test]
async fn a_child_that_closes_stdout_and_runs_on_is_told_of() {
    let mut child = sh("exec >&-; exec sleep 1000")
        .grace(SHORT, SHORT)
        .spawn()
        .unwrap();
    let told = error(&mut child).await;
    assert_eq!(told.status, None);
    assert_eq!(told.to_string(), "`/bin/sh` closed its stdout and runs on");
    within(child.close()).await.unwrap();
    assert!(child.exit_status().is_some());
}

#[tokio::test]
async fn the_environment_is_a_choice() {
    // Cargo sets the one variable, and every shell has the other.
    let script = say(
        "env",
        "${CARGO_MANIFEST_DIR-none} ${PATH:+path} ${EXTRA-none}",
    );
    let mut child = sh(&script).spawn().unwrap();
    assert_eq!(said(&mut child).await.1, "none path none");
    let mut child = sh(&script)
        .inherit_env()
        .env("EXTRA", "e")
        .env_remove("CARGO_MANIFEST_DIR")
        .spawn()
        .unwrap();
    assert_eq!(said(&mut child).await.1, "none path e");
    let mut child = sh(&script).inherit_env().spawn().unwrap();
    assert!(said(&mut child).await.1.starts_with('/'));
    let process = sh("").env("KEY", "secret");
    assert!(!format!("{process:?}").contains("secret"));
}

#[tokio::test]
async fn the_working_directory_is_a_choice() {
    let mut child = sh(&say("cwd", "$PWD")).cwd("/").spawn().unwrap();
    assert_eq!(said(&mut child).await.1, "/");
}

#[test]
fn what_cannot_start_says_why() {
    assert!(matches!(sh("").spawn(), Err(SpawnError::NoRuntime)));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _entered = runtime.enter();
    let error = ChildProcess::new("no-such-program").spawn().unwrap_err();
    assert_eq!(error.to_string(), "no program `no-such-program`");
    let error = sh("").cwd("/no/such/directory").spawn().unwrap_err();
    assert!(matches!(error, SpawnError::NoDirectory { .. }), "{error}");
    let error = ChildProcess::new("/").spawn().unwrap_err();
    assert!(matches!(error, SpawnError::Refused { .. }), "{error}");
}

/// A process that starts a child and is killed; run by the test below.
#[test]
#[ignore = "not a test by itself"]
fn parent_to_be_killed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let script = format!("sleep 1000 & {}; exec sleep 1000", say("ready", "$$ $!"));
        let mut child = sh(&script).die_with_parent().spawn().unwrap();
        println!("\n{}", said(&mut child).await.1);
        std::future::pending::<()>().await;
    });
}

#[tokio::test]
async fn a_child_can_die_with_its_parent() {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut parent = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "parent_to_be_killed", "--nocapture"])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let pids = within(async {
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            let pids: Vec<_> = line.split(' ').map(str::to_owned).collect();
            if pids.len() == 2 && pids.iter().all(|pid| pid.parse::<u32>().is_ok()) {
                return pids;
            }
        }
    })
    .await;
    assert!(pids.iter().all(|pid| runs(pid)));
    // It costs one process, which holds nothing of ours but its end of a pipe: no more than the child does.
    #[cfg(target_os = "linux")]
    let watchdog = {
        let held = |pid: &str| {
            std::fs::read_dir(format!("/proc/{pid}/fd"))
                .unwrap()
                .count()
        };
        // Whoever starts a program goes on a moment before that one has its words, and has let go of what is not its own.
        within(async {
            loop {
                if let Some(watchdog) = watchdog(&pids[0])
                    && held(&watchdog) == held(&pids[0])
                {
                    return watchdog;
                }
                tokio::task::yield_now().await;
            }
        })
        .await
    };
    parent.kill().await.unwrap();
    for pid in pids {
        gone(&pid).await;
    }
    #[cfg(target_os = "linux")]
    gone(&watchdog).await;
}

/// The process that watches over the group of another.
#[cfg(target_os = "linux")]
fn watchdog(group: &str) -> Option<String> {
    let processes = std::fs::read_dir("/proc").unwrap();
    let mut processes = processes.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let words = format!("\0mcp-watchdog\0{group}\0");
    processes.find(|pid| {
        let words_of = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
        words_of.is_ok_and(|words_of| words_of.ends_with(&words))
    })
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_watchdog_goes_with_its_child_however_that_ends() {
    for script in ["exec cat", "exit 3", "exec sleep 1000"] {
        let mut child = sh(script)
            .die_with_parent()
            .grace(Duration::from_millis(20), Duration::from_millis(20))
            .spawn()
            .unwrap();
        let group = child.id().to_string();
        within(child.close()).await.unwrap();
        while watchdog(&group).is_some() {
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_connector_starts_the_child_again_but_not_for_ever() {
    let mut policy = RestartPolicy::default();
    (policy.starts, policy.pause) = (2, SHORT);
    let mut connect = ChildProcess::new("cat").connector(policy);
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut cat = within(connect()).await.unwrap();
        ids.push(cat.id());
        within(cat.close()).await.unwrap();
    }
    assert_ne!(ids[0], ids[1]);
    let refused = within(connect()).await.unwrap_err();
    assert!(
        matches!(refused, RestartError::TooOften { starts: 2, .. }),
        "{refused}"
    );
    let mut connect = ChildProcess::new("/no/such").connector(policy);
    assert!(matches!(
        within(connect()).await,
        Err(RestartError::Spawn(_))
    ));
}

#[tokio::test]
async fn a_captured_stderr_is_told_line_by_line() {
    let (send, mut lines) = tokio::sync::mpsc::unbounded_channel();
    let child = sh("echo one >&2; printf two >&2").stderr(Stderr::Capture(0));
    let child = child.on_stderr(move |line| {
        // The test may have ended.
        let _ = send.send(line.to_owned());
    });
    let mut child = child.spawn().unwrap();
    let exited = error(&mut child).await;
    assert_eq!(exited.stderr, [""; 0]);
    assert_eq!(within(lines.recv()).await.unwrap(), "one");
    assert_eq!(within(lines.recv()).await.unwrap(), "two");
}
