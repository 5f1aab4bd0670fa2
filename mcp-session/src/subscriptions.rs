//! Who hears of changes: a legacy session by itself, a modern client on the streams it has opened.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use mcp_types::meta::key;
use mcp_types::{
    CancelledParams, ErrorObject, ListenParams, LogMessage, Message, MethodName, Notification,
    NotificationMessage, ObjectBuf, Outbound, RawJson, RequestId, ServerCapabilities,
    SubscribeParams, SubscriptionAcknowledgedParams, SubscriptionFilter, TASKS_EXTENSION,
};

use crate::NOTIFICATIONS_EXTENSION;
use crate::config::Limits;
use crate::error::NotSent;
use crate::event::{CallKey, Event, IncomingKey};
use crate::session::{Session, Side};
use crate::subscribed::Subscribed;
use crate::text;

/// What a client has subscribed to.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    /// Modern: one a `subscriptions/listen` that is open, in the order in which they were opened.
    streams: Vec<Listening>,
    /// All of them were ended, and what is opened now would end without a word.
    ended: bool,
    /// Legacy: by `resources/subscribe`.
    uris: BTreeSet<Arc<str>>,
    /// Of all of those together.
    uri_bytes: usize,
    /// Everything that is subscribed to by its name, for others, once there was something.
    shared: Option<Subscribed>,
    /// Nobody knows of that yet.
    untold: bool,
}

#[derive(Debug)]
struct Listening {
    key: IncomingKey,
    /// The listen request's id, by which everything on the stream is tagged (REQ-SUB-04).
    id: RequestId,
    filter: SubscriptionFilter,
}

impl Subscriptions {
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.uris.is_empty() && !self.ended
    }

    /// `resources/subscribe` of a legacy session.
    pub(crate) fn subscribe(
        &mut self,
        SubscribeParams { uri, .. }: SubscribeParams,
        limits: &Limits,
    ) -> Result<(), ErrorObject> {
        if self.uris.contains(&*uri) {
            return Ok(());
        }
        let (limit, byte_limit) = (limits.subscriptions, limits.incoming_bytes);
        if self.len() >= limit {
            let what = format!("more than {limit} subscriptions");
            return Err(ErrorObject::internal(what));
        }
        if !self.uris.is_empty() && self.uri_bytes + uri.len() > byte_limit {
            let what = format!("more than {byte_limit} bytes of subscriptions");
            return Err(ErrorObject::internal(what));
        }
        self.uri_bytes += uri.len();
        let uri: Arc<str> = uri.into();
        self.share().add_resource(Arc::clone(&uri));
        self.uris.insert(uri);
        Ok(())
    }

    /// `resources/unsubscribe` of a legacy session; what was not subscribed to need not be known.
    pub(crate) fn unsubscribe(&mut self, params: &SubscribeParams) {
        if self.uris.remove(&*params.uri) {
            self.uri_bytes -= params.uri.len();
            self.share().remove_resource(&params.uri);
        }
    }

    /// Drops what the legacy session has subscribed to.
    pub(crate) fn forget_resources(&mut self) {
        self.uri_bytes = 0;
        for uri in std::mem::take(&mut self.uris) {
            self.share().remove_resource(&uri);
        }
    }

    fn open(&mut self, stream: Listening) {
        for uri in stream.uris() {
            self.share().add_resource(uri.as_str().into());
        }
        for task in stream.tasks() {
            self.share().add_task(task.as_str().into());
        }
        self.streams.push(stream);
    }

    /// A stream is no longer open.
    fn closed(&mut self, stream: &Listening) {
        for uri in stream.uris() {
            self.share().remove_resource(uri);
        }
        for task in stream.tasks() {
            self.share().remove_task(task);
        }
    }

    fn share(&mut self) -> &Subscribed {
        self.shared.get_or_insert_with(|| {
            self.untold = true;
            Subscribed::default()
        })
    }

    /// How many things are named one by one.
    fn len(&self) -> usize {
        let streams = self.streams.iter().map(|stream| named(&stream.filter));
        self.uris.len() + streams.sum::<usize>()
    }

    fn close(&mut self, key: IncomingKey) -> bool {
        let Some(at) = self.streams.iter().position(|stream| stream.key == key) else {
            return false;
        };
        let closed = self.streams.remove(at);
        self.closed(&closed);
        true
    }
}

impl Listening {
    fn uris(&self) -> impl Iterator<Item = &String> {
        self.filter.resource_subscriptions.iter().flatten()
    }

    fn tasks(&self) -> impl Iterator<Item = &String> {
        self.filter.task_ids.iter().flatten()
    }
}

/// Whether a change to `uri` is one to `subscribed`: the same, or something below it (REQ-RES-06).
fn covers(subscribed: &str, uri: &str) -> bool {
    uri.strip_prefix(subscribed)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || subscribed.ends_with('/'))
}

/// How many things a filter names one by one.
fn named(filter: &SubscriptionFilter) -> usize {
    let lists = [
        &filter.resource_subscriptions,
        &filter.task_ids,
        &filter.notifications,
    ];
    lists.into_iter().flatten().map(Vec::len).sum()
}

/// Whether a server has anything that could be listened to (REQ-SUB-12).
pub(crate) fn offers_streams(offered: &ServerCapabilities) -> bool {
    let mut everything = SubscriptionFilter::new().resource("").notification("");
    everything.task_ids = Some(vec![String::new()]);
    everything.tools_list_changed = true;
    everything.prompts_list_changed = true;
    everything.resources_list_changed = true;
    !honoured(&everything, offered).is_empty()
}

/// The part of a filter that the server's capabilities let it honour (REQ-SUB-03); a type nobody asked for stays out (REQ-SUB-01).
fn honoured(wanted: &SubscriptionFilter, offered: &ServerCapabilities) -> SubscriptionFilter {
    let (tools, prompts) = (offered.tools.as_ref(), offered.prompts.as_ref());
    let resources = offered.resources.as_ref();
    let mut filter = SubscriptionFilter::new();
    filter.tools_list_changed = wanted.tools_list_changed && tools.is_some_and(|t| t.list_changed);
    filter.prompts_list_changed =
        wanted.prompts_list_changed && prompts.is_some_and(|p| p.list_changed);
    filter.resources_list_changed =
        wanted.resources_list_changed && resources.is_some_and(|r| r.list_changed);
    if resources.is_some_and(|r| r.subscribe) {
        filter.resource_subscriptions = wanted.resource_subscriptions.clone();
    }
    if offered.extension(NOTIFICATIONS_EXTENSION).is_some() {
        filter.notifications = wanted.notifications.clone();
    }
    if offered.extension(TASKS_EXTENSION).is_some() {
        filter.task_ids = wanted.task_ids.clone();
    }
    filter
}

impl Session {
    /// What is told of what a client has asked for; `own` says whether a program's own notifications are.
    pub(crate) fn honoured(&self, params: ListenParams, own: bool) -> SubscriptionFilter {
        let mut wanted = params.notifications;
        if !own {
            wanted.notifications = None;
        }
        // What the protocol has a name for has a field of its own, if there are streams of it.
        let core = |name: &str| MethodName::from(name).is_core();
        (wanted.notifications.iter_mut()).for_each(|names| names.retain(|name| !core(name)));
        match &self.side {
            Side::Server(server) => honoured(&wanted, &server.config().capabilities),
            Side::Client(_) => SubscriptionFilter::new(),
        }
    }

    /// Whether streams have ended for good.
    pub(crate) fn ends_streams(&self) -> bool {
        match &self.side {
            Side::Server(server) => server.subscriptions.ended,
            Side::Client(_) => true,
        }
    }

    /// Whether a client would have subscribed to more than it may (REQ-SEC-06).
    pub(crate) fn lacks_room_for(&self, filter: &SubscriptionFilter) -> bool {
        match &self.side {
            Side::Server(server) => {
                server.subscriptions.len() + named(filter) > self.limits.subscriptions
            }
            Side::Client(_) => false,
        }
    }

    /// Opens a stream: the acknowledgement is the first thing on it (REQ-SUB-02).
    pub(crate) fn open_stream(
        &mut self,
        key: IncomingKey,
        id: RequestId,
        filter: SubscriptionFilter,
    ) {
        let Side::Server(server) = &mut self.side else {
            return;
        };
        let acknowledged = SubscriptionAcknowledgedParams::new(&id, filter.clone());
        let message = Message::notification(
            "notifications/subscriptions/acknowledged",
            Some(text::raw(&acknowledged)),
        );
        let related_to = Some(id.clone());
        server.subscriptions.open(Listening { key, id, filter });
        self.transmit(Outbound {
            message,
            related_to,
        });
        self.tell_subscribed();
    }

    /// Lets others see what a client subscribes to, from the first time on.
    pub(crate) fn tell_subscribed(&mut self) {
        if let Side::Server(server) = &mut self.side
            && std::mem::take(&mut server.subscriptions.untold)
            && let Some(shared) = server.subscriptions.shared.clone()
        {
            self.emit(Event::Subscribed(shared));
        }
    }

    /// How many streams a client has open.
    pub(crate) fn streams(&self) -> usize {
        match &self.side {
            Side::Server(server) => server.subscriptions.streams.len(),
            Side::Client(_) => 0,
        }
    }

    /// Forgets a stream that its client has cancelled; false if the key is that of another request.
    pub(crate) fn close_stream(&mut self, key: IncomingKey) -> bool {
        match &mut self.side {
            Side::Server(server) => server.subscriptions.close(key),
            Side::Client(_) => false,
        }
    }

    /// Sends a notification to whoever wants it outside of any request: to a legacy session as it is, to each stream of a
    /// modern client whose filter asks for it with the stream's tag.
    pub(crate) fn publish(
        &mut self,
        method: MethodName,
        params: Option<RawJson>,
    ) -> Result<(), NotSent> {
        let legacy = match self.legacy_version() {
            None => Err(NotSent::NoSession),
            Some(_) => self
                .legacy_direction(&method)
                .and_then(|()| self.is_subscribed(&method, params.as_ref())),
        };
        let Side::Server(server) = &self.side else {
            return legacy;
        };
        let wanted = |stream: &&Listening| wants(&stream.filter, &method, params.as_ref());
        let ids: Vec<RequestId> = server
            .subscriptions
            .streams
            .iter()
            .filter(wanted)
            .map(|stream| stream.id.clone())
            .collect();
        let outcome = match legacy {
            Err(_) if !ids.is_empty() => Ok(()),
            Err(NotSent::NoSession) if self.streams() > 0 => Err(NotSent::Unwanted),
            outcome => outcome,
        };
        let tagged = ids.into_iter().map(|id| Outbound {
            message: Message::notification(method.clone(), Some(tagged(params.as_ref(), &id))),
            related_to: Some(id),
        });
        let tagged: Vec<_> = tagged.collect();
        if legacy.is_ok() {
            self.transmit(Message::notification(method, params).into());
        }
        for outbound in tagged {
            self.transmit(outbound);
        }
        outcome
    }

    /// Whether what a legacy client gets of a method is everything that there is to be sent, whatever it says.
    pub(crate) fn goes_as_it_is(&self, method: &MethodName) -> bool {
        self.streams() == 0 && method != "notifications/resources/updated"
    }

    /// Whether a legacy client has asked for this: it has to for single resources, and for nothing else.
    pub(crate) fn is_subscribed(
        &self,
        method: &str,
        params: Option<&RawJson>,
    ) -> Result<(), NotSent> {
        let Side::Server(server) = &self.side else {
            return Ok(());
        };
        if method != "notifications/resources/updated" {
            return Ok(());
        }
        let uri = uri_of(params).ok_or(NotSent::Params)?;
        let subscribed = server.subscriptions.uris.iter().any(|s| covers(s, &uri));
        if subscribed {
            Ok(())
        } else {
            Err(NotSent::Unwanted)
        }
    }

    /// Ends every stream in good order: with the listen request's result, and with the cancellation that some clients
    /// look for instead (contradiction X1, REQ-SUB-07).
    pub(crate) fn end_streams(&mut self) {
        let Side::Server(server) = &mut self.side else {
            return;
        };
        server.subscriptions.ended = true;
        let streams = std::mem::take(&mut server.subscriptions.streams);
        for stream in &streams {
            server.subscriptions.closed(stream);
        }
        for stream in streams {
            let mut meta = ObjectBuf::new();
            text::insert(&mut meta, key::SUBSCRIPTION_ID, &stream.id);
            let mut result = ObjectBuf::new();
            result.insert_raw("_meta", &meta.finish());
            let id = stream.id.clone();
            if self.finish_stream(stream.key, result) {
                let params = text::raw(&CancelledParams::new(id.clone()));
                let message = Message::notification("notifications/cancelled", Some(params));
                let related_to = Some(id);
                self.transmit(Outbound {
                    message,
                    related_to,
                });
            }
        }
    }

    // ---- as a client ----

    /// The server has taken a listen request: from now on it may stay silent for as long as it likes (REQ-TMO-04).
    pub(crate) fn handle_acknowledged(&mut self, params: Option<&RawJson>) {
        let acknowledged = params
            .and_then(|raw| raw.decode::<SubscriptionAcknowledgedParams>().ok())
            .and_then(|params| {
                let call = self.outgoing.call_of(&params.subscription_id()?)?;
                Some((call, params.notifications))
            });
        if let Some((call, filter)) = acknowledged
            && self.outgoing.wait_for_ever(call)
        {
            self.outgoing.streams.add(call);
            self.emit(Event::Listening { call, filter });
        }
    }

    /// Whether a notification is one stream's copy of what another stream has brought already (REQ-SUB-05, REQ-SUB-06).
    pub(crate) fn is_told_already(&mut self, notification: &NotificationMessage) -> bool {
        // Logs are long, and belong to no stream.
        if !self.outgoing.streams.are_many() || notification.method == LogMessage::METHOD {
            return false;
        }
        let NotificationMessage { method, params } = notification;
        let meta = params.as_ref().and_then(|params| params.member("_meta"));
        let tag = meta.and_then(|meta| meta.member(key::SUBSCRIPTION_ID)?.decode().ok());
        let Some(call) = tag.and_then(|tag| self.outgoing.call_of(&tag)) else {
            return false;
        };
        let mut said = (params.clone().and_then(ObjectBuf::from_raw)).unwrap_or_default();
        said.take("_meta");
        let mut content = DefaultHasher::new();
        (&**method, said.finish().as_bytes()).hash(&mut content);
        !self.outgoing.streams.is_news(call, content.finish())
    }

    /// A server's cancellation names a listen request of ours, and nothing else (REQ-CANC-03): the stream has ended.
    pub(crate) fn handle_stream_cancelled(&mut self, id: &RequestId) {
        let listening = |call: &CallKey| self.outgoing.is_listening(*call);
        if let Some(call) = self.outgoing.call_of(id).filter(listening) {
            self.end_call(call, Ok(RawJson::EMPTY_OBJECT));
        }
    }
}

fn uri_of(params: Option<&RawJson>) -> Option<String> {
    params?.member("uri")?.decode().ok()
}

/// Whether a stream's filter asks for a notification.
fn wants(filter: &SubscriptionFilter, method: &str, params: Option<&RawJson>) -> bool {
    match method {
        "notifications/tools/list_changed" => filter.tools_list_changed,
        "notifications/prompts/list_changed" => filter.prompts_list_changed,
        "notifications/resources/list_changed" => filter.resources_list_changed,
        "notifications/resources/updated" => {
            let subscribed = filter.resource_subscriptions.iter().flatten();
            uri_of(params).is_some_and(|uri| subscribed.into_iter().any(|s| covers(s, &uri)))
        }
        "notifications/tasks" => {
            let task = params.and_then(|params| params.member("taskId"));
            let task = task.as_ref().and_then(RawJson::text);
            task.is_some_and(|task| filter.task_ids.iter().flatten().any(|id| *id == task))
        }
        own => filter
            .notifications
            .iter()
            .flatten()
            .any(|wanted| wanted == own),
    }
}

/// The parameters with the tag of a stream.
fn tagged(params: Option<&RawJson>, id: &RequestId) -> RawJson {
    let mut params = params
        .cloned()
        .and_then(ObjectBuf::from_raw)
        .unwrap_or_default();
    let mut meta = params
        .take("_meta")
        .and_then(ObjectBuf::from_raw)
        .unwrap_or_default();
    meta.take(key::SUBSCRIPTION_ID);
    text::insert(&mut meta, key::SUBSCRIPTION_ID, id);
    params.insert_raw("_meta", &meta.finish());
    params.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_covers_what_is_below_it() {
        for (subscribed, uri, expected) in [
            ("file:///a", "file:///a", true),
            ("file:///a", "file:///a/b", true),
            ("file:///a/", "file:///a/b", true),
            ("file:///a", "file:///ab", false),
            ("file:///a/b", "file:///a", false),
        ] {
            assert_eq!(covers(subscribed, uri), expected, "{subscribed} {uri}");
        }
    }
}
