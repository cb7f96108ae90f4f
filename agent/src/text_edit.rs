//! Changes to texts as Salt's `file` functions make them: lines, patterns, marked blocks, keys and values.
//!
//! Everything here is pure: a text comes in, the new text goes out, or Salt's refusal in Salt's words. Reading,
//! writing and policy are the callers'. Behaviour: Salt's `salt/modules/file.py` and `salt/states/file.py`.

mod block;
mod comment;
pub mod diff;
mod keyvalue;
mod line;
mod replace;
mod search;

pub use block::{Block, Place};
pub use comment::comment_lines;
pub use keyvalue::{KeyValue, KeyValueEdit};
pub use line::{LineEdit, Location};
pub use replace::{NotFound, Replacement, flags};
pub use search::{lines_of, whitespace_insensitive};

/// The lines of a text with their ends, split at line feeds alone.
fn lines_kept(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}
