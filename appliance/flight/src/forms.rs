//! Two forms of one enum: JSON that people and other programs read (the variant is a field), and
//! the compact one of the ring (the variant is a number).

use serde::{Deserialize, Deserializer};
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Writes an enum once and gives it both forms. `json(...)` says how serde tags it in JSON; in
/// every other format it is tagged by the index of its variant, so that format is for the memory
/// of one process only.
macro_rules! forms {
    (json($itself:literal, $($tag:tt)*) $(#[$meta:meta])* pub enum $name:ident { $($body:tt)* }) => {
        $(#[$meta])*
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(remote = "Self", rename_all = "snake_case")]
        pub enum $name { $($body)* }

        const _: () = {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            // The same again: serde derives one form of a type.
            #[derive(Serialize, Deserialize)]
            #[serde(remote = $itself, rename_all = "snake_case", $($tag)*)]
            enum Json { $($body)* }

            impl Serialize for $name {
                fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                    if to.is_human_readable() {
                        Json::serialize(self, to)
                    } else {
                        $name::serialize(self, to)
                    }
                }
            }

            impl<'de> Deserialize<'de> for $name {
                fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                    if from.is_human_readable() {
                        Json::deserialize(from)
                    } else {
                        $name::deserialize(from)
                    }
                }
            }
        };
    };
}
pub(crate) use forms;

/// A word of our own code: what a field names when its values are not worth an enum.
///
/// (An alias, for serde takes a field that is written as a reference for borrowed.)
pub type Word = &'static str;

/// Words that are kept at most; they come from our own code, so that there are few.
const WORDS: usize = 1024;

static KNOWN: Mutex<Option<HashSet<Word>>> = Mutex::new(None);

/// Reads a [`Word`]. One that was not heard of before is kept for good.
pub(crate) fn word<'de, D: Deserializer<'de>>(from: D) -> Result<Word, D::Error> {
    let read = std::borrow::Cow::<'de, str>::deserialize(from)?;
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = known.get_or_insert_default();
    if let Some(word) = known.get(&*read) {
        return Ok(word);
    }
    if known.len() >= WORDS {
        return Ok("?");
    }
    let word: Word = Box::leak(read.into_owned().into_boxed_str());
    known.insert(word);
    Ok(word)
}
