#![doc = include_str!("../README.md")]

#[cfg(feature = "tokio")]
mod framed;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod line;
mod lines;
#[cfg(feature = "tokio")]
mod output;
mod room;

#[cfg(feature = "tokio")]
pub use framed::{Framed, Joined, framed, framed_split, framed_split_with, framed_with};
pub use line::LineCodec;
pub use lines::Lines;
