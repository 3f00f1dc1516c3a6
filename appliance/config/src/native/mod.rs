//! The native configuration: TOML, by the table of its keys.

mod keys;
mod read;
mod schema;
mod table;
mod write;

pub(crate) use read::read;
pub(crate) use schema::schema;
pub(crate) use write::write;
