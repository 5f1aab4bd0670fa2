//! `mcp log`, `mcp watch`, `mcp listen`: what a server says by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use mcp_client::types::{
    Era, Notification, NotificationMessage, PromptListChanged, RawJson, ReadResource,
    ReadResourceParams, ResourceListChanged, ResourceUpdated, SubscriptionFilter, ToolListChanged,
};
use mcp_client::{ClientBuilder, RequestError};
use tokio::sync::Notify;

use super::no_more;
use crate::connect::{Connect, Session, interrupted, logs, others};
use crate::exit::Failure;
use crate::render::{Event, Screen, Stdout};

/// Shows the log messages of a server
///
/// Only servers of the legacy era log by themselves; modern ones do so during a call, where `mcp call` shows it. So this
/// connects in the legacy era unless told otherwise.
#[derive(Debug, Clone, Args)]
#[command(
    override_usage = "mcp log [OPTIONS] TARGET\n       mcp log [OPTIONS] -- COMMAND [ARG]..."
)]
pub(crate) struct Log {
    /// An address (unix:/path, tcp://, ws://, http://), or a server of the configuration file
    #[arg(value_name = "TARGET", num_args = 0..)]
    words: Vec<String>,

    #[command(flatten)]
    until: Until,

    #[command(flatten)]
    pub(crate) connect: Connect,
}

/// Shows when resources change, and the lists of tools, resources and prompts
#[derive(Debug, Clone, Args)]
#[command(
    override_usage = "mcp watch [OPTIONS] TARGET [URI]...\n       mcp watch [OPTIONS] [URI]... -- COMMAND [ARG]..."
)]
pub(crate) struct Watch {
    /// The target, unless it is a command behind `--`; URIs of resources
    #[arg(value_name = "WORD", num_args = 0.., hide = true)]
    words: Vec<String>,

    /// Read a resource again when it has changed, and show it
    #[arg(long)]
    read: bool,

    #[command(flatten)]
    until: Until,

    #[command(flatten)]
    pub(crate) connect: Connect,
}

/// Shows everything that a server says by itself
///
/// Names of notifications are needed for those that are not the protocol's own, as chat.message_received: in the modern
/// era they must be asked for.
#[derive(Debug, Clone, Args)]
#[command(
    override_usage = "mcp listen [OPTIONS] TARGET [METHOD]...\n       mcp listen [OPTIONS] [METHOD]... -- COMMAND [ARG]..."
)]
pub(crate) struct Listen {
    /// The target, unless it is a command behind `--`; names of notifications
    #[arg(value_name = "WORD", num_args = 0.., hide = true)]
    words: Vec<String>,

    #[command(flatten)]
    until: Until,

    #[command(flatten)]
    pub(crate) connect: Connect,
}

#[derive(Debug, Clone, Args)]
struct Until {
    /// End after so many; otherwise Ctrl-C ends it, or the server
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
}

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn log(mut args: Log) -> Result<(), Failure> {
    let mut connect = args.connect.clone();
    let target = connect.target(&mut args.words)?;
    no_more(&args.words)?;
    if connect.era == crate::cli::Era::Auto {
        connect.era = crate::cli::Era::Legacy;
    }
    let screen = connect.screen();
    let heard = Heard::new(connect.screen_of_results(), args.until.count);
    let logs = heard.clone();
    connect
        .with_ctrl_c(
            &target,
            screen.clone(),
            |builder| {
                let builder = builder.on_log(move |params| logs.show(&Event::Log(&params)));
                others(builder, &screen)
            },
            async |session| {
                if session.client.era() == Era::Modern {
                    let reason = "a modern server logs during a call only; `mcp call` shows it";
                    return Err(Failure::Usage(reason.to_owned()));
                }
                heard.until_enough(async { lost(session).await }).await
            },
        )
        .await
}

/// How the reading of a resource is told.
const READ: &str = "resources/read";

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn watch(mut args: Watch) -> Result<(), Failure> {
    let connect = args.connect.clone();
    let target = connect.target(&mut args.words)?;
    let heard = Heard::new(connect.screen_of_results(), args.until.count);
    let filter = args
        .words
        .iter()
        .fold(changes(), |filter, uri| filter.resource(uri));
    let (changed, mut updates) = tokio::sync::mpsc::channel(1024);
    let reads = args.read.then_some(changed);
    let screen = connect.screen();
    let on_update = heard.clone();
    let prepare = |builder: ClientBuilder| {
        let builder = others(logs(lists(builder, &heard), &screen), &screen);
        builder.on_notification::<ResourceUpdated>(move |params| {
            let told = RawJson::encode(&params).ok();
            let Some(reads) = &reads else {
                return on_update.notified::<ResourceUpdated>(told);
            };
            // What counts is that it has been read.
            on_update.told(&event::<ResourceUpdated>(told));
            // When this many wait to be read, one more reading would show nothing newer.
            let _ = reads.try_send(params.uri);
        })
    };
    connect
        .with_ctrl_c(&target, screen.clone(), prepare, async |session| {
            let reading = async {
                while let Some(uri) = updates.recv().await {
                    let params = ReadResourceParams::new(uri);
                    match session.request::<ReadResource>(&params).await {
                        Ok((raw, _)) => heard.show(&Event::Notification {
                            method: READ,
                            params: raw,
                        }),
                        Err(error) => heard.show(&Event::Refused {
                            what: READ,
                            reason: &Failure::from(error).to_string(),
                        }),
                    }
                }
                std::future::pending::<()>().await
            };
            let over = async {
                tokio::select! {
                    ended = told(session, &screen, filter) => ended,
                    () = reading => Ok(()),
                }
            };
            heard.until_enough(over).await
        })
        .await
}

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn listen(mut args: Listen) -> Result<(), Failure> {
    let connect = args.connect.clone();
    let target = connect.target(&mut args.words)?;
    let heard = Heard::new(connect.screen_of_results(), args.until.count);
    let filter = args
        .words
        .iter()
        .fold(changes(), |filter, method| filter.notification(method));
    let own = !args.words.is_empty();
    let (logs, others, updates) = (heard.clone(), heard.clone(), heard.clone());
    let prepare = |builder: ClientBuilder| {
        let builder = lists(builder, &heard)
            .on_notification::<ResourceUpdated>(move |params| {
                updates.notified::<ResourceUpdated>(RawJson::encode(&params).ok());
            })
            .on_log(move |params| logs.show(&Event::Log(&params)))
            .on_other_notification(move |notification: &NotificationMessage| {
                others.show(&Event::Notification {
                    method: &notification.method,
                    params: notification.params.clone().unwrap_or(RawJson::NULL),
                });
            });
        if own {
            builder.with_notifications()
        } else {
            builder
        }
    };
    let screen = connect.screen();
    connect
        .with_ctrl_c(&target, screen.clone(), prepare, async |session| {
            heard.until_enough(told(session, &screen, filter)).await
        })
        .await
}

fn changes() -> SubscriptionFilter {
    SubscriptionFilter::new()
        .tools_list_changed(true)
        .prompts_list_changed(true)
        .resources_list_changed(true)
}

fn lists(builder: ClientBuilder, heard: &Heard) -> ClientBuilder {
    let (tools, prompts, resources) = (heard.clone(), heard.clone(), heard.clone());
    builder
        .on_notification::<ToolListChanged>(move |_| tools.notified::<ToolListChanged>(None))
        .on_notification::<PromptListChanged>(move |_| prompts.notified::<PromptListChanged>(None))
        .on_notification::<ResourceListChanged>(move |_| {
            resources.notified::<ResourceListChanged>(None)
        })
}

fn event<N: Notification>(params: Option<RawJson>) -> Event<'static> {
    Event::Notification {
        method: N::METHOD,
        params: params.unwrap_or(RawJson::EMPTY_OBJECT),
    }
}

/// What was shown, and whether it is enough.
#[derive(Clone)]
struct Heard {
    screen: Screen,
    left: Arc<AtomicU64>,
    enough: Arc<Notify>,
}

impl Heard {
    fn new(screen: Screen, count: Option<u64>) -> Self {
        Self {
            screen,
            left: Arc::new(AtomicU64::new(count.unwrap_or(u64::MAX))),
            enough: Arc::default(),
        }
    }

    fn notified<N: Notification>(&self, params: Option<RawJson>) {
        self.show(&event::<N>(params));
    }

    /// Shows what does not count.
    fn told(&self, event: &Event<'_>) {
        if self.left.load(Ordering::Relaxed) > 0 {
            self.screen.show(event);
        }
    }

    fn show(&self, event: &Event<'_>) {
        // All this is in one thread, so nobody else counts in between.
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return;
        }
        self.screen.show(event);
        self.left.store(left - 1, Ordering::Relaxed);
        // What nobody reads is enough, too.
        if left == 1 || Stdout::ended().is_some() {
            self.enough.notify_one();
        }
    }

    /// Waits until there was enough, or for Ctrl-C, which is how this is meant to end.
    async fn until_enough(
        &self,
        over: impl Future<Output = Result<(), Failure>>,
    ) -> Result<(), Failure> {
        tokio::select! {
            () = self.enough.notified() => Ok(()),
            () = interrupted() => Ok(()),
            over = over => over,
        }
    }
}

/// Asks for what a filter names, and waits until nothing more is told.
async fn told(
    session: &Session,
    screen: &Screen,
    filter: SubscriptionFilter,
) -> Result<(), Failure> {
    let note = |text: &str| screen.show(&Event::Note { text });
    // There is nothing to ask a legacy server for but resources: what else it tells of it tells by itself.
    if session.client.era() == Era::Legacy && filter.resource_subscriptions.is_none() {
        note(&agreed(
            &SubscriptionFilter::new(),
            &SubscriptionFilter::new(),
            Era::Legacy,
        ));
        return lost(session).await;
    }
    let mut subscription = session.client.subscribe(filter.clone()).await?;
    note(&agreed(
        &filter,
        subscription.filter(),
        session.client.era(),
    ));
    Ok(subscription.ended().await?)
}

/// What a server tells of, and what it does not though it was asked to.
fn agreed(wanted: &SubscriptionFilter, granted: &SubscriptionFilter, era: Era) -> String {
    let granted = named(granted);
    let mut others = named(wanted);
    others.retain(|name| !granted.contains(name));
    let mut text = "waiting to hear of ".to_owned();
    text.push_str(&match &*granted {
        [] if era == Era::Modern => "nothing".to_owned(),
        [] => "whatever the server tells by itself".to_owned(),
        granted => granted.join(", "),
    });
    if !others.is_empty() {
        text.push_str("; the server has not agreed to tell of ");
        text.push_str(&others.join(", "));
    }
    text
}

fn named(filter: &SubscriptionFilter) -> Vec<&str> {
    let lists = [
        (filter.tools_list_changed, "tools"),
        (filter.prompts_list_changed, "prompts"),
        (filter.resources_list_changed, "resources"),
    ];
    let lists = lists.into_iter().filter(|(is_in, _)| *is_in);
    let own = [&filter.resource_subscriptions, &filter.notifications];
    let own = own.into_iter().flatten().flatten().map(String::as_str);
    lists.map(|(_, name)| name).chain(own).collect()
}

/// Waits until the connection is gone.
async fn lost(session: &Session) -> Result<(), Failure> {
    let why = session.client.peer().closed().await;
    Err(RequestError::ConnectionLost(why.to_string()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waited_for_is_said_and_what_is_not() {
        let none = SubscriptionFilter::new;
        let (tools, all) = (none().tools_list_changed(true), changes().resource("a:b"));
        let (legacy, modern) = (Era::Legacy, Era::Modern);
        for (wanted, granted, era, text) in [
            (
                none(),
                none(),
                legacy,
                "whatever the server tells by itself",
            ),
            (
                tools.clone(),
                none(),
                modern,
                "nothing; the server has not agreed to tell of tools",
            ),
            (
                all.clone(),
                all.clone(),
                modern,
                "tools, prompts, resources, a:b",
            ),
            (
                all,
                tools,
                modern,
                "tools; the server has not agreed to tell of prompts, resources, a:b",
            ),
        ] {
            let told = agreed(&wanted, &granted, era);
            assert_eq!(told, format!("waiting to hear of {text}"));
        }
    }
}
