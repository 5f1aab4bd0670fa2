//! The streams of one legacy session: what goes out is sorted into lanes, one a POST and one for all else, and waits there
//! for whoever reads the lane; what was read stays for a while, should its reader have lost it.
//!
//! ```text
//!                        ┌─ lane 1 (POST with request 7)  ──▶ JSON, or events 1-1, 1-2, … and the answer
//!  driver ──Outbound──▶ ─┼─ lane 2 (POST with request 8)  ──▶ …
//!     (by related_to)    └─ lane 0 (whatever belongs to none) ──▶ GET
//! ```

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use mcp_types::{Message, Outbound, ProtocolVersion, RequestId, ResponseMessage};
use tokio::time::Instant;

use super::reply;

mod reader;

pub(super) use reader::{FirstOfLane, LaneStream, Reader};

/// As good as for ever, and still a time that there will be.
pub(super) const LONG: Duration = Duration::from_secs(365 * 24 * 3600);

/// The lane for what belongs to no request.
pub(super) const STANDING: u64 = 0;

#[derive(Debug)]
pub(super) struct Lanes {
    state: Mutex<State>,
    limits: LaneLimits,
    /// All that goes out goes by the standing lane, whatever it belongs to, and nobody can come back to it.
    merged: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct LaneLimits {
    /// Bytes that may wait for readers before the program waits.
    pub(super) backlog: usize,
    /// Bytes that are kept for readers who come back.
    pub(super) replay: usize,
    pub(super) retry: Duration,
    pub(super) keep_alive: Duration,
}

#[derive(Debug)]
struct State {
    lanes: BTreeMap<u64, Lane>,
    by_request: BTreeMap<RequestId, u64>,
    last_lane: u64,
    last_reader: u64,
    held: Held,
    /// It has been said that something was dropped.
    warned: bool,
    /// What `initialize` has settled on.
    version: Option<ProtocolVersion>,
    /// The `initialize` that is not answered.
    opening: Option<RequestId>,
    writer: Option<Waker>,
    clock: Clock,
    /// When the client was last heard of, or the last reader went away.
    used: Instant,
    closed: bool,
}

/// Who keeps the time for readers that do not wait for ever: one timer for all of them, which is left as it is if it is early,
/// for a timer a request would be a system call a request.
#[derive(Debug, Default)]
struct Clock {
    /// When it is to look, or earlier than that.
    due: Option<Instant>,
    keeper: Option<Waker>,
}

/// What was said on a stream.
#[derive(Debug)]
struct Event {
    number: u64,
    data: Bytes,
    /// Somebody waits for it, and it will not be said again.
    answer: bool,
}

/// What it takes to keep an event beside its text, in bytes, and a lane for an answer.
const PLACE: usize = 256;

impl Event {
    /// What it takes to keep it, in bytes; about as many.
    fn weight(&self) -> usize {
        let places = if self.answer { 2 } else { 1 };
        self.data.len() + places * PLACE
    }
}

/// One stream: events by number, from the oldest that is kept.
#[derive(Debug, Default)]
struct Lane {
    events: VecDeque<Event>,
    /// The number of the last event.
    last: u64,
    /// The number of the last event that a reader took.
    read: u64,
    /// How many requests have no answer yet.
    open: usize,
    /// Who reads; whoever comes later takes over.
    reader: Option<u64>,
    waker: Option<Waker>,
    /// When its reader will have waited long enough for the first word.
    patience: Option<Instant>,
    /// A reader knows a number to come back with.
    resumable: bool,
    /// The server wants the reader to come back later.
    hung_up: bool,
}

/// Why a lane cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("another stream is open already")]
    Taken,
    #[error("`Last-Event-ID` names no event that is kept")]
    Lost,
}

/// What events weigh, by who may still want them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Held {
    again: usize,
    anybody: usize,
    asker: usize,
    reader: usize,
}

/// Who may still want an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeptFor {
    /// Who has been sent it, and lost it.
    Again,
    /// Nobody is there; whoever comes back has missed it.
    Anybody,
    /// The same, and it is an answer.
    Asker,
    /// Its reader is there.
    Reader,
}

impl Held {
    fn of(&mut self, kept_for: KeptFor) -> &mut usize {
        match kept_for {
            KeptFor::Again => &mut self.again,
            KeptFor::Anybody => &mut self.anybody,
            KeptFor::Asker => &mut self.asker,
            KeptFor::Reader => &mut self.reader,
        }
    }

    fn add(&mut self, lane: &Lane) {
        for event in &lane.events {
            *self.of(lane.kept_for(event)) += event.weight();
        }
    }

    fn take(&mut self, lane: &Lane) {
        for event in &lane.events {
            *self.of(lane.kept_for(event)) -= event.weight();
        }
    }
}

impl Lane {
    /// Whether nothing more will come.
    fn is_finished(&self, number: u64) -> bool {
        number != STANDING && self.open == 0
    }

    /// What is kept of the events after one, the last first.
    fn after(&self, number: u64) -> impl Iterator<Item = &Event> {
        let events = self.events.iter().rev();
        events.take_while(move |event| event.number > number)
    }

    /// What those weigh that no reader has taken.
    fn unread(&self) -> usize {
        self.after(self.read).map(Event::weight).sum()
    }

    /// Whether nothing more will come, and nothing is left.
    fn is_over(&self, number: u64) -> bool {
        self.is_finished(number) && self.unread() == 0
    }

    fn kept_for(&self, event: &Event) -> KeptFor {
        match self.reader {
            _ if event.number <= self.read => KeptFor::Again,
            Some(_) => KeptFor::Reader,
            None if event.answer => KeptFor::Asker,
            None => KeptFor::Anybody,
        }
    }

    /// Where the oldest of its events is that are kept for somebody.
    fn oldest(&self, kept_for: KeptFor) -> Option<usize> {
        // What was read comes first.
        let from = match kept_for {
            KeptFor::Again => 0,
            _ => (self.events).partition_point(|event| event.number <= self.read),
        };
        let mut events = self.events.range(from..);
        let at = match kept_for {
            KeptFor::Again => events
                .next()
                .filter(|event| event.number <= self.read)
                .map(|_| 0),
            _ => events.position(|event| self.kept_for(event) == kept_for),
        };
        at.map(|at| from + at)
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

impl Lanes {
    pub(super) fn new(limits: LaneLimits) -> Self {
        let state = State {
            lanes: BTreeMap::from([(STANDING, Lane::default())]),
            by_request: BTreeMap::new(),
            last_lane: STANDING,
            last_reader: 0,
            held: Held::default(),
            warned: false,
            version: None,
            opening: None,
            writer: None,
            clock: Clock::default(),
            used: Instant::now(),
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            limits,
            merged: false,
        }
    }

    /// One lane alone.
    #[cfg(feature = "http-sse")]
    pub(super) fn merged(limits: LaneLimits) -> Self {
        let limits = LaneLimits {
            replay: 0,
            ..limits
        };
        Self {
            merged: true,
            ..Self::new(limits)
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No program's code runs under it, and nothing is left half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `initialize` has settled on, once it has.
    pub(super) fn version(&self) -> Option<ProtocolVersion> {
        self.lock().version
    }

    /// A request is an `initialize`, perhaps another one: its result says which version it is from then on.
    pub(super) fn opened_by(&self, request: &RequestId) {
        self.lock().opening = Some(request.clone());
    }

    /// Whether nothing that was asked for is under way, and nobody listens.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.lock();
        state.by_request.is_empty() && !state.is_read()
    }

    /// When they were used last, as far as is known while somebody reads.
    pub(super) fn used(&self) -> Instant {
        self.lock().used
    }

    /// They are used now.
    pub(super) fn touch(&self) {
        self.lock().used = Instant::now();
    }

    /// Whether somebody listens, or waits for an answer.
    pub(super) fn is_read(&self) -> bool {
        self.lock().is_read()
    }

    /// Whether somebody reads what belongs to no request.
    pub(super) fn is_listened_to(&self) -> bool {
        self.lock().is_listened_to()
    }

    /// Opens a lane for requests; none if one of them is in flight already.
    pub(super) fn open(self: &Arc<Self>, requests: &[RequestId]) -> Option<Reader> {
        let mut state = self.lock();
        let number = state.last_lane + 1;
        for (i, id) in requests.iter().enumerate() {
            match state.by_request.entry(id.clone()) {
                Entry::Vacant(entry) => entry.insert(number),
                Entry::Occupied(_) => {
                    for id in &requests[..i] {
                        state.by_request.remove(id);
                    }
                    return None;
                }
            };
        }
        state.last_lane = number;
        let lane = Lane {
            open: requests.len(),
            ..Lane::default()
        };
        state.lanes.insert(number, lane);
        Some(self.attach(&mut state, number))
    }

    /// Reads what belongs to no request, from where the last reader stopped.
    pub(super) fn listen(self: &Arc<Self>) -> Result<Reader, Unreadable> {
        let mut state = self.lock();
        if state.is_listened_to() {
            return Err(Unreadable::Taken);
        }
        Ok(self.attach(&mut state, STANDING))
    }

    /// Goes on where a reader was that is lost, on that lane and no other (REQ-HTTPL-08).
    pub(super) fn resume(self: &Arc<Self>, last_event: &str) -> Result<Reader, Unreadable> {
        let (number, last) = last_event
            .split_once('-')
            .and_then(|(lane, last)| Some((lane.parse().ok()?, last.parse::<u64>().ok()?)))
            .ok_or(Unreadable::Lost)?;
        let mut state = self.lock();
        let state = &mut *state;
        let lane = state.lanes.get_mut(&number).ok_or(Unreadable::Lost)?;
        if !lane.resumable || last > lane.last {
            return Err(Unreadable::Lost);
        }
        // What was read and what was not are dropped each from its oldest: what is missing may stand between them.
        if (lane.after(last).count() as u64) < lane.last - last {
            // Whoever waits for an answer can do without what came before it, as long as there is, or will be one.
            let answered = lane.open > 0 || lane.after(last).any(|event| event.answer);
            if number == STANDING || !answered {
                return Err(Unreadable::Lost);
            }
            tracing::debug!("a stream is taken up without messages that were dropped");
        }
        state.held.take(lane);
        lane.read = last;
        lane.hung_up = false;
        lane.wake();
        state.held.add(lane);
        Ok(self.attach(state, number))
    }

    fn attach(self: &Arc<Self>, state: &mut State, number: u64) -> Reader {
        state.last_reader += 1;
        let generation = state.last_reader;
        if let Some(lane) = state.lanes.get_mut(&number) {
            state.held.take(lane);
            lane.reader = Some(generation);
            state.held.add(lane);
        }
        Reader {
            lanes: Arc::clone(self),
            lane: number,
            generation,
        }
    }

    /// Sends the reader of a request's lane away for now; false if it could not come back.
    pub(super) fn hang_up(&self, request: &RequestId) -> bool {
        let mut state = self.lock();
        let primes = state.primes();
        let Some(number) = state.by_request.get(request).copied() else {
            return false;
        };
        let Some(lane) = state.lanes.get_mut(&number) else {
            return false;
        };
        if lane.reader.is_none() || !primes {
            return false;
        }
        lane.hung_up = true;
        lane.wake();
        true
    }

    /// There will be no answer to a request: the program was told to stop (REQ-CANC-05).
    pub(super) fn cancel(&self, request: &RequestId) {
        let mut state = self.lock();
        let Some(number) = state.by_request.remove(request) else {
            return;
        };
        let Some(lane) = state.lanes.get_mut(&number) else {
            return;
        };
        lane.open -= 1;
        lane.resumable &= !lane.is_over(number);
        lane.wake();
        state.discard(number);
    }

    /// Nothing more will come: whoever reads gets what is there, and its end.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        for lane in state.lanes.values_mut() {
            lane.wake();
        }
    }

    // ---- the clock's side ----

    /// When [`lose_patience`](Self::lose_patience) is due; wakes whoever asks if that becomes earlier.
    pub(super) fn due(&self, cx: &Context<'_>) -> Option<Instant> {
        let clock = &mut self.lock().clock;
        clock.keeper = Some(cx.waker().clone());
        clock.due
    }

    /// Tells the readers that have waited long enough.
    pub(super) fn lose_patience(&self, now: Instant) {
        let mut state = self.lock();
        for lane in state.lanes.values_mut() {
            if lane.patience.is_some_and(|until| until <= now) {
                lane.patience = None;
                lane.wake();
            }
        }
        state.clock.due = state.lanes.values().filter_map(|lane| lane.patience).min();
    }

    // ---- the driver's side ----

    pub(super) fn poll_ready(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.lock();
        if state.held.reader < self.limits.backlog || state.closed {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(super) fn push(&self, outbound: Outbound) {
        let mut state = self.lock();
        let answered = match &outbound.message {
            Message::Response(response) => {
                state.note_version(response);
                response.id.as_ref()
            }
            _ => None,
        };
        let ended = answered.and_then(|id| state.by_request.remove(id));
        let related = outbound.related_to.as_ref();
        let number = ended.or_else(|| state.by_request.get(related?).copied());
        // What belongs to a request goes to whoever asked, or to nobody (REQ-HTTPL-07, REQ-HTTPL-11).
        let number = match number {
            Some(number) => number,
            None if !self.merged && (answered.is_some() || related.is_some()) => return,
            None => STANDING,
        };
        let state = &mut *state;
        let Some(lane) = state.lanes.get_mut(&number) else {
            return;
        };
        lane.last += 1;
        let event = Event {
            number: lane.last,
            data: reply::encode(&outbound.message),
            answer: answered.is_some(),
        };
        *state.held.of(lane.kept_for(&event)) += event.weight();
        lane.events.push_back(event);
        lane.open -= usize::from(ended.is_some());
        lane.wake();
        state.discard(number);
        state.forget(&self.limits);
    }
}

impl Clock {
    fn look_at(&mut self, time: Instant) {
        if self.due.is_some_and(|due| due <= time) {
            return;
        }
        self.due = Some(time);
        if let Some(keeper) = self.keeper.take() {
            keeper.wake();
        }
    }
}

impl State {
    fn is_read(&self) -> bool {
        self.lanes.values().any(|lane| lane.reader.is_some())
    }

    fn is_listened_to(&self) -> bool {
        let standing = self.lanes.get(&STANDING);
        standing.is_some_and(|lane| lane.reader.is_some())
    }

    /// Only the latest clients know an event without data (REQ-HTTPL-09).
    fn primes(&self) -> bool {
        self.version
            .is_some_and(|version| version >= ProtocolVersion::V2025_11_25)
    }

    fn note_version(&mut self, response: &ResponseMessage) {
        if response.id.is_some() && self.opening == response.id {
            self.opening = None;
            let result = response.outcome.as_ref().ok();
            let version = result.and_then(|result| result.member("protocolVersion"));
            // One that is refused changes nothing.
            self.version = (version.and_then(|raw| raw.decode().ok())).or(self.version);
        }
    }

    /// Lets go of what nobody waits for, if it is too much: of what was read and of what was not, but has no reader now, so
    /// that each has half of the room if both want more, and of unread answers last, for which there is as much room as if
    /// their reader were there.
    fn forget(&mut self, limits: &LaneLimits) {
        loop {
            let Held {
                again,
                anybody,
                asker,
                ..
            } = self.held;
            let kept_for = if again + anybody > limits.replay {
                match anybody > limits.replay / 2 {
                    true => KeptFor::Anybody,
                    false => KeptFor::Again,
                }
            } else if again + anybody + asker > limits.replay.saturating_add(limits.backlog) {
                KeptFor::Asker
            } else {
                return;
            };
            let mut lanes = self.lanes.iter_mut();
            let found =
                lanes.find_map(|(number, lane)| Some((*number, lane.oldest(kept_for)?, lane)));
            // There is one, as there are bytes of it.
            let Some((number, at, lane)) = found else {
                return;
            };
            if let Some(event) = lane.events.remove(at) {
                *self.held.of(kept_for) -= event.weight();
            }
            if kept_for != KeptFor::Again {
                self.warn();
            }
            self.discard(number);
        }
    }

    /// Says that something was lost: once, for where nobody reads it will go on.
    fn warn(&mut self) {
        const WHAT: &str = "a message was dropped: nobody reads the stream it is for";
        if std::mem::replace(&mut self.warned, true) {
            tracing::debug!("{WHAT}");
        } else {
            tracing::warn!("{WHAT}");
        }
    }

    /// Removes a lane to which nobody can come back, or has anything to come back for.
    fn discard(&mut self, number: u64) {
        let lost = |lane: &Lane| {
            let wanted = || lane.resumable && lane.events.iter().any(|event| event.answer);
            lane.reader.is_none() && lane.is_finished(number) && !wanted()
        };
        if self.lanes.get(&number).is_some_and(lost) {
            self.remove(number);
        }
    }

    fn remove(&mut self, number: u64) {
        if let Some(lane) = self.lanes.remove(&number) {
            self.held.take(&lane);
        }
    }

    fn wake_writer(&mut self) {
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::task::noop_waker_ref;

    const LIMITS: LaneLimits = LaneLimits {
        backlog: 4000,
        replay: 4000,
        retry: Duration::from_secs(1),
        keep_alive: Duration::from_secs(1),
    };

    fn ready(lanes: &Lanes) -> bool {
        lanes
            .poll_ready(&Context::from_waker(noop_waker_ref()))
            .is_ready()
    }

    fn notify(lanes: &Lanes, related_to: Option<RequestId>) {
        let message = Message::notification("x".repeat(60), None);
        lanes.push(Outbound {
            message,
            related_to,
        });
    }

    fn answer(lanes: &Lanes, id: i64) {
        let message = Message::result(id, mcp_types::RawJson::EMPTY_OBJECT);
        let related_to = Some(id.into());
        lanes.push(Outbound {
            message,
            related_to,
        });
    }

    fn open(lanes: &Arc<Lanes>, id: i64) -> Reader {
        lanes.open(&[id.into()]).expect("the id is free")
    }

    /// What all lanes hold, by their events.
    fn held(lanes: &Lanes) -> (usize, usize, usize) {
        let state = lanes.lock();
        let mut held = Held::default();
        state.lanes.values().for_each(|lane| held.add(lane));
        assert_eq!(state.held, held);
        let bytes = held.again + held.anybody + held.asker + held.reader;
        (state.lanes.len(), bytes, held.reader)
    }

    #[test]
    fn the_program_waits_for_a_reader_that_is_there() {
        let lanes = Arc::new(Lanes::new(LIMITS));
        let reader = open(&lanes, 1);
        let mut sent = 0;
        while ready(&lanes) {
            notify(&lanes, Some(1.into()));
            sent += 1;
        }
        assert!((5..20).contains(&sent), "{sent}");
        // Nothing that waits for a reader is forgotten, and a reader that leaves is not waited for.
        assert_eq!(held(&lanes).1, held(&lanes).2);
        drop(reader);
        assert!(ready(&lanes));
        assert_eq!(held(&lanes).2, 0);
    }

    fn reads(reader: &Reader) -> Poll<Option<Bytes>> {
        reader.poll_events(&Context::from_waker(noop_waker_ref()))
    }

    #[tokio::test]
    async fn of_a_request_that_was_cancelled_nothing_stays() {
        let lanes = Arc::new(Lanes::new(LIMITS));
        let reader = open(&lanes, 1);
        assert!(!lanes.is_idle());
        lanes.cancel(&1.into());
        // What was on its way for it goes to no other stream (REQ-HTTPL-11).
        notify(&lanes, Some(1.into()));
        // Its stream ends, and there is nothing to come back for.
        let first = reader.first(Duration::MAX, true).await;
        let FirstOfLane::Stream(stream) = first else {
            panic!("an answer");
        };
        assert_eq!(reads(&stream.reader), Poll::Ready(None));
        drop(stream);
        assert!(lanes.is_idle());
        assert_eq!(held(&lanes), (1, 0, 0));

        // The same of one whose stream was lost, or goes on; an answer that came too late belongs to nobody.
        let lost = open(&lanes, 2).stream();
        let going_on = open(&lanes, 3).stream();
        notify(&lanes, Some(3.into()));
        drop(lost);
        for id in [2, 3] {
            lanes.cancel(&id.into());
            lanes.cancel(&id.into());
            answer(&lanes, id);
        }
        assert!(matches!(reads(&going_on.reader), Poll::Ready(Some(_))));
        assert_eq!(reads(&going_on.reader), Poll::Ready(None));
        drop(going_on);
        assert!(lanes.is_idle());
        assert_eq!(held(&lanes), (1, 0, 0));
    }

    /// How many events there are for whoever comes back to that one.
    fn rest(lanes: &Arc<Lanes>, event: &str) -> Result<usize, Unreadable> {
        let stream = lanes.resume(event)?.stream();
        Ok(match reads(&stream.reader) {
            Poll::Ready(Some(events)) => String::from_utf8_lossy(&events).matches("id:").count(),
            _ => 0,
        })
    }

    #[test]
    fn an_answer_that_is_kept_is_there_for_who_comes_back() {
        // What came before it is too much to be kept, whether its reader was there then or not.
        for there in [false, true] {
            let lanes = Arc::new(Lanes::new(LIMITS));
            let mut stream = Some(open(&lanes, 1).stream());
            for n in 0..30 {
                if n == 0 && !there {
                    stream = None;
                }
                notify(&lanes, Some(1.into()));
            }
            drop(stream);
            let kept = rest(&lanes, "1-0").expect("the request is under way");
            assert!((1..30).contains(&kept), "{kept}");
            notify(&lanes, Some(1.into()));
            answer(&lanes, 1);
            let kept = rest(&lanes, "1-0").expect("there is its answer");
            assert!((1..30).contains(&kept), "{kept}");
            assert_eq!(rest(&lanes, "1-31"), Ok(1));
            assert_eq!(rest(&lanes, "1-33"), Err(Unreadable::Lost));
        }
        // A notification that is nobody's answer is no reason to come back.
        let lanes = Arc::new(Lanes::new(LIMITS));
        drop(lanes.listen().map(Reader::stream));
        for _ in 0..30 {
            notify(&lanes, None);
        }
        assert_eq!(rest(&lanes, "0-0"), Err(Unreadable::Lost));
        assert_eq!(rest(&lanes, "0-29"), Ok(1));
        // Nor is it skipped, wherever in between it stood.
        let lanes = Arc::new(Lanes::new(LIMITS));
        let stream = lanes.listen().expect("nobody listens").stream();
        notify(&lanes, None);
        notify(&lanes, None);
        assert!(reads(&stream.reader).is_ready());
        drop(stream);
        for _ in 0..30 {
            notify(&lanes, None);
        }
        for read in ["0-0", "0-1", "0-2"] {
            assert_eq!(rest(&lanes, read), Err(Unreadable::Lost), "{read}");
        }
        assert_eq!(rest(&lanes, "0-31"), Ok(1));
        // Nor is there anything for who comes back to an answer that was dropped.
        let lanes = Arc::new(Lanes::new(LIMITS));
        let stream = open(&lanes, 1).stream();
        notify(&lanes, Some(1.into()));
        assert!(reads(&stream.reader).is_ready());
        drop(stream);
        let long = mcp_types::RawJson::from(serde_json::json!("x".repeat(10_000)));
        lanes.push(Message::result(1, long).into());
        assert_eq!(rest(&lanes, "1-1"), Err(Unreadable::Lost));
        assert_eq!(held(&lanes), (1, 0, 0));
    }

    #[test]
    fn what_nobody_fetches_leaves_room_for_what_was_read() {
        let lanes = Arc::new(Lanes::new(LIMITS));
        for id in 1..6 {
            drop(open(&lanes, id).stream());
            answer(&lanes, id);
            (0..3).for_each(|_| notify(&lanes, None));
        }
        let stream = open(&lanes, 6).stream();
        notify(&lanes, Some(6.into()));
        assert!(reads(&stream.reader).is_ready());
        drop(stream);
        assert_eq!(rest(&lanes, "6-0"), Ok(1));
        assert_eq!(rest(&lanes, "1-0"), Ok(1));
    }

    #[test]
    fn what_was_read_and_what_was_not_share_the_room_and_answers_go_last() {
        let lanes = Arc::new(Lanes::new(LIMITS));
        // Two who will come back: to an answer, and to what was said before one.
        drop(open(&lanes, 1).stream());
        drop(open(&lanes, 2).stream());
        answer(&lanes, 1);
        notify(&lanes, Some(2.into()));
        answer(&lanes, 2);
        // One who reads much.
        let reader = open(&lanes, 3).stream();
        for _ in 0..100 {
            notify(&lanes, Some(3.into()));
            assert!(matches!(reads(&reader.reader), Poll::Ready(Some(_))));
        }
        assert_eq!(rest(&lanes, "1-0"), Ok(1));
        assert_eq!(rest(&lanes, "2-0"), Ok(2));
        // Unread answers have as much room again, and are bounded, too.
        for id in 4..100 {
            drop(open(&lanes, id).stream());
            notify(&lanes, Some(id.into()));
            answer(&lanes, id);
            let (_, bytes, _) = held(&lanes);
            assert!(bytes <= LIMITS.replay + LIMITS.backlog, "{bytes}");
        }
        assert_eq!(rest(&lanes, "99-0"), Ok(2));
        assert_eq!(rest(&lanes, "4-1"), Err(Unreadable::Lost));
        // However long one is, up to there.
        let long = mcp_types::RawJson::from(serde_json::json!("x".repeat(4800)));
        let lanes = Arc::new(Lanes::new(LIMITS));
        drop(open(&lanes, 1).stream());
        notify(&lanes, Some(1.into()));
        lanes.push(Message::result(1, long).into());
        assert_eq!(held(&lanes).0, 2);
        assert!(lanes.resume("1-1").is_ok());
    }

    #[test]
    fn what_nobody_reads_is_bounded() {
        let lanes = Arc::new(Lanes::new(LIMITS));
        for id in 0..100 {
            notify(&lanes, None);
            let reader = open(&lanes, id).stream();
            notify(&lanes, Some(id.into()));
            answer(&lanes, id);
            drop(reader);
            assert!(ready(&lanes));
            let (count, bytes, backlog) = held(&lanes);
            let bound = LIMITS.replay + LIMITS.backlog;
            assert!(bytes <= bound && backlog == 0, "{bytes} {backlog}");
            // However short the answers are, for a lane takes more than they do.
            assert!(count <= 1 + bound / (2 * PLACE), "{count}");
        }
        // Whoever never had an event to come back to leaves nothing behind, nor has one whose events are not kept.
        let limits = LaneLimits {
            replay: 0,
            ..LIMITS
        };
        let lanes = Arc::new(Lanes::new(limits));
        drop(open(&lanes, 1));
        answer(&lanes, 1);
        let stream = open(&lanes, 2).stream();
        answer(&lanes, 2);
        assert!(matches!(reads(&stream.reader), Poll::Ready(Some(_))));
        drop(stream);
        assert_eq!(held(&lanes), (1, 0, 0));
    }
}
