//! Handlers that go on as tasks.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use mcp_peer::types::{CreateTaskResult, Era, ErrorObject, ProtocolVersion, RelatedTask};
use mcp_peer::{Answer, HandlerFuture, Question, RequestContext, Rounds};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::{Created, TaskRecord, Tasks, shown, to_its_end};
use crate::router::encoded;

/// When a call becomes a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum When {
    /// At once, for its caller wants it.
    AtOnce,
    /// When it takes its time.
    NotReady,
    /// When its handler says so.
    Asked,
}

/// Whether a call's handler wants to go on as a task, and does.
#[derive(Debug)]
pub(crate) struct Wish {
    /// The handler does not keep the server alive.
    tasks: Weak<Tasks>,
    wanted: AtomicBool,
    /// The task, once it is one.
    granted: watch::Sender<Option<String>>,
}

impl Wish {
    /// Asks to go on as a task, and waits until it is one.
    pub(crate) async fn become_task(&self) -> bool {
        self.wanted.store(true, Ordering::Relaxed);
        let mut granted = self.granted.subscribe();
        granted.wait_for(Option::is_some).await.is_ok()
    }

    /// The task that it has become.
    pub(crate) fn task(&self) -> Option<RelatedTask> {
        self.granted.borrow().as_ref().map(RelatedTask::new)
    }

    /// Says that a question is under way to a legacy client, if the call has become a task by now: as long as what this gives
    /// back is there.
    pub(crate) async fn waiting(&self) -> Option<Waiting> {
        let id = self.granted.borrow().clone()?;
        let tasks = self.tasks.upgrade()?;
        tasks.waits(&id, true);
        let waiting = Waiting {
            id,
            tasks: Weak::clone(&self.tasks),
            over: false,
        };
        tasks.write(&waiting.id).await;
        Some(waiting)
    }
}

/// A task's question that is under way to a legacy client.
pub(crate) struct Waiting {
    id: String,
    tasks: Weak<Tasks>,
    over: bool,
}

impl Waiting {
    /// It is not any more.
    pub(crate) async fn over(mut self) {
        if let Some(tasks) = self.tasks.upgrade() {
            self.over = true;
            tasks.waits(&self.id, false);
            let id = std::mem::take(&mut self.id);
            to_its_end(async move { tasks.write(&id).await }).await;
        }
    }
}

/// The handler did not wait for the answer.
impl Drop for Waiting {
    fn drop(&mut self) {
        if !self.over
            && let Some(tasks) = self.tasks.upgrade()
        {
            tasks.waits(&self.id, false);
            // If there is no runtime, it is written with whatever comes next.
            if let Ok(runtime) = Handle::try_current() {
                let id = std::mem::take(&mut self.id);
                runtime.spawn(async move { tasks.write(&id).await });
            }
        }
    }
}

/// A call that may become a task: completes with its answer, or with the task.
struct Becoming {
    stage: Stage,
    when: When,
    time: Duration,
    context: RequestContext,
    /// What it asks is for the task to tell, unless its handler says when it is one.
    asking: Option<Rounds>,
    wish: Arc<Wish>,
    tasks: Arc<Tasks>,
}

enum Stage {
    Call(HandlerFuture),
    Creating(HandlerFuture, Creating),
    Over,
}

type Creating = Pin<Box<dyn Future<Output = Result<Created, ErrorObject>> + Send>>;

/// Lets a call become a task; `make` makes its handler.
pub(crate) fn becoming(
    tasks: &Arc<Tasks>,
    context: &RequestContext,
    when: When,
    time: Duration,
    make: impl FnOnce(Arc<Wish>) -> HandlerFuture,
) -> HandlerFuture {
    let wish = Arc::new(Wish {
        tasks: Arc::downgrade(tasks),
        wanted: AtomicBool::new(false),
        granted: watch::Sender::new(None),
    });
    Box::pin(Becoming {
        stage: Stage::Call(make(Arc::clone(&wish))),
        when,
        time,
        context: context.clone(),
        asking: (when != When::Asked).then(|| context.rounds()),
        wish,
        tasks: Arc::clone(tasks),
    })
}

impl Future for Becoming {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let this = &mut *self;
        loop {
            match std::mem::replace(&mut this.stage, Stage::Over) {
                Stage::Call(mut handler) => {
                    if this.when != When::AtOnce
                        && let Poll::Ready(answer) = handler.as_mut().poll(cx)
                    {
                        return Poll::Ready(answer);
                    }
                    if this.when == When::Asked && !this.wish.wanted.load(Ordering::Relaxed) {
                        this.stage = Stage::Call(handler);
                        return Poll::Pending;
                    }
                    let (tasks, context) = (Arc::clone(&this.tasks), this.context.clone());
                    let time = this.time;
                    let creating = async move { tasks.create(&context, time).await };
                    this.stage = Stage::Creating(handler, Box::pin(creating));
                }
                Stage::Creating(handler, mut creating) => match creating.as_mut().poll(cx) {
                    Poll::Pending => {
                        this.stage = Stage::Creating(handler, creating);
                        return Poll::Pending;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Answer::Error(error)),
                    Poll::Ready(Ok(mut created)) => {
                        created.begun = true;
                        let record = &created.record;
                        let asking = this.asking.take();
                        let asking = asking.unwrap_or_else(|| this.context.rounds());
                        let version = this.context.caller().version;
                        run(&this.tasks, record, version, asking, handler);
                        this.wish.granted.send_replace(Some(record.id.clone()));
                        let task = shown(record, version, this.tasks.options.poll);
                        return Poll::Ready(encoded(CreateTaskResult::new(task), version));
                    }
                },
                Stage::Over => return Poll::Pending,
            }
        }
    }
}

/// A task at work.
struct Running {
    id: String,
    handler: HandlerFuture,
    asking: Rounds,
    tasks: Weak<Tasks>,
}

enum Step {
    Asked(Vec<Question>),
    Done(Answer),
}

fn run(
    tasks: &Arc<Tasks>,
    record: &TaskRecord,
    version: ProtocolVersion,
    asking: Rounds,
    handler: HandlerFuture,
) {
    let core = version.era() == Era::Legacy;
    asking.detach(core.then(|| RelatedTask::new(&record.id)));
    let running = Running {
        id: record.id.clone(),
        handler,
        asking,
        tasks: Arc::downgrade(tasks),
    };
    let work = tokio::spawn(running.run());
    tasks.started(&record.id, work.abort_handle());
}

impl Running {
    async fn run(mut self) {
        loop {
            let step = std::future::poll_fn(|cx| self.poll_step(cx)).await;
            let Some(tasks) = self.tasks.upgrade() else {
                return;
            };
            match step {
                Step::Asked(questions) => tasks.asked(&self.id, questions).await,
                Step::Done(answer) => {
                    // Before it is told: nothing is sent on behalf of a task that has ended.
                    self.asking.end();
                    return tasks.finish(&self.id, answer).await;
                }
            }
        }
    }

    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let handler = &mut self.handler;
        match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(cx))) {
            Ok(Poll::Ready(answer)) => return Poll::Ready(Step::Done(answer)),
            Ok(Poll::Pending) => {}
            Err(_) => {
                tracing::error!(task = self.id, "a task's handler panicked");
                let error = ErrorObject::internal("the handler failed");
                return Poll::Ready(Step::Done(Answer::Error(error)));
            }
        }
        let questions = self.asking.poll_questions(cx);
        match questions.is_empty() {
            true => Poll::Pending,
            false => Poll::Ready(Step::Asked(questions)),
        }
    }
}

/// Whoever still asks on behalf of a task that has ended is told.
impl Drop for Running {
    fn drop(&mut self) {
        self.asking.end();
    }
}

/// Locks; nothing that could panic runs under the locks of this module.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
