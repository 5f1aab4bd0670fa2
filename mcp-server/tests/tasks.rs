//! Tasks, in both designs: how they begin, stand, ask and end, and who may know.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use mcp_server::types::{ErrorCode, ErrorObject, InputRequests, ProtocolVersion, TaskState};
use mcp_server::{
    Cx, Extensions, HandlerError, JsonSchema, MemoryTasks, Principal, Replay, ReplayKeys, Server,
    ServerConnection, Storing, TaskOptions, TaskOwner, TaskRecord, TaskStore, TaskSupport,
    ToolError, tool, with,
};
use serde::Deserialize;
use serde_json::{Value, json};
use support::{ALL, Hand, code, everything, text};
use tokio::sync::watch;

const CORE: ProtocolVersion = ProtocolVersion::V2025_11_25;
const MODERN: ProtocolVersion = ProtocolVersion::V2026_07_28;
const RELATED: &str = "io.modelcontextprotocol/related-task";

#[derive(Deserialize, JsonSchema)]
struct Name {
    name: String,
}

/// How many handlers are there now.
#[derive(Clone, Default)]
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

struct One(Alive);

impl Drop for One {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn slow(alive: Alive) -> &'static str {
    alive.0.fetch_add(1, Ordering::SeqCst);
    let _one = One(alive);
    tokio::time::sleep(Duration::from_secs(15)).await;
    "slept"
}

async fn failing() -> Result<(), ToolError> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Err(ToolError::new("it did not work"))
}

async fn broken() -> Result<(), ToolError> {
    tokio::time::sleep(Duration::from_secs(1)).await;
    Err(HandlerError::protocol(ErrorObject::new(
        ErrorCode(7),
        "seven",
    )))
}

/// Reports before it is a task, as one, and when it has ended.
async fn reporting(cx: Cx) -> &'static str {
    cx.progress().at(1, None).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for again in [1, 2, 2] {
        cx.progress().at(again, Some("so far".to_owned())).await;
    }
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cx.progress().at(3, None).await;
    });
    "reported"
}

async fn panicking() -> &'static str {
    tokio::time::sleep(Duration::from_secs(1)).await;
    panic!("as it should")
}

async fn name_of(cx: &Cx, key: &'static str) -> Result<String, ToolError> {
    let name = cx.named(key).elicit::<Name>("Name?").await?.accepted();
    Ok(name.map_or("nobody".to_owned(), |name| name.name))
}

async fn two_names(cx: Cx) -> Result<String, ToolError> {
    let (one, two) = tokio::join!(name_of(&cx, "one"), name_of(&cx, "two"));
    // A key is used once, whatever its author says (REQ-TSKX-03).
    Ok(format!("{} {} {}", one?, two?, name_of(&cx, "one").await?))
}

async fn asks_first(cx: Cx) -> Result<String, ToolError> {
    let name = name_of(&cx, "user_name").await?;
    let task = cx.become_task().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let more = if task {
        name_of(&cx, "more").await?
    } else {
        String::new()
    };
    Ok(format!("{name} {task} {more}"))
}

#[derive(Default)]
struct Made {
    alive: Alive,
    options: TaskOptions,
    store: MemoryTasks,
    replay: bool,
}

impl Made {
    fn start(self) -> ServerConnection {
        use TaskSupport::{Optional, Required};
        let server = Server::new("tasks", "1.0.0")
            .tasks(self.options)
            .task_store(self.store)
            .page_size(2)
            .tool(tool("greet", || "Hello.").task(Optional))
            .tool(tool("never", || "Hello."))
            .tool(tool("slow", with(self.alive, slow)).task(Optional))
            .tool(tool("failing", failing).task(Required))
            .tool(tool("broken", broken).task(Optional))
            .tool(tool("panicking", panicking).task(Optional))
            .tool(tool("reporting", reporting).task(Optional))
            .tool(tool("two_names", two_names).task(Optional))
            .tool(tool("asks_first", asks_first).task_when_asked(Optional));
        match self.replay {
            false => server.start(),
            true => server.replay(Replay::new(ReplayKeys::new([1; 32]))).start(),
        }
    }
}

/// A client that knows tasks, and who it is.
async fn connect_as(server: &ServerConnection, version: ProtocolVersion, who: &str) -> Hand {
    let mut capabilities = everything();
    if version == MODERN {
        capabilities["extensions"] = json!({ "io.modelcontextprotocol/tasks": {} });
    }
    let known = match who {
        "" => Extensions::new(),
        who => Extensions::new().with(Principal::new(who)),
    };
    Hand::connect_with(server, version, capabilities, known).await
}

async fn connect(server: &ServerConnection, version: ProtocolVersion) -> Hand {
    connect_as(server, version, "").await
}

/// Starts a task and returns it, as it is in its design.
async fn start(hand: &mut Hand, name: &str) -> Value {
    let mut call = json!({ "name": name, "arguments": {} });
    if !hand.is_modern() {
        call["task"] = json!({});
    }
    let mut created = hand.once("tools/call", call).await.unwrap();
    if !hand.is_modern() {
        created = created["task"].take();
    } else {
        assert_eq!(created["resultType"], "task");
        for absent in [
            "task",
            "ttl",
            "pollInterval",
            "result",
            "requestState",
            "inputRequests",
        ] {
            assert_eq!(created.get(absent), None);
        }
        assert!(created["ttlMs"].as_u64().unwrap() > 0);
        assert!(created["pollIntervalMs"].as_u64().unwrap() > 0);
    }
    assert_eq!(created["status"], "working");
    for stamp in ["createdAt", "lastUpdatedAt"] {
        assert!(created[stamp].as_str().unwrap().ends_with('Z'));
    }
    created
}

async fn get(hand: &mut Hand, task: &Value) -> Value {
    let params = json!({ "taskId": task["taskId"] });
    let task = hand.call("tasks/get", params).await.unwrap();
    if hand.is_modern() {
        assert_eq!(task["resultType"], "complete");
    }
    assert_eq!(task.get("requestState"), None);
    task
}

/// How a task stands when there is nothing to be done any more.
async fn settled(hand: &mut Hand, task: &Value) -> Value {
    tokio::time::sleep(Duration::from_secs(120)).await;
    get(hand, task).await
}

async fn about(hand: &mut Hand, method: &str, task: &Value) -> Result<Value, Value> {
    hand.call(method, json!({ "taskId": task["taskId"] })).await
}

#[tokio::test(start_paused = true)]
async fn a_task_ends_as_its_call_would_have() {
    let server = Made::default().start();
    // TRAP-54
    let cases = [
        ("slow", "completed", "completed"),
        ("failing", "completed", "failed"),
        ("broken", "failed", "failed"),
        ("panicking", "failed", "failed"),
    ];
    for (name, modern, core) in cases {
        let mut hand = connect(&server, MODERN).await;
        let task = start(&mut hand, name).await;
        let working = get(&mut hand, &task).await;
        assert_eq!(working["status"], "working");
        let ended = settled(&mut hand, &task).await;
        assert_eq!(ended["status"], modern, "{ended}");
        assert_eq!(ended.get("result").is_some(), modern == "completed");
        assert_eq!(ended.get("error").is_some(), modern == "failed");
        if let Some(result) = ended.get("result") {
            assert_eq!(result["isError"] == true, name == "failing");
            assert_eq!(result["resultType"], "complete");
            assert_eq!(result.get("_meta"), None);
        }
        for gone in ["tasks/list", "tasks/result"] {
            let params = json!({ "taskId": task["taskId"] });
            let id = hand.send_unchecked(gone, params).await;
            assert_eq!(code(hand.outcome(id).await), -32601);
        }

        let mut hand = connect(&server, CORE).await;
        let task = start(&mut hand, name).await;
        // It waits for the end (REQ-TSKL-02).
        let result = about(&mut hand, "tasks/result", &task).await;
        match &result {
            Ok(result) => assert_eq!(result["_meta"][RELATED]["taskId"], task["taskId"]),
            Err(error) => assert_eq!(error["code"], if name == "broken" { 7 } else { -32603 }),
        }
        let ended = get(&mut hand, &task).await;
        assert_eq!(ended["status"], core, "{ended}");
        assert_eq!(ended.get("result"), None);
    }
}

#[tokio::test(start_paused = true)]
async fn what_becomes_a_task_is_for_tool_and_client_to_say() {
    let server = Made::default().start();
    let call = |name: &str| json!({ "name": name, "arguments": {} });
    for version in ALL {
        let mut hand = connect(&server, version).await;
        let extension = &hand.offered["extensions"]["io.modelcontextprotocol/tasks"];
        assert_eq!(extension.is_object() && hand.is_modern(), hand.is_modern());
        assert_eq!(
            hand.offered.get("tasks").is_some(),
            version == CORE,
            "{version:?}"
        );
        // What is done at once needs no task, and what is no task is what it always was.
        for name in ["greet", "never"] {
            let result = hand.call("tools/call", call(name)).await.unwrap();
            assert_eq!(text(&result), "Hello.");
        }
        let mut failing = hand.once("tools/call", call("failing")).await;
        match version {
            // REQ-TOOL-13
            CORE => assert_eq!(code(failing), -32601),
            MODERN => assert_eq!(failing.unwrap()["resultType"], "task"),
            _ => assert_eq!(failing.as_mut().unwrap()["isError"], true),
        }
        let mut wished = call("never");
        wished["task"] = json!({ "ttl": 1000 });
        let id = hand.send_unchecked("tools/call", wished).await;
        match version {
            CORE => assert_eq!(code(hand.outcome(id).await), -32601),
            // REQ-TSKX-04, REQ-TSKL-03
            _ => assert_eq!(text(&hand.outcome(id).await.unwrap()), "Hello."),
        }
    }
    // REQ-TSKX-01
    let mut plain = Hand::connect(&server, MODERN).await;
    let result = plain.call("tools/call", call("slow")).await.unwrap();
    assert_eq!(text(&result), "slept");
    let refused = plain.call("tools/call", call("failing")).await.unwrap_err();
    assert_eq!(refused["code"], -32021);
    let required = &refused["data"]["requiredCapabilities"]["extensions"];
    assert!(required["io.modelcontextprotocol/tasks"].is_object());
    for method in ["tasks/get", "tasks/cancel", "tasks/update"] {
        let params = json!({ "taskId": "x", "inputResponses": {} });
        assert_eq!(code(plain.call(method, params).await), -32021);
    }
    // Where no tool knows tasks, there are none.
    let server = Server::new("none", "1.0.0")
        .tool(tool("never", || "Hello."))
        .start();
    let mut hand = connect(&server, CORE).await;
    assert_eq!(hand.offered.get("tasks"), None);
    let mut wished = call("never");
    wished["task"] = json!({});
    assert_eq!(
        text(&hand.call("tools/call", wished).await.unwrap()),
        "Hello."
    );
    assert_eq!(
        code(hand.call("tasks/get", json!({ "taskId": "x" })).await),
        -32601
    );
}

#[tokio::test(start_paused = true)]
async fn a_task_is_cancelled_once_and_nothing_of_it_is_left() {
    for version in [CORE, MODERN] {
        let made = Made::default();
        let alive = made.alive.clone();
        let server = made.start();
        let mut hand = connect(&server, version).await;
        let task = start(&mut hand, "slow").await;
        assert_eq!(alive.count(), 1);
        let cancelled = about(&mut hand, "tasks/cancel", &task).await.unwrap();
        match version {
            MODERN => assert_eq!(cancelled.get("status"), None),
            _ => assert_eq!(cancelled["status"], "cancelled"),
        }
        assert_eq!(settled(&mut hand, &task).await["status"], "cancelled");
        assert_eq!(alive.count(), 0);
        let again = about(&mut hand, "tasks/cancel", &task).await;
        match version {
            MODERN => assert_eq!(again.unwrap()["resultType"], "complete"),
            _ => assert_eq!(code(again), -32602),
        }
        let unknown = json!({ "taskId": "unknown" });
        for method in ["tasks/get", "tasks/cancel", "tasks/result"] {
            if method != "tasks/result" || version == CORE {
                assert_eq!(code(about(&mut hand, method, &unknown).await), -32602);
            }
        }
        // A task outlives its connection, and not its server.
        start(&mut hand, "slow").await;
        drop(hand);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(alive.count(), 1);
        drop(server);
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(alive.count(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_asks_and_is_answered_bit_by_bit() {
    let server = Made::default().start();
    let mut hand = connect(&server, MODERN).await;
    let task = start(&mut hand, "two_names").await;
    let named = |name: &str| json!({ "action": "accept", "content": { "name": name } });
    for (open, answers) in [
        (
            vec!["one", "two"],
            json!({ "two": named("b"), "three": named("x") }),
        ),
        (vec!["one"], json!({ "one": 7 })),
        (vec!["one"], json!({ "one": named("a") })),
        (vec!["one-3"], json!({ "one": named("x") })),
        (vec!["one-3"], json!({ "one-3": named("c") })),
    ] {
        let waiting = get(&mut hand, &task).await;
        assert_eq!(waiting["status"], "input_required");
        let questions = waiting["inputRequests"].as_object().unwrap();
        assert_eq!(questions.keys().collect::<Vec<_>>(), open);
        let params = json!({ "taskId": task["taskId"], "inputResponses": answers });
        let updated = hand.call("tasks/update", params).await.unwrap();
        assert_eq!(
            updated.as_object().unwrap().len(),
            2,
            "nothing but type and `_meta`"
        );
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let ended = get(&mut hand, &task).await;
    assert_eq!(text(&ended["result"]), "a b c");

    let mut hand = connect(&server, CORE).await;
    hand.answer("elicitation/create", |params| {
        assert!(params["_meta"][RELATED]["taskId"].is_string());
        json!({ "action": "accept", "content": { "name": "n" } })
    });
    let task = start(&mut hand, "two_names").await;
    let result = about(&mut hand, "tasks/result", &task).await.unwrap();
    assert_eq!(text(&result), "n n n");
}

#[tokio::test(start_paused = true)]
async fn a_handler_asks_first_and_becomes_a_task_then() {
    let named = json!({ "action": "accept", "content": { "name": "Alice" } });
    for replay in [false, true] {
        let made = Made {
            replay,
            ..Made::default()
        };
        let server = made.start();
        let mut hand = connect(&server, MODERN).await;
        let call = json!({ "name": "asks_first", "arguments": {} });
        let round = hand.once("tools/call", call.clone()).await.unwrap();
        assert_eq!(round["resultType"], "input_required");
        assert_eq!(round.get("taskId"), None);
        let mut next = call.clone();
        next["requestState"] = round["requestState"].clone();
        next["inputResponses"] = json!({ "user_name": named });
        let task = hand.once("tools/call", next).await.unwrap();
        assert_eq!(task["resultType"], "task");
        assert_eq!(task.get("requestState"), None);
        let waiting = settled(&mut hand, &task).await;
        assert_eq!(waiting["status"], "input_required");
        let params = json!({ "taskId": task["taskId"], "inputResponses": { "more": named } });
        hand.call("tasks/update", params).await.unwrap();
        let ended = settled(&mut hand, &task).await;
        assert_eq!(text(&ended["result"]), "Alice true Alice");
        // Others are served as ever.
        for version in [CORE, MODERN] {
            let mut plain = Hand::connect(&server, version).await;
            let answer = named.clone();
            plain.answer("elicitation/create", move |_| answer.clone());
            let result = plain.call("tools/call", call.clone()).await.unwrap();
            assert_eq!(text(&result), "Alice false ");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn whose_a_task_is_decides_who_may_know() {
    // REQ-TSKL-04, REQ-TSKX-05
    let server = Made::default().start();
    for version in [CORE, MODERN] {
        let mut alice = connect_as(&server, version, "alice").await;
        let task = start(&mut alice, "slow").await;
        for who in ["bob", ""] {
            let mut other = connect_as(&server, version, who).await;
            for method in ["tasks/get", "tasks/cancel"] {
                assert_eq!(code(about(&mut other, method, &task).await), -32602);
            }
        }
        let mut again = connect_as(&server, version, "alice").await;
        assert_eq!(get(&mut again, &task).await["status"], "working");
        // Nobody in particular: whoever knows the id.
        let mut nobody = connect(&server, version).await;
        let task = start(&mut nobody, "slow").await;
        let mut other = connect(&server, version).await;
        assert_eq!(get(&mut other, &task).await["status"], "working");
    }
    let mut hand = connect(&server, CORE).await;
    let mut started = Vec::new();
    for _ in 0..5 {
        started.push(start(&mut hand, "slow").await["taskId"].clone());
    }
    let mut listed = Vec::new();
    let mut params = json!({});
    loop {
        let page = hand.call("tasks/list", params).await.unwrap();
        let tasks = page["tasks"].as_array().unwrap();
        assert!(tasks.len() <= 2);
        listed.extend(tasks.iter().map(|task| task["taskId"].clone()));
        let Some(cursor) = page.get("nextCursor") else {
            break;
        };
        params = json!({ "cursor": cursor });
    }
    assert_eq!(listed, started);
    let foreign = json!({ "cursor": "unknown" });
    assert_eq!(code(hand.call("tasks/list", foreign).await), -32602);
    let mut other = connect(&server, CORE).await;
    let page = other.call("tasks/list", json!({})).await.unwrap();
    assert_eq!(page["tasks"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn tasks_are_kept_for_their_time_and_no_more_of_them_than_may_be() {
    let mut options = TaskOptions::default();
    options.time = Duration::from_secs(600);
    let store = MemoryTasks::new(2, 100);
    let made = Made {
        options,
        store,
        ..Made::default()
    };
    let alive = made.alive.clone();
    let server = made.start();
    let mut hand = connect(&server, CORE).await;
    let mut call = json!({ "name": "slow", "arguments": {}, "task": { "ttl": 8_000 } });
    let short = hand.once("tools/call", call.clone()).await.unwrap()["task"].take();
    assert_eq!(short["ttl"], 8_000);
    call["task"]["ttl"] = 1_000_000.into();
    let long = hand.once("tools/call", call.clone()).await.unwrap()["task"].take();
    assert_eq!(long["ttl"], 600_000, "no more than the server gives");
    assert_eq!(code(hand.once("tools/call", call).await), -32603);
    assert_eq!(alive.count(), 2);
    tokio::time::sleep(Duration::from_secs(7)).await;
    get(&mut hand, &short).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(code(about(&mut hand, "tasks/get", &short).await), -32602);
    assert_eq!(alive.count(), 1);
    tokio::time::sleep(Duration::from_secs(580)).await;
    let ended = get(&mut hand, &long).await;
    assert_eq!(ended["status"], "completed");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(code(about(&mut hand, "tasks/get", &long).await), -32602);
    // A result that there is no room for is an error.
    let made = Made {
        store: MemoryTasks::new(2, 10),
        ..Made::default()
    };
    let server = made.start();
    let mut hand = connect(&server, MODERN).await;
    let task = start(&mut hand, "slow").await;
    assert_eq!(settled(&mut hand, &task).await["status"], "failed");
}

#[tokio::test(start_paused = true)]
async fn a_task_is_not_kept_longer_because_an_earlier_one_is() {
    let made = Made::default();
    let alive = made.alive.clone();
    let server = made.start();
    let mut hand = connect(&server, CORE).await;
    start(&mut hand, "slow").await;
    let call = json!({ "name": "slow", "arguments": {}, "task": { "ttl": 1000 } });
    for _ in 0..2 {
        hand.once("tools/call", call.clone()).await.unwrap();
        // Whoever looks after them sleeps.
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(alive.count(), 3);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(alive.count(), 2);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(alive.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_may_be_kept_for_ever() {
    let mut options = TaskOptions::default();
    options.time = Duration::MAX;
    let made = Made {
        options,
        ..Made::default()
    };
    let server = made.start();
    for version in [CORE, MODERN] {
        let mut hand = connect(&server, version).await;
        let task = start(&mut hand, "slow").await;
        tokio::time::sleep(Duration::from_secs(1_000_000)).await;
        assert_eq!(get(&mut hand, &task).await["status"], "completed");
    }
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_is_not_found_though_nobody_has_removed_it() {
    let record = |id: &str, age| TaskRecord {
        id: id.to_owned(),
        owner: TaskOwner::Bearer,
        status: TaskState::Working,
        created: SystemTime::now() - Duration::from_secs(age),
        updated: SystemTime::now(),
        time: Duration::from_secs(3600),
        questions: InputRequests::new(),
        outcome: None,
    };
    let store = MemoryTasks::default();
    store.create(record("old", 3601)).await.unwrap();
    store.create(record("new", 0)).await.unwrap();
    let made = Made {
        store,
        ..Made::default()
    };
    let server = made.start();
    let mut hand = connect(&server, MODERN).await;
    get(&mut hand, &json!({ "taskId": "new" })).await;
    let old = json!({ "taskId": "old" });
    assert_eq!(code(about(&mut hand, "tasks/get", &old).await), -32602);
}

/// A store that answers only while it is open, what it has kept already or is still to keep.
struct Slow {
    tasks: Arc<MemoryTasks>,
    open: watch::Receiver<bool>,
}

impl Slow {
    async fn answers(&self) {
        self.open.clone().wait_for(|open| *open).await.unwrap();
    }
}

impl TaskStore for Slow {
    fn create(&self, task: TaskRecord) -> Storing<'_, ()> {
        Box::pin(async move {
            self.tasks.create(task).await?;
            self.answers().await;
            Ok(())
        })
    }

    fn update(&self, task: TaskRecord) -> Storing<'_, ()> {
        Box::pin(async move {
            self.answers().await;
            self.tasks.update(task).await
        })
    }

    fn get<'a>(&'a self, id: &'a str) -> Storing<'a, Option<TaskRecord>> {
        self.tasks.get(id)
    }

    fn list<'a>(
        &'a self,
        owner: &'a TaskOwner,
        after: Option<&'a str>,
        limit: usize,
    ) -> Storing<'a, Vec<TaskRecord>> {
        self.tasks.list(owner, after, limit)
    }

    fn remove<'a>(&'a self, id: &'a str) -> Storing<'a, ()> {
        self.tasks.remove(id)
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_half_done_by_a_request_that_is_cancelled_while_the_store_is_slow() {
    let (open, is_open) = watch::channel(false);
    let tasks = Arc::new(MemoryTasks::default());
    let store = Slow {
        tasks: Arc::clone(&tasks),
        open: is_open,
    };
    let alive = Alive::default();
    let server = Server::new("tasks", "1.0.0")
        .task_store(store)
        .tool(tool("slow", with(alive.clone(), slow)).task(TaskSupport::Optional))
        .start();
    let mut hand = connect_as(&server, CORE, "alice").await;
    let owner = TaskOwner::Principal("alice".to_owned());
    let call = json!({ "name": "slow", "arguments": {}, "task": {} });
    let soon = || tokio::time::sleep(Duration::from_millis(1));
    let cancelled = |id| {
        let params = json!({ "requestId": id });
        json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": params })
    };

    let creating = hand.request("tools/call", call.clone()).await;
    soon().await;
    assert_eq!(tasks.list(&owner, None, 9).await.unwrap().len(), 1);
    hand.send(cancelled(creating)).await;
    soon().await;
    open.send_replace(true);
    soon().await;
    assert_eq!(tasks.list(&owner, None, 9).await.unwrap(), []);
    assert_eq!(alive.count(), 0);

    let task = hand.once("tools/call", call).await.unwrap()["task"].take();
    let id = task["taskId"].as_str().unwrap();
    let mut other = connect_as(&server, CORE, "alice").await;
    let result = other.request("tasks/result", json!({ "taskId": id })).await;
    soon().await;
    open.send_replace(false);
    let cancelling = hand.request("tasks/cancel", json!({ "taskId": id })).await;
    soon().await;
    hand.send(cancelled(cancelling)).await;
    soon().await;
    open.send_replace(true);
    let error = other.outcome(result).await.unwrap_err();
    assert_eq!(error["message"], "the task was cancelled");
    let record = tasks.get(id).await.unwrap().unwrap();
    assert_eq!(record.status, TaskState::Cancelled);
    assert_eq!(alive.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_task_of_another_node_is_seen_and_cannot_be_cancelled_or_answered() {
    let (_open, open) = watch::channel(true);
    let tasks = Arc::new(MemoryTasks::default());
    let node = || {
        let (tasks, open) = (Arc::clone(&tasks), open.clone());
        Server::new("tasks", "1.0.0")
            .task_store(Slow { tasks, open })
            .tool(tool("slow", with(Alive::default(), slow)).task(TaskSupport::Optional))
            .start()
    };
    for version in [CORE, MODERN] {
        let nodes = [node(), node()];
        let mut here = connect_as(&nodes[0], version, "alice").await;
        let mut there = connect_as(&nodes[1], version, "alice").await;
        let task = start(&mut here, "slow").await;
        let seen = about(&mut there, "tasks/get", &task).await.unwrap();
        assert_eq!(seen["status"], "working");
        let answer = json!({ "taskId": task["taskId"], "inputResponses": {} });
        assert_eq!(code(about(&mut there, "tasks/cancel", &task).await), -32603);
        if version == MODERN {
            assert_eq!(
                code(there.call("tasks/update", answer.clone()).await),
                -32603
            );
            here.call("tasks/update", answer.clone()).await.unwrap();
        }
        about(&mut here, "tasks/cancel", &task).await.unwrap();
        // It has ended, wherever one asks.
        let again = about(&mut there, "tasks/cancel", &task).await;
        match version {
            MODERN => {
                again.unwrap();
                there.call("tasks/update", answer).await.unwrap();
            }
            _ => assert_eq!(code(again), -32602),
        }
    }
}

const STATUS: &str = "notifications/tasks/status";
const UPDATED: &str = "notifications/tasks";

/// Asks, and does not wait for the answer for long.
async fn impatient(cx: Cx) -> &'static str {
    let asking = tokio::time::timeout(Duration::from_secs(5), cx.roots());
    assert!(asking.await.is_err());
    tokio::time::sleep(Duration::from_secs(10)).await;
    "enough"
}

async fn asks_twice(cx: Cx) -> Result<&'static str, ToolError> {
    let (one, two) = tokio::join!(cx.roots(), cx.roots());
    one.and(two)?;
    tokio::time::sleep(Duration::from_secs(10)).await;
    Ok("enough")
}

/// The id of a question that the server asks.
async fn question(hand: &mut Hand) -> Value {
    loop {
        let message = hand.next().await;
        if message["method"] == "roots/list" {
            return message["id"].clone();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_waits_for_input_as_long_as_a_question_of_it_is_open() {
    let server = Server::new("tasks", "1.0.0")
        .tool(tool("impatient", impatient).task(TaskSupport::Optional))
        .tool(tool("asks_twice", asks_twice).task(TaskSupport::Optional))
        .start();
    let mut hand = connect(&server, CORE).await;
    let task = start(&mut hand, "impatient").await;
    question(&mut hand).await;
    assert_eq!(get(&mut hand, &task).await["status"], "input_required");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(get(&mut hand, &task).await["status"], "working");
    assert_eq!(settled(&mut hand, &task).await["status"], "completed");
    let told_of = told(&mut hand, STATUS).await;
    let statuses: Vec<_> = told_of.iter().map(|told| &told["status"]).collect();
    assert_eq!(statuses, ["working", "completed"]);

    let task = start(&mut hand, "asks_twice").await;
    let questions = [question(&mut hand).await, question(&mut hand).await];
    for (id, stands) in questions.iter().zip(["input_required", "working"]) {
        assert_eq!(get(&mut hand, &task).await["status"], "input_required");
        let answer = json!({ "jsonrpc": "2.0", "id": id, "result": { "roots": [] } });
        hand.send(answer).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(get(&mut hand, &task).await["status"], stands);
    }
    assert_eq!(settled(&mut hand, &task).await["status"], "completed");
}

/// What a client has been told of tasks by now.
async fn told(hand: &mut Hand, method: &str) -> Vec<Value> {
    hand.call("tools/list", json!({})).await.unwrap();
    let seen = std::mem::take(&mut hand.seen);
    let about_tasks = |m: &&Value| m["method"] == method;
    let told = seen.iter().filter(about_tasks);
    told.map(|m| m["params"].clone()).collect()
}

/// Follows a task on a stream, and gives back what is granted.
async fn follow(hand: &mut Hand, task: &Value) -> Value {
    let filter = json!({ "notifications": { "taskIds": [task["taskId"], "another"] } });
    hand.request("subscriptions/listen", filter).await;
    hand.next().await["params"]["notifications"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_session_of_2025_11_25_is_told_how_its_tasks_stand() {
    let server = Made::default().start();
    let mut hand = connect(&server, CORE).await;
    let mut other = connect(&server, CORE).await;
    let slow = start(&mut hand, "slow").await;
    let failing = start(&mut hand, "failing").await;
    let cancelled = start(&mut hand, "slow").await;
    assert_eq!(
        told(&mut hand, STATUS).await,
        [Value::Null; 0],
        "nothing has changed"
    );
    about(&mut hand, "tasks/cancel", &cancelled).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let told_of = told(&mut hand, STATUS).await;
    let stand = |told: &Value| (told["taskId"].clone(), told["status"].clone());
    let expected = [
        (cancelled["taskId"].clone(), json!("cancelled")),
        (failing["taskId"].clone(), json!("failed")),
        (slow["taskId"].clone(), json!("completed")),
    ];
    assert_eq!(told_of.iter().map(stand).collect::<Vec<_>>(), expected);
    let known = get(&mut hand, &slow).await;
    assert_eq!(told_of[2], known, "what is told is what can be asked for");
    assert_eq!(told(&mut other, STATUS).await, [Value::Null; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_task_of_2025_11_25_reports_as_its_call_would() {
    // REQ-PROG-07; a modern task does not report.
    for (version, expected) in [(CORE, vec![1, 2]), (MODERN, vec![1])] {
        let server = Made::default().start();
        let mut hand = connect(&server, version).await;
        let meta = json!({ "progressToken": "p" });
        let mut call = json!({ "name": "reporting", "arguments": {}, "_meta": meta });
        if version == CORE {
            call["task"] = json!({});
        }
        let created = hand.once("tools/call", call).await.unwrap();
        let task = created.get("task").unwrap_or(&created);
        assert_eq!(settled(&mut hand, task).await["status"], "completed");
        let told = told(&mut hand, "notifications/progress").await;
        let progress: Vec<_> = told.iter().map(|params| &params["progress"]).collect();
        assert_eq!(progress, expected);
        for params in told {
            assert_eq!(params["progressToken"], "p");
            if version == CORE {
                assert_eq!(params["_meta"][RELATED]["taskId"], task["taskId"]);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_modern_client_is_told_of_the_tasks_that_it_follows() {
    let server = Made::default().start();
    let mut hand = connect(&server, MODERN).await;
    let mut other = connect(&server, MODERN).await;
    let (slow, asks) = (
        start(&mut hand, "slow").await,
        start(&mut hand, "two_names").await,
    );
    let granted = follow(&mut hand, &slow).await;
    assert_eq!(granted, json!({ "taskIds": [slow["taskId"], "another"] }));
    // Whoever knows its id may follow it, for it is nobody's.
    follow(&mut other, &asks).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let told_of = told(&mut hand, UPDATED).await;
    let [ended] = told_of.as_slice() else {
        panic!("{told_of:?}");
    };
    assert_eq!(
        (&ended["taskId"], &ended["status"]),
        (&slow["taskId"], &json!("completed"))
    );
    assert_eq!(text(&ended["result"]), "slept");
    assert!(ended["_meta"]["io.modelcontextprotocol/subscriptionId"].is_u64());

    let answer = json!({ "action": "accept", "content": { "name": "Ada" } });
    let params =
        json!({ "taskId": asks["taskId"], "inputResponses": { "one": answer, "two": answer } });
    other.call("tasks/update", params).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let told_of = told(&mut other, UPDATED).await;
    let last = told_of.last().unwrap();
    assert_eq!(last["status"], "input_required", "{told_of:?}");
    assert_eq!(last["inputRequests"].as_object().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_task_is_followed_by_its_owner_alone_and_by_who_declares_it() {
    // REQ-TSKX-01, REQ-TSKX-05
    let server = Made::default().start();
    let mut alice = connect_as(&server, MODERN, "alice").await;
    let mut bob = connect_as(&server, MODERN, "bob").await;
    let task = start(&mut alice, "slow").await;
    for hand in [&mut alice, &mut bob] {
        follow(hand, &task).await;
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(told(&mut alice, UPDATED).await.len(), 1);
    assert_eq!(told(&mut bob, UPDATED).await.len(), 0);

    let mut unaware = Hand::connect(&server, MODERN).await;
    let filter = json!({ "notifications": { "taskIds": [task["taskId"]] } });
    assert_eq!(
        code(unaware.call("subscriptions/listen", filter).await),
        -32021
    );
}

#[test]
fn tasks_expire_though_the_runtime_they_came_from_has_ended() {
    let made = Made {
        store: MemoryTasks::new(1, 1000),
        ..Made::default()
    };
    let (server, time) = (made.start(), TaskOptions::default().time);
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time().start_paused(true).build().unwrap()
    };
    runtime().block_on(async {
        let mut hand = connect(&server, MODERN).await;
        start(&mut hand, "slow").await;
    });
    runtime().block_on(async {
        let mut hand = connect(&server, MODERN).await;
        // Nobody looked after the one that is kept, until now.
        let call = json!({ "name": "slow", "arguments": {} });
        assert_eq!(code(hand.once("tools/call", call).await), -32603);
        tokio::time::sleep(time).await;
        start(&mut hand, "slow").await;
    });
}
