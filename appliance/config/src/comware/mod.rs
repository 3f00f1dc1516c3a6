//! Comware text, as a device shows it or as it is typed, into the document.
//!
//! `lex` makes lines and words, `view` finds the view of each line and gives it to the file of
//! that view, which fills the `model`; `resolve` follows the references from the interfaces on.

mod acl;
mod algorithms;
mod args;
mod ikev2;
mod interface;
mod ipsec;
mod lex;
mod model;
mod resolve;
mod view;

use crate::document::Document;
use crate::problem::Report;

/// Reads Comware text; what is wrong goes to the report.
pub(crate) fn read(text: &str, report: &mut Report) -> Option<Document> {
    let config = view::read(text, report);
    Some(resolve::document(&config, report))
}
