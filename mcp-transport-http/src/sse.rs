//! Server-sent events: one message an event.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// What a reader of an event stream has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub name: Option<String>,
    pub data: String,
    pub id: Option<String>,
    pub retry: Option<u64>,
}

/// An event that carries a message; `data` is one line.
pub(crate) fn write_message(out: &mut BytesMut, id: Option<&str>, data: &[u8]) {
    if let Some(id) = id {
        out.put_slice(b"id: ");
        out.put_slice(id.as_bytes());
        out.put_u8(b'\n');
    }
    out.put_slice(b"event: message\ndata: ");
    out.put_slice(data);
    out.put_slice(b"\n\n");
}

/// An event of another name; `data` is one line.
#[cfg(feature = "http-sse")]
pub(crate) fn write_event(out: &mut BytesMut, name: &str, data: &str) {
    out.put_slice(format!("event: {name}\ndata: {data}\n\n").as_bytes());
}

/// An event without data, whose id is what a resumption starts from (REQ-HTTPL-09).
pub(crate) fn write_primer(out: &mut BytesMut, id: &str, retry_millis: u128) {
    let text = format!("id: {id}\nretry: {retry_millis}\ndata: \n\n");
    out.put_slice(text.as_bytes());
}

/// A comment, which keeps what stands between the two ends from thinking that nothing happens (REQ-HTTPM-11).
pub(crate) const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// Reads an event stream incrementally.
#[derive(Debug)]
pub struct Reader {
    buffer: BytesMut,
    /// Bytes at the start of the buffer that hold no line end.
    searched: usize,
    /// The last line ended with a CR, to which an LF may still belong.
    returned: bool,
    event: Partial,
    limit: usize,
}

#[derive(Debug, Default)]
struct Partial {
    name: Option<String>,
    data: Option<String>,
    id: Option<String>,
    retry: Option<u64>,
}

/// An event is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong {
    pub limit: usize,
}

impl Reader {
    /// A reader of events of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            buffer: BytesMut::new(),
            searched: 0,
            returned: false,
            event: Partial::default(),
            limit,
        }
    }

    /// Takes what came.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.put_slice(bytes);
    }

    /// The next whole event; those without data are given out, too, for their ids count.
    pub fn next_event(&mut self) -> Result<Option<Event>, TooLong> {
        loop {
            if self.returned && !self.buffer.is_empty() {
                self.returned = false;
                if self.buffer[0] == b'\n' {
                    self.buffer.advance(1);
                }
            }
            let rest = &self.buffer[self.searched..];
            let Some(at) = memchr::memchr2(b'\n', b'\r', rest) else {
                self.searched = self.buffer.len();
                if self.buffer.len() > self.limit {
                    return Err(TooLong { limit: self.limit });
                }
                return Ok(None);
            };
            let line = self.buffer.split_to(self.searched + at);
            self.returned = self.buffer[0] == b'\r';
            self.buffer.advance(1);
            self.searched = 0;
            if line.is_empty() {
                if let Some(event) = self.event.finish() {
                    return Ok(Some(event));
                }
                continue;
            }
            self.event.line(&String::from_utf8_lossy(&line));
            if self
                .event
                .data
                .as_ref()
                .is_some_and(|data| data.len() > self.limit)
            {
                return Err(TooLong { limit: self.limit });
            }
        }
    }
}

impl Partial {
    fn line(&mut self, line: &str) {
        let line = line.strip_prefix('\u{feff}').unwrap_or(line);
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "event" => self.name = Some(value.to_owned()),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "retry" => self.retry = value.parse().ok().or(self.retry),
            // Comments, and what is not known.
            _ => {}
        }
    }

    fn finish(&mut self) -> Option<Event> {
        let Self {
            name,
            data,
            id,
            retry,
        } = std::mem::take(self);
        (data.is_some() || id.is_some() || retry.is_some()).then(|| Event {
            name,
            data: data.unwrap_or_default(),
            id,
            retry,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, chunk: usize) -> Vec<Event> {
        let mut reader = Reader::new(1024);
        let mut events = Vec::new();
        for part in text.as_bytes().chunks(chunk) {
            reader.feed(part);
            while let Some(event) = reader.next_event().unwrap() {
                events.push(event);
            }
        }
        events
    }

    fn event(name: Option<&str>, data: &str, id: Option<&str>, retry: Option<u64>) -> Event {
        Event {
            name: name.map(str::to_owned),
            data: data.to_owned(),
            id: id.map(str::to_owned),
            retry,
        }
    }

    /// TRAP-42
    #[test]
    fn events_are_read_however_they_are_cut_and_ended() {
        let cases = [
            ("data: a\n\n", vec![event(None, "a", None, None)]),
            (
                "data:a\r\ndata: b\r\n\r\n",
                vec![event(None, "a\nb", None, None)],
            ),
            (
                ": comment\n\ndata: a\r\rx",
                vec![event(None, "a", None, None)],
            ),
            // The end of a stream, after which no LF comes.
            ("data: a\r\r", vec![event(None, "a", None, None)]),
            (
                "data: a\r\n\r\n\ndata: b\r\r\n",
                vec![event(None, "a", None, None), event(None, "b", None, None)],
            ),
            (
                "id: 1\nretry: 500\ndata: \n\n",
                vec![event(None, "", Some("1"), Some(500))],
            ),
            (
                "id:1\nretry:x\nevent:message\ndata\n\n",
                vec![event(Some("message"), "", Some("1"), None)],
            ),
            ("event: ping\n\n\n", vec![]),
            (
                "data: {\"a\":\"ä\"}\n\ndata: 2\n\ndata: half",
                vec![
                    event(None, "{\"a\":\"ä\"}", None, None),
                    event(None, "2", None, None),
                ],
            ),
        ];
        for (text, expected) in cases {
            for chunk in [1, 2, 3, 1000] {
                assert_eq!(read(text, chunk), expected, "{text:?} by {chunk}");
            }
        }
    }

    #[test]
    fn an_event_without_end_is_not_kept() {
        let mut reader = Reader::new(16);
        reader.feed(&[b'x'; 17]);
        assert_eq!(reader.next_event(), Err(TooLong { limit: 16 }));
        let mut reader = Reader::new(16);
        for _ in 0..4 {
            reader.feed(b"data: 12345\n");
        }
        assert_eq!(reader.next_event(), Err(TooLong { limit: 16 }));
    }

    #[test]
    fn what_is_written_is_read() {
        let mut out = BytesMut::new();
        write_primer(&mut out, "1-0", 500);
        write_message(&mut out, Some("1-1"), b"{}");
        out.put_slice(&KEEP_ALIVE);
        write_message(&mut out, None, b"{}");
        let text = String::from_utf8(out.to_vec()).unwrap();
        let expected = [
            event(None, "", Some("1-0"), Some(500)),
            event(Some("message"), "{}", Some("1-1"), None),
            event(Some("message"), "{}", None, None),
        ];
        assert_eq!(read(&text, 7), expected);
    }
}
