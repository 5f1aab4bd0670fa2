//! Doubles of foreign implementations, to be connected to our server and our client. `NOTES.md` says what they do on the wire.

pub(crate) mod rmcp;
