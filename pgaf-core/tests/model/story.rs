//! What the monitor was told, and when: enough to play a trace again as a scenario.

use std::hash::{Hash, Hasher};

use pgaf_core::Group;
use pgaf_core::monitor::Event;

/// Something that the rows went through.
#[derive(Clone, Debug)]
pub(crate) enum Chapter {
    /// A decision: the group as it was read, with what was recorded before; what happened; and the group as it was
    /// written, unless the event was refused.
    Decided { before: Box<Group>, event: Event, after: Option<Box<Group>> },
    /// The monitor was started again.
    Restarted,
    /// The rows were copied.
    BackedUp,
    /// The copy was put in their place.
    Restored,
    /// Anything else, in words.
    Told(String),
}

/// The chapters so far, when somebody listens. It is no part of the situation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Story(Option<Vec<Chapter>>);

impl Story {
    pub(crate) const fn listened_to() -> Self {
        Self(Some(Vec::new()))
    }

    pub(crate) fn tell(&mut self, chapter: impl FnOnce() -> Chapter) {
        if let Some(chapters) = &mut self.0 {
            chapters.push(chapter());
        }
    }

    pub(crate) fn chapters(&self) -> &[Chapter] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl PartialEq for Story {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Story {}

impl Hash for Story {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
