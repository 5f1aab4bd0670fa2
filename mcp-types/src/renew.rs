//! Connections that follow one another.

use crate::Extensions;

/// What drives a connection, and can make another one of it when it is over, on the same transport.
///
/// For transports on which a connection is short, as a request over HTTP is: to make all of it anew takes longer than what it is
/// for. To everybody but the transport the one has ended and another one has begun.
pub trait Renew {
    /// Ends the connection. False if something is under way on it, or somebody has kept a handle of it: then it is to be dropped.
    fn rest(&mut self) -> bool;

    /// Begins another connection after a [`rest`](Self::rest), with what is known about it.
    ///
    /// # Errors
    /// What was known is given back: it is to be begun from the start, which may be refused.
    fn renew(&mut self, extensions: Extensions) -> Result<(), Extensions>;
}
