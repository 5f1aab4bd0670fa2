//! What was found out, rule by rule.

use console::{Style, Term};
use serde::Serialize;

use crate::connect::print;
use crate::render::{colours, printable, shorten};

/// How binding a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    Must,
    Should,
}

/// Why a rule is held to be broken.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub(super) reason: String,
    /// What the server has sent, exactly, if it has sent anything.
    pub(super) bytes: Option<String>,
}

impl Fault {
    pub(super) fn new(reason: impl Into<String>, bytes: &str) -> Self {
        Self {
            reason: reason.into(),
            bytes: Some(bytes.to_owned()),
        }
    }

    pub(super) fn silent(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            bytes: None,
        }
    }
}

/// Either the rule is kept, or this is how it is not.
pub(super) type Verdict = Result<(), Fault>;

/// What was found out.
pub(super) struct Report {
    json: bool,
    verbose: bool,
    strict: bool,
    era: &'static str,
    passed: usize,
    warned: usize,
    failed: usize,
    skipped: usize,
}

#[derive(Serialize)]
struct Found<'a> {
    rule: &'a str,
    era: &'a str,
    level: Level,
    verdict: &'a str,
    what: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<&'a str>,
}

/// How much of the offending bytes a person is shown.
const EXCERPT: usize = 400;

impl Report {
    pub(super) fn new(json: bool, verbose: bool, strict: bool) -> Self {
        Self {
            json,
            verbose,
            strict,
            era: "",
            passed: 0,
            warned: 0,
            failed: 0,
            skipped: 0,
        }
    }

    /// What follows is about an era.
    pub(super) fn era(&mut self, era: &'static str, version: &str) {
        self.era = era;
        if !self.json {
            print(&format!("{era} era, protocol {version}\n"));
        }
    }

    pub(super) fn must(&mut self, rule: &str, what: &str, verdict: Verdict) {
        self.add(Level::Must, rule, what, verdict);
    }

    pub(super) fn should(&mut self, rule: &str, what: &str, verdict: Verdict) {
        self.add(Level::Should, rule, what, verdict);
    }

    /// A rule that does not apply to this server.
    pub(super) fn skip(&mut self, rule: &str, what: &str, reason: &str) {
        self.skipped += 1;
        self.show(Level::Must, rule, what, "skip", Some(reason), None);
    }

    fn add(&mut self, level: Level, rule: &str, what: &str, verdict: Verdict) {
        let Err(fault) = verdict else {
            self.passed += 1;
            return self.show(level, rule, what, "pass", None, None);
        };
        let verdict = match level {
            Level::Should if !self.strict => {
                self.warned += 1;
                "warn"
            }
            _ => {
                self.failed += 1;
                "fail"
            }
        };
        self.show(
            level,
            rule,
            what,
            verdict,
            Some(&fault.reason),
            fault.bytes.as_deref(),
        );
    }

    fn show(
        &self,
        level: Level,
        rule: &str,
        what: &str,
        verdict: &str,
        reason: Option<&str>,
        bytes: Option<&str>,
    ) {
        if self.json {
            let found = Found {
                rule,
                era: self.era,
                level,
                verdict,
                what,
                reason,
                bytes,
            };
            // Texts serialise.
            print(&(serde_json::to_string(&found).unwrap_or_default() + "\n"));
            return;
        }
        let quiet = matches!(verdict, "pass" | "skip");
        if quiet && !self.verbose {
            return;
        }
        let style = Style::new().force_styling(colours(&Term::stdout()));
        let style = match verdict {
            "pass" => style.green(),
            "fail" => style.red().bold(),
            "warn" => style.yellow().bold(),
            _ => style.dim(),
        };
        let mut text = format!("  {}  {rule:<14} {what}\n", style.apply_to(verdict));
        let mut detail = |label: &str, detail: &str| {
            let detail = printable(detail).replace('\n', " ");
            text.push_str(&format!(
                "                        {label}{}\n",
                shorten(&detail, EXCERPT)
            ));
        };
        if let Some(reason) = reason {
            detail("", reason);
        }
        if let Some(bytes) = bytes {
            detail("← ", bytes);
        }
        print(&text);
    }

    /// How many rules are broken.
    pub(super) fn broken(&self) -> usize {
        self.failed
    }

    /// All of it in a line.
    pub(super) fn summary(&self) -> String {
        let Self {
            passed,
            warned,
            failed,
            skipped,
            ..
        } = self;
        if self.json {
            let counts = serde_json::json!({
                "passed": passed, "warned": warned, "failed": failed, "skipped": skipped, "ok": *failed == 0,
            });
            return format!("{counts}\n");
        }
        format!("{passed} kept, {failed} broken, {warned} warnings, {skipped} do not apply\n")
    }
}
