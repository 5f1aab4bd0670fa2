//! What comes to a client on several streams, and is told once.

use std::collections::VecDeque;

use crate::event::CallKey;

/// What was told lately, at most; of what is older, each copy is told.
const TOLD: usize = 256;

/// The listen requests of a client that the server has acknowledged, and what it has told on them.
///
/// The first copy of a notification is told, whichever stream brings it: no stream waits for another one, which may have
/// failed and not be known to. With each stream that begins or ends the count begins anew: better twice than not at all.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    open: Vec<CallKey>,
    /// By its content, how often each stream has brought it, in the order of `open`; those that have not all brought it alike.
    told: VecDeque<(u64, Vec<u64>)>,
}

impl Streams {
    pub(crate) fn are_many(&self) -> bool {
        self.open.len() > 1
    }

    pub(crate) fn add(&mut self, stream: CallKey) {
        self.open.push(stream);
        self.told.clear();
    }

    pub(crate) fn remove(&mut self, stream: CallKey) {
        self.open.retain(|open| *open != stream);
        self.told.clear();
    }

    /// Takes note that a stream has brought something; false if another one had done so as often already.
    pub(crate) fn is_news(&mut self, stream: CallKey, content: u64) -> bool {
        let Some(at) = self.open.iter().position(|open| *open == stream) else {
            return true;
        };
        let known = self.told.iter().position(|(told, _)| *told == content);
        let known = known.unwrap_or_else(|| {
            if self.told.len() == TOLD {
                self.told.pop_front();
            }
            self.told.push_back((content, vec![0; self.open.len()]));
            self.told.len() - 1
        });
        let counts = &mut self.told[known].1;
        let most = counts.iter().copied().max().unwrap_or_default();
        counts[at] += 1;
        let news = counts[at] > most;
        if counts.iter().all(|count| *count == counts[0]) {
            self.told.remove(known);
        }
        news
    }
}
