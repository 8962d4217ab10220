//! What the engine has to tell, in the log.

use pgaf_core::keeper::{Notice, Severity};

pub(super) fn log(notice: &Notice) {
    match notice.severity() {
        Severity::Error => tracing::error!("{notice}"),
        Severity::Warning => tracing::warn!("{notice}"),
        Severity::Info => tracing::info!("{notice}"),
        Severity::Debug => tracing::debug!("{notice}"),
    }
}
