//! `describe` and `init`, and the one value of an instance.

use super::{List, arena};
use crate::plugin::{Plugin, SettingsError};
use std::cell::RefCell;

/// The plugin of an instance, and what its last answer points to.
pub struct Instance<P, A> {
    plugin: Option<P>,
    answer: A,
    refusal: Option<SettingsError>,
    /// What `describe` and `init` return.
    about: [List<u8>; 4],
    started: Started,
}

/// `result<_, settings-error>`.
#[repr(C)]
struct Started {
    refused: bool,
    path: List<u8>,
    message: List<u8>,
}

impl<P: Plugin, A> Instance<P, A> {
    /// Before `init`; `answer` is where the hook keeps what it answers.
    pub const fn new(answer: A) -> RefCell<Self> {
        RefCell::new(Self {
            plugin: None,
            answer,
            refusal: None,
            about: [List::NONE; 4],
            started: Started {
                refused: false,
                path: List::NONE,
                message: List::NONE,
            },
        })
    }

    pub fn describe(&mut self) -> *const u8 {
        let about = P::ABOUT;
        let texts = [
            about.name,
            about.version,
            about.summary,
            about.settings_schema,
        ];
        self.about = texts.map(|text| List::of(text.as_bytes()));
        self.about.as_ptr().cast()
    }

    /// # Safety
    /// The host calls with a text that it lowered.
    pub unsafe fn init(&mut self, at: *const u8, length: usize) -> *const u8 {
        // SAFETY: see above.
        let settings = unsafe { List { at, length }.text() };
        match crate::start(settings) {
            Ok(plugin) => {
                self.plugin = Some(plugin);
                self.started.refused = false;
            }
            Err(error) => {
                let error = self.refusal.insert(error);
                self.started = Started {
                    refused: true,
                    path: List::of(error.path.as_bytes()),
                    message: List::of(error.message.as_bytes()),
                };
            }
        }
        arena::reset();
        (&raw const self.started).cast()
    }

    /// Asks the plugin; the answer stays until the next one.
    pub(crate) fn ask(&mut self, ask: impl FnOnce(&mut P, &mut A)) -> &A {
        let plugin = self.plugin.as_mut();
        ask(
            plugin.expect("`init` comes before every decision"),
            &mut self.answer,
        );
        arena::reset();
        &self.answer
    }
}
