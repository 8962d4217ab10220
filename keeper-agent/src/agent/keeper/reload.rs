//! Reading the configuration again.

use std::rc::Rc;
use std::time::Instant;

use pgaf_core::keeper::DataDirectory;
use tracing::{error, info};

use super::Keeper;
use crate::postgres::PostgresError;

impl Keeper {
    pub(super) fn reload(&mut self) {
        info!("reading the configuration again");
        match self.config.reload() {
            Ok(config) => {
                if config.monitor != self.config.monitor {
                    self.contacting.cancel();
                    self.link.retarget(config.monitor.clone());
                    self.next_report = Instant::now();
                }
                self.config = config;
                self.formation.reconfigure(&self.config, &self.state);
                self.instance.reconfigure(self.instance_config());
                self.note_monitor();
                self.recall.forget_admitted();
                self.look_again();
                // Without data there is nothing to write settings to: they are written when there is.
                if self.has_data() {
                    let instance = Rc::clone(&self.instance);
                    self.reloading.start(async move {
                        instance.write_settings().await?;
                        instance.reload().await
                    });
                }
            }
            Err(error) => error!("the configuration was not changed: {error}"),
        }
    }

    fn has_data(&self) -> bool {
        let sight = self.sight.as_ref();
        sight.is_some_and(|sight| matches!(sight.observed.data, DataDirectory::Present(_)))
    }
}

pub(super) fn done(result: Result<(), PostgresError>) {
    match result {
        Ok(()) => info!("the configuration was read again"),
        Err(error) => error!("Postgres did not take over the changed configuration: {error}"),
    }
}
