//! Log messages from server to client, and the level asked for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::meta::Meta;
use crate::names::{closed_enum, methods, setters};
use crate::pagination::EmptyResult;
use crate::raw::RawJson;
use crate::scan::{self, Known};

closed_enum! {
    /// How severe a log message is; greater is worse (the levels of RFC 5424).
    LogLevel, "log level" {
        /// Details for debugging.
        Debug = "debug",
        /// Ordinary events.
        Info = "info",
        /// Ordinary but significant events.
        Notice = "notice",
        /// Something may go wrong.
        Warning = "warning",
        /// Something went wrong.
        Error = "error",
        /// A component failed.
        Critical = "critical",
        /// Action is needed at once.
        Alert = "alert",
        /// The system is unusable.
        Emergency = "emergency",
    }
}

/// The parameters of `logging/setLevel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SetLevelParams {
    /// The lowest level wanted.
    pub level: LogLevel,
    /// The request's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl SetLevelParams {
    /// Asks for messages of a level and worse.
    pub fn new(level: LogLevel) -> Self {
        Self { level, meta: None }
    }

    setters! { meta: Meta; }
}

/// The result of `logging/setLevel`: nothing.
pub type SetLevelResult = EmptyResult;

/// A log message.
///
/// ```
/// use mcp_types::{LogLevel, LogMessageParams};
///
/// let log = LogMessageParams::new(LogLevel::Warning, "disk almost full").logger("storage");
/// assert_eq!(log.to_string(), "[warning] storage: disk almost full");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct LogMessageParams {
    /// How severe it is.
    pub level: LogLevel,
    /// Which part of the server speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logger: Option<String>,
    /// What it says: any JSON, `null` included; often a string or an object.
    pub data: RawJson,
    /// The notification's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl LogMessageParams {
    /// A message of a level. Data that does not serialise is replaced by a sentence that says so.
    pub fn new(level: LogLevel, data: impl Serialize) -> Self {
        let data = RawJson::encode(&data).unwrap_or_else(|e| {
            RawJson::from(serde_json::Value::from(format!(
                "log data that does not serialise: {e}"
            )))
        });
        Self {
            level,
            logger: None,
            data,
            meta: None,
        }
    }

    setters! {
        logger: into String;
        meta: Meta;
    }

    /// The parameters as they go over the wire, of which nothing is copied on the way.
    ///
    /// # Errors
    /// What the data's own `Serialize` returns.
    pub fn encode<T: Serialize + ?Sized>(
        level: LogLevel,
        logger: Option<&str>,
        data: &T,
    ) -> Result<RawJson, serde_json::Error> {
        RawJson::write(|text| {
            text.extend_from_slice(b"{\"level\":\"");
            text.extend_from_slice(level.as_str().as_bytes());
            text.push(b'"');
            if let Some(logger) = logger {
                text.extend_from_slice(b",\"logger\":");
                scan::write_string(text, logger);
            }
            text.extend_from_slice(b",\"data\":");
            serde_json::to_writer(&mut *text, data)?;
            text.push(b'}');
            Ok(())
        })
    }

    /// Reads what has no `_meta` and no escaped names, which is most of it.
    fn read(params: &[u8]) -> Option<Self> {
        let (mut level, mut logger, mut data) = (None, None, None);
        let mut params = Known::new(params);
        params.enter(b'{')?;
        while let Some(key) = params.key() {
            let again = match key {
                b"level" => level
                    .replace(LogLevel::from_name(params.plain_string()?)?)
                    .is_some(),
                b"logger" => logger.replace(params.string()?).is_some(),
                b"data" => data.replace(RawJson::copy_part(params.value())?).is_some(),
                _ => true,
            };
            if again {
                return None;
            }
        }
        Some(Self {
            level: level?,
            logger,
            data: data?,
            meta: None,
        })
    }

    /// The data as a person reads it: a string without its quotes, anything else as JSON.
    pub fn text(&self) -> String {
        let text = Known::new(self.data.as_bytes()).string();
        text.unwrap_or_else(|| self.data.to_string())
    }
}

impl fmt::Display for LogMessageParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] ", self.level)?;
        if let Some(logger) = &self.logger {
            write!(f, "{logger}: ")?;
        }
        f.write_str(&self.text())
    }
}

methods! {
    /// legacy; sets the session's log level. A modern request says it for itself, in `_meta`.
    request SetLevel("logging/setLevel"): SetLevelParams => SetLevelResult;
    /// every revision, server to client.
    notification LogMessage("notifications/message"): LogMessageParams, read LogMessageParams::read;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::method::Notification;

    #[test]
    fn levels_ascend() {
        assert!(LogLevel::ALL.is_sorted());
        assert!(LogLevel::Debug < LogLevel::Emergency);
        assert_eq!("notice".parse(), Ok(LogLevel::Notice));
        assert_eq!(
            "loud".parse::<LogLevel>().unwrap_err().to_string(),
            "\"loud\" is no log level"
        );
        assert!(serde_json::from_str::<LogLevel>("\"loud\"").is_err());
    }

    #[test]
    fn what_is_encoded_at_once_is_the_same() {
        for (logger, data) in [
            (Some("a\"b"), "line\n1"),
            (None, ""),
            (Some("é"), "12345678"),
        ] {
            let mut params = LogMessageParams::new(LogLevel::Warning, data);
            params.logger = logger.map(str::to_owned);
            let text = LogMessageParams::encode(LogLevel::Warning, logger, data).unwrap();
            assert_eq!(text, RawJson::encode(&params).unwrap());
        }
    }

    /// What is usual is read by a way of its own; what is not, and what is wrong, by serde alone.
    #[test]
    fn both_ways_read_the_same() {
        for text in [
            r#"{"level":"info","logger":"flood","data":"line 17"}"#,
            r#" { "data" : [ 1, {"a":"}"} ] , "level" : "error" } "#,
            r#"{"level":"info","logger":"\u00e9\n","data":null}"#,
            r#"{"level":"info","data":{},"_meta":{"a":1},"x":2}"#,
            r#"{"level":"\u0069nfo","l\u006fgger":"a","logger":null,"data":1}"#,
            r#"{"level":"info","level":"info","data":1}"#,
            r#"{"level":"loud","data":1}"#,
            r#"{"level":"info","logger":7,"data":1}"#,
            r#"{"level":"info"}"#,
            "{}",
            "null",
            "[1]",
        ] {
            let raw = RawJson::parse(text).unwrap();
            let ways = [LogMessage::read_params(&raw), raw.decode()];
            let [read, decoded] = ways.map(|way| way.map_err(|e| e.to_string()));
            assert_eq!(read, decoded, "{text}");
        }
    }

    #[test]
    fn null_is_data() {
        // TRAP-06
        let text = r#"{"level":"info","data":null}"#;
        let log: LogMessageParams = serde_json::from_str(text).unwrap();
        assert!(log.data.is_null());
        assert_eq!(serde_json::to_string(&log).unwrap(), text);
        assert!(serde_json::from_str::<LogMessageParams>(r#"{"level":"info"}"#).is_err());
    }
}
