//! One case: what it starts with, and what it does.

use anyhow::{Context as _, Result};
use libtest_mimic::Failed;

use crate::bed::Bed;

/// One test.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How many nodes are up when it begins.
    pub(crate) nodes: usize,
    pub(crate) body: fn(&mut Bed) -> Result<()>,
    /// Programs of the system without which it cannot be played.
    pub(crate) needs: &'static [&'static str],
}

impl Case {
    /// Why it cannot be played on this machine, if so.
    pub(crate) fn missing(&self) -> Option<String> {
        let is_there = |name: &str| {
            ["/usr/local/bin", "/usr/bin", "/usr/sbin"]
                .iter()
                .any(|dir| std::path::Path::new(dir).join(name).exists())
        };
        let missing = self.needs.iter().find(|name| !is_there(name))?;
        Some(format!("there is no {missing} on this machine"))
    }

    /// Plays it; a failure has all that a reader needs.
    pub(crate) fn play(&self) -> Result<(), Failed> {
        let mut bed = Bed::new().map_err(|error| format!("{error:#}"))?;
        let up = bed.bring_up(self.nodes).context("before the case begins");
        up.and_then(|()| (self.body)(&mut bed)).map_err(|error| {
            let report = format!("{error:#}\n{}", bed.dump());
            keep_report(self.name, &report);
            Failed::from(report)
        })
    }
}

/// Writes the report of a failure at once to the directory `PGAF_REPORTS`, if that is set: the summary comes last.
fn keep_report(name: &str, report: &str) {
    if let Some(directory) = std::env::var_os("PGAF_REPORTS") {
        let path = std::path::Path::new(&directory).join(format!("{name}.txt"));
        if let Err(error) = std::fs::write(&path, report) {
            eprintln!("{}: {error}", path.display());
        }
    }
}

/// The cases of a file: how many nodes they begin with, and their functions.
macro_rules! cases {
    ($($nodes:literal: $($body:ident),+ $(,)?;)+) => {
        $crate::case::cases! { needs &[]; $($nodes: $($body),+;)+ }
    };
    (needs $needs:expr; $($nodes:literal: $($body:ident),+ $(,)?;)+) => {
        pub(super) fn cases() -> Vec<$crate::case::Case> {
            vec![$($(
                $crate::case::Case { name: stringify!($body), nodes: $nodes, body: $body, needs: $needs },
            )+)+]
        }
    };
}
pub(crate) use cases;
