//! What was said, in SQLite.

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::protocol::{Message, RoomInfo};

/// The messages of all rooms.
#[derive(Debug)]
pub struct Store(Mutex<Connection>);

/// The database failed.
#[derive(Debug, thiserror::Error)]
#[error("the database failed: {0}")]
pub struct StoreError(#[from] rusqlite::Error);

/// A message as it is kept, and whether it was not there before.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) message: Message,
    pub(crate) is_new: bool,
}

const SCHEMA: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS message (
        room TEXT NOT NULL, id INTEGER NOT NULL, by TEXT NOT NULL, text TEXT NOT NULL, at INTEGER NOT NULL, key TEXT,
        PRIMARY KEY (room, id), UNIQUE (room, key)
    ) STRICT, WITHOUT ROWID;";

impl Store {
    /// Opens the database, and makes it if it is not there.
    ///
    /// # Errors
    /// It cannot be opened, or is something else.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::with(Connection::open(path)?)
    }

    /// A database that is gone with the process.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn in_memory() -> Result<Self, StoreError> {
        Self::with(Connection::open_in_memory()?)
    }

    fn with(connection: Connection) -> Result<Self, StoreError> {
        connection.execute_batch(SCHEMA)?;
        Ok(Self(Mutex::new(connection)))
    }

    /// Keeps a message as the next of its room. One whose key is there already is not kept again: it was sent twice, by
    /// somebody who could not know that it had arrived.
    pub(crate) fn add(
        &self,
        room: &str,
        by: &str,
        text: &str,
        key: Option<&str>,
    ) -> Result<Kept, StoreError> {
        let mut connection = self.lock();
        let transaction = connection.transaction()?;
        let known = transaction
            .prepare_cached(
                "SELECT room, id, by, text, at FROM message WHERE room = ?1 AND key = ?2",
            )?
            .query_row(params![room, key], message)
            .optional()?;
        if let Some(message) = known {
            return Ok(Kept {
                message,
                is_new: false,
            });
        }
        let message = transaction
            .prepare_cached(
                "INSERT INTO message (room, id, by, text, at, key)
                 SELECT ?1, 1 + coalesce(max(id), 0), ?2, ?3, ?4, ?5 FROM message WHERE room = ?1
                 RETURNING room, id, by, text, at",
            )?
            .query_row(params![room, by, text, now(), key], message)?;
        transaction.commit()?;
        Ok(Kept {
            message,
            is_new: true,
        })
    }

    /// The first messages after a number, at most so many.
    pub(crate) fn after(
        &self,
        room: &str,
        id: u64,
        most: usize,
    ) -> Result<Vec<Message>, StoreError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached(
            "SELECT room, id, by, text, at FROM message WHERE room = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
        )?;
        let messages = select.query_map(params![room, id.cast_signed(), most as i64], message)?;
        Ok(messages.collect::<Result<_, _>>()?)
    }

    /// The latest messages, at most so many, the oldest of them first.
    pub(crate) fn latest(&self, room: &str, most: usize) -> Result<Vec<Message>, StoreError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached(
            "SELECT room, id, by, text, at FROM message WHERE room = ?1 ORDER BY id DESC LIMIT ?2",
        )?;
        let messages = select.query_map(params![room, most as i64], message)?;
        let mut messages: Vec<_> = messages.collect::<Result<_, _>>()?;
        messages.reverse();
        Ok(messages)
    }

    /// The rooms in which something was said lately.
    pub(crate) fn rooms(&self, most: usize) -> Result<Vec<RoomInfo>, StoreError> {
        let connection = self.lock();
        let mut select = connection.prepare_cached(
            "SELECT room, max(id) FROM message GROUP BY room ORDER BY max(at) DESC LIMIT ?1",
        )?;
        let rooms = select.query_map([most as i64], |row| {
            Ok(RoomInfo {
                room: row.get(0)?,
                messages: row.get::<_, i64>(1)?.cast_unsigned(),
            })
        })?;
        Ok(rooms.collect::<Result<_, _>>()?)
    }

    /// A panic leaves a transaction that is rolled back.
    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn message(row: &Row<'_>) -> rusqlite::Result<Message> {
    Ok(Message {
        room: row.get(0)?,
        id: row.get::<_, i64>(1)?.cast_unsigned(),
        by: row.get(2)?,
        text: row.get(3)?,
        at: row.get::<_, i64>(4)?.cast_unsigned(),
    })
}

/// Milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
