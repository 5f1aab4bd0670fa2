//! What answers a server's sampling where there is no model: the sentences of a text that say the most.
//!
//! A sentence says much if many other sentences speak of the same things; what a chosen sentence has said counts no more
//! for the next. The same text always gets the same answer.

use std::collections::{HashMap, HashSet};

use mcp_client::CreateMessageResult;
use mcp_client::types::{CreateMessageParams, ErrorObject, Role, StopReason};

/// What the summariser calls itself where a model's name is asked for.
pub(crate) const NAME: &str = "extractive-summariser";

/// What it is, for people.
pub(crate) const WHAT: &str = "picks sentences, no language model";

/// How many sentences a summary has.
const SENTENCES: usize = 2;

/// How many characters a token is taken for.
const TOKEN: usize = 4;

/// Answers a request to sample by the most telling sentences of the user's last message.
///
/// # Errors
/// There is no text in it.
pub(crate) fn answer(params: &CreateMessageParams) -> Result<CreateMessageResult, ErrorObject> {
    let asked = params
        .messages
        .iter()
        .rfind(|message| message.role == Role::User);
    let text = asked.map(|message| message.to_text()).unwrap_or_default();
    let summary = summarise(&text, SENTENCES);
    if summary.is_empty() {
        return Err(ErrorObject::invalid_params("there is no text to summarise"));
    }
    let room = usize::try_from(params.max_tokens)
        .unwrap_or(usize::MAX)
        .saturating_mul(TOKEN);
    let short: String = summary.chars().take(room).collect();
    let result = if short.len() < summary.len() {
        CreateMessageResult::text(NAME, short).stop_reason(StopReason::MaxTokens)
    } else {
        CreateMessageResult::text(NAME, summary)
    };
    Ok(result)
}

/// The most telling sentences of a text, in their own order.
pub(crate) fn summarise(text: &str, count: usize) -> String {
    let sentences: Vec<(&str, HashSet<String>)> = sentences(text)
        .map(|sentence| (sentence, topics(sentence)))
        .collect();
    // In how many sentences each word is.
    let mut spoken_of: HashMap<&str, usize> = HashMap::new();
    for word in sentences.iter().flat_map(|(_, topics)| topics) {
        *spoken_of.entry(word).or_default() += 1;
    }
    let mut chosen: Vec<usize> = Vec::new();
    let mut said: HashSet<&str> = HashSet::new();
    while chosen.len() < count.min(sentences.len()) {
        let worth = |topics: &HashSet<String>| -> usize {
            let new = topics.iter().filter(|word| !said.contains(word.as_str()));
            new.map(|word| spoken_of[word.as_str()].pow(2)).sum()
        };
        let best = (0..sentences.len())
            .filter(|i| !chosen.contains(i))
            // Of equals the first.
            .max_by_key(|i| (worth(&sentences[*i].1), std::cmp::Reverse(*i)));
        let Some(best) = best else { break };
        chosen.push(best);
        said.extend(sentences[best].1.iter().map(String::as_str));
    }
    chosen.sort_unstable();
    let chosen: Vec<&str> = chosen.into_iter().map(|i| sentences[i].0).collect();
    chosen.join(" ")
}

/// The sentences of a text: they end with a mark before white space, or with their paragraph.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split("\n\n").flat_map(|paragraph| {
        let mut rest = paragraph.trim();
        std::iter::from_fn(move || {
            let end = rest
                .match_indices(['.', '!', '?'])
                .map(|(at, mark)| at + mark.len())
                .find(|end| rest[*end..].starts_with(char::is_whitespace))
                .unwrap_or(rest.len());
            let (sentence, after) = rest.split_at(end);
            rest = after.trim_start();
            (!sentence.is_empty()).then_some(sentence)
        })
    })
}

/// Words of four letters that are in any text.
const EVERYWHERE: &[&str] = &[
    "about", "after", "also", "because", "been", "before", "does", "from", "have", "into", "more",
    "next", "over", "some", "than", "that", "their", "them", "then", "there", "they", "this",
    "until", "were", "what", "when", "which", "will", "with",
];

/// What a sentence speaks of: its words of four letters and more, in lower case.
fn topics(sentence: &str) -> HashSet<String> {
    sentence
        .split(|c: char| !c.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| word.chars().count() >= 4 && !EVERYWHERE.contains(&word.as_str()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_client::types::{Sampling, SamplingMessage};

    const TEXT: &str = "The storm closed the harbour. Somebody lost a hat!\n\n\
        Because of the storm the ferry stayed in the harbour. Tea cost 1.50 today.";

    #[test]
    fn sentences_end_where_a_reader_would_end_them() {
        let found: Vec<_> = sentences(TEXT).collect();
        assert_eq!(found.len(), 4);
        assert_eq!(found[1], "Somebody lost a hat!");
        assert_eq!(found[3], "Tea cost 1.50 today.");
        assert_eq!(sentences("no mark").collect::<Vec<_>>(), ["no mark"]);
        assert_eq!(sentences(" \n\n ").count(), 0);
    }

    #[test]
    fn what_many_speak_of_is_chosen_and_not_said_twice() {
        let one = summarise(TEXT, 1);
        assert_eq!(one, "Because of the storm the ferry stayed in the harbour.");
        let repeated = "A storm came. A storm came. A ferry left.";
        assert_eq!(summarise(repeated, 2), "A storm came. A ferry left.");
    }

    #[test]
    fn chosen_sentences_keep_their_order_and_the_answer_is_always_the_same() {
        let two = summarise(TEXT, 2);
        for _ in 0..50 {
            assert_eq!(summarise(TEXT, 2), two);
        }
        let places: Vec<_> = sentences(TEXT).filter(|s| two.contains(s)).collect();
        assert_eq!(places.join(" "), two);
        assert_eq!(summarise(TEXT, 9), TEXT.replace("\n\n", " "));
    }

    #[test]
    fn the_last_message_of_the_user_counts() {
        let asked = Sampling::user("Old news.")
            .message(SamplingMessage::assistant("Indeed."))
            .message(SamplingMessage::user("New news."));
        let answer = answer(&asked).unwrap();
        assert_eq!(answer.to_text(), "New news.");
        assert_eq!(
            (answer.model.as_str(), answer.role),
            (NAME, Role::Assistant)
        );
        assert_eq!(answer.stop_reason, Some(StopReason::EndTurn));
    }

    #[test]
    fn the_limit_on_tokens_holds() {
        let answer = answer(&Sampling::user("Äpfel und Birnen.").max_tokens(2)).unwrap();
        assert_eq!(answer.to_text(), "Äpfel un");
        assert_eq!(answer.stop_reason, Some(StopReason::MaxTokens));
    }

    #[test]
    fn nothing_is_an_error() {
        assert!(answer(&Sampling::user(" \n")).is_err());
        assert!(answer(&Sampling::new([])).is_err());
    }
}
